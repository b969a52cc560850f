"""Parts of whole-sequence kernels that keep numbers in shared memory: as they are, or as tf32.

Why rounded here and not before each product: a number is written once and read by many threads, and
tensor cores would cut off the bits that they do not read.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    device,
    far_four,
    group_number,
    member_number,
    put_four,
    put_one,
    rounded,
    shared_memory,
    thread_number,
)
from gatewright.runtime.cuda.parts_plain import place_of_row, unit_in_block
from gatewright.runtime.cuda.sizes import (
    BLOCKS,
    EACH,
    HIDDEN,
    KIND,
    PITCH,
    ROWS,
    THREADS,
    UNITS,
    WEIGHTS,
    WIDTH,
)


@device
def load_rows(weight: Any, slot: Any) -> None:
    """Copy the rows of a matrix that belong to the block's units to shared memory."""
    memory = shared_memory(real)
    for at in range(thread_number(), UNITS * WIDTH, THREADS):
        unit, k = at // WIDTH, at % WIDTH
        own = member_number() * UNITS + unit
        value = weight[own * HIDDEN + k] if own < HIDDEN and k < HIDDEN else real(0)
        put_one(memory, (slot * UNITS + unit) * PITCH + k, rounded(KIND, value))


@device
def load_columns(weight: Any, slot: Any) -> None:
    """Copy the columns of a matrix that belong to the block's units, as rows."""
    memory = shared_memory(real)
    for at in range(thread_number(), UNITS * WIDTH, THREADS):
        unit, k = at % UNITS, at // UNITS
        own = member_number() * UNITS + unit
        value = weight[k * HIDDEN + own] if own < HIDDEN and k < HIDDEN else real(0)
        put_one(memory, (slot * UNITS + unit) * PITCH + k, rounded(KIND, value))


@device
def fill(tile: Any, kept: Any, array: Any, first: Any, B: Any, pitch: Any) -> None:
    """Bring an operand's values of the block's rows together in a tile of shared memory.

    A block that owns all units has them in `kept`; others find them in `array`, whose rows from
    `first` on are `pitch` times HIDDEN apart.
    """
    memory = shared_memory(real)
    tiles = WEIGHTS * UNITS + tile * ROWS
    if BLOCKS == 1:
        for e in range(EACH):
            value = kept[e] if UNITS == HIDDEN or unit_in_block() < HIDDEN else real(0)
            at = (tiles + place_of_row(e)) * PITCH + unit_in_block()
            put_one(memory, at, rounded(KIND, value))
    elif HIDDEN % 4 == 0:
        for at in range(thread_number(), ROWS * HIDDEN // 4, THREADS):
            place, k = at // (HIDDEN // 4), at % (HIDDEN // 4) * 4
            row = group_number() * ROWS + place
            row = row if row < B else B - 1
            a, b, c, d = far_four(array, (first + row) * (pitch * HIDDEN) + k)
            put_four(
                memory, (tiles + place) * PITCH + k,
                rounded(KIND, a), rounded(KIND, b), rounded(KIND, c), rounded(KIND, d),
            )  # fmt: skip
    else:
        for at in range(thread_number(), ROWS * HIDDEN, THREADS):
            place, k = at // HIDDEN, at % HIDDEN
            row = group_number() * ROWS + place
            row = row if row < B else B - 1
            value = array[(first + row) * (pitch * HIDDEN) + k]
            put_one(memory, (tiles + place) * PITCH + k, rounded(KIND, value))
