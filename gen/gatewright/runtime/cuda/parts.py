"""Parts of whole-sequence kernels: the rows and units of a thread, and where blocks meet.

Written in the words of kernels, as generated files are; the text below the imports is put where a
generated file imports it. What a thread owns and how it multiplies is `parts_plain.py`, or
`parts_tensor.py` on tensor cores; what stands in shared memory is `parts_numbers.py`, or
`parts_pairs.py` for two numbers of 16 bits in a word. Shared memory holds WEIGHTS matrices [UNITS,
WIDTH], then a tile [ROWS, WIDTH] for every operand, rows PITCH words apart.

Why a unit or row that is not there computes what the last one does, and stores nothing: no size has
to be a multiple of another, and all threads reach every barrier.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    device,
    group_number,
    member_number,
    put_one,
    release,
    shared_memory,
    syncthreads,
    thread_number,
    wait_for,
)
from gatewright.runtime.cuda.parts_numbers import fill as fill
from gatewright.runtime.cuda.parts_numbers import load_columns as load_columns
from gatewright.runtime.cuda.parts_numbers import load_rows as load_rows
from gatewright.runtime.cuda.parts_plain import multiply as multiply
from gatewright.runtime.cuda.parts_plain import place_of_row, unit_in_block
from gatewright.runtime.cuda.sizes import (
    BLOCKS,
    EACH,
    HIDDEN,
    PITCH,
    ROWS,
    THREADS,
    TILES,
    UNITS,
    WEIGHTS,
)


@device
def own_unit() -> Any:
    """Return the unit of this thread, the last one where there are no more."""
    unit = member_number() * UNITS + unit_in_block()
    return unit if unit < HIDDEN else HIDDEN - 1


@device
def own_row(each: Any, B: Any) -> Any:
    """Return the thread's row `each`, the last one where there are no more."""
    row = group_number() * ROWS + place_of_row(each)
    return row if row < B else B - 1


@device
def owns(each: Any, B: Any) -> Any:
    """Tell whether the thread's unit and its row `each` are there."""
    row = group_number() * ROWS + place_of_row(each)
    unit = member_number() * UNITS + unit_in_block()
    return row < B and (BLOCKS * UNITS == HIDDEN or unit < HIDDEN)


@device
def clear_tiles() -> None:
    """Set all tiles to zero: words beyond the last unit are multiplied, and nobody fills them."""
    memory = shared_memory(real)
    for at in range(thread_number(), TILES * ROWS * PITCH, THREADS):
        put_one(memory, WEIGHTS * UNITS * PITCH + at, real(0))


@device
def clear(totals: Any, count: Any) -> None:
    """Set `count` totals of each row to zero."""
    for at in range(count * EACH):
        totals[at] = real(0)


@device
def meet(counters: Any, count: Any) -> None:
    """Wait for all blocks that share rows, for the `count`th time."""
    syncthreads()
    if BLOCKS > 1:
        if thread_number() == 0:
            release(counters, group_number())
            wait_for(counters, group_number(), BLOCKS * count)
        syncthreads()
