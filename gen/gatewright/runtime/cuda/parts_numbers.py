"""Parts of whole-sequence kernels that multiply numbers of a word each: as they are, or as tf32.

Why rounded here and not before each product: a number is written once and read by many threads, and
tensor cores would cut off the bits that they do not read.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import device, member_number, put_one, rounded
from gatewright.runtime.cuda.parts_plain import place_of_row, unit_in_block
from gatewright.runtime.cuda.sizes import BLOCKS, EACH, FILLED, HIDDEN, KIND, UNITS, WIDTH


@device
def row_word(weight: Any, unit: Any, k: Any) -> Any:
    """Return word `k` of a matrix's row of a unit, zero where there is none."""
    there = (BLOCKS * UNITS == HIDDEN or unit < HIDDEN) and (WIDTH == HIDDEN or k < HIDDEN)
    return rounded(KIND, weight[unit * HIDDEN + k] if there else real(0))


@device
def column_word(weight: Any, unit: Any, k: Any) -> Any:
    """Return word `k` of a matrix's column of a unit, zero where there is none."""
    there = (BLOCKS * UNITS == HIDDEN or unit < HIDDEN) and (WIDTH == HIDDEN or k < HIDDEN)
    return rounded(KIND, weight[k * HIDDEN + unit] if there else real(0))


@device
def put_values(array: Any, first: Any, pitch: Any, kept: Any) -> None:
    """Write the thread's values to rows of words, `pitch` apart; missing units are zero."""
    unit = member_number() * UNITS + unit_in_block()
    for e in range(EACH):
        value = kept[e] if BLOCKS * UNITS == HIDDEN or unit < HIDDEN else real(0)
        if BLOCKS * UNITS == FILLED or unit < FILLED:
            put_one(array, first + place_of_row(e) * pitch + unit, rounded(KIND, value))
