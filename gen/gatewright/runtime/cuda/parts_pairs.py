"""Parts of whole-sequence kernels that multiply numbers of 16 bits: two of them are a word.

Why neighbouring units exchange: a thread has one unit of its rows, and a word is two units of one.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    as_real,
    device,
    member_number,
    packed,
    put_one,
    shuffle_xor,
)
from gatewright.runtime.cuda.parts_tensor import place_of_row, unit_in_block
from gatewright.runtime.cuda.sizes import BLOCKS, EACH, FILLED, HIDDEN, KIND, UNITS, WIDTH


@device
def row_word(weight: Any, unit: Any, k: Any) -> Any:
    """Return word `k` of a matrix's row of a unit, zeros where there is none."""
    first = unit * HIDDEN + 2 * k
    there = BLOCKS * UNITS == HIDDEN or unit < HIDDEN
    low = weight[first] if there and (2 * WIDTH == HIDDEN or 2 * k < HIDDEN) else real(0)
    high = weight[first + 1] if there and (2 * WIDTH == HIDDEN or 2 * k + 1 < HIDDEN) else real(0)
    return as_real(packed(KIND, low, high))


@device
def column_word(weight: Any, unit: Any, k: Any) -> Any:
    """Return word `k` of a matrix's column of a unit, zeros where there is none."""
    first = 2 * k * HIDDEN + unit
    there = BLOCKS * UNITS == HIDDEN or unit < HIDDEN
    low = weight[first] if there and (2 * WIDTH == HIDDEN or 2 * k < HIDDEN) else real(0)
    above = there and (2 * WIDTH == HIDDEN or 2 * k + 1 < HIDDEN)
    high = weight[first + HIDDEN] if above else real(0)
    return as_real(packed(KIND, low, high))


@device
def put_values(array: Any, first: Any, pitch: Any, kept: Any) -> None:
    """Write the thread's values to rows of words, `pitch` apart; missing units are zero.

    The thread of the even one of two neighbouring units writes for both.
    """
    unit = member_number() * UNITS + unit_in_block()
    for e in range(EACH):
        own = kept[e] if BLOCKS * UNITS == HIDDEN or unit < HIDDEN else real(0)
        other = shuffle_xor(own, 4)
        if unit % 2 == 0 and (BLOCKS * UNITS // 2 == FILLED or unit // 2 < FILLED):
            at = first + place_of_row(e) * pitch + unit // 2
            put_one(array, at, as_real(packed(KIND, own, other)))
