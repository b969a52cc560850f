"""Parts of whole-sequence kernels that keep numbers of 16 bits in shared memory, two in a word.

Why neighbouring units exchange: a thread has one unit of its rows, and a word is two units of one.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    device,
    far_four,
    group_number,
    member_number,
    packed,
    put_one,
    shared_words,
    shuffle_xor,
    thread_number,
)
from gatewright.runtime.cuda.parts_tensor import place_of_row, unit_in_block
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
    words = shared_words()
    for at in range(thread_number(), UNITS * WIDTH, THREADS):
        unit, k = at // WIDTH, at % WIDTH
        own = member_number() * UNITS + unit
        first = own * HIDDEN + 2 * k
        low = weight[first] if own < HIDDEN and 2 * k < HIDDEN else real(0)
        high = weight[first + 1] if own < HIDDEN and 2 * k + 1 < HIDDEN else real(0)
        put_one(words, (slot * UNITS + unit) * PITCH + k, packed(KIND, low, high))


@device
def load_columns(weight: Any, slot: Any) -> None:
    """Copy the columns of a matrix that belong to the block's units, as rows."""
    words = shared_words()
    for at in range(thread_number(), UNITS * WIDTH, THREADS):
        unit, k = at % UNITS, at // UNITS
        own = member_number() * UNITS + unit
        first = 2 * k * HIDDEN + own
        low = weight[first] if own < HIDDEN and 2 * k < HIDDEN else real(0)
        high = weight[first + HIDDEN] if own < HIDDEN and 2 * k + 1 < HIDDEN else real(0)
        put_one(words, (slot * UNITS + unit) * PITCH + k, packed(KIND, low, high))


@device
def fill(tile: Any, kept: Any, array: Any, first: Any, B: Any, pitch: Any) -> None:
    """Bring an operand's values of the block's rows together in a tile of shared memory.

    Threads of neighbouring units exchange, so that each of them has both units of one row.
    """
    words = shared_words()
    tiles = WEIGHTS * UNITS + tile * ROWS
    if BLOCKS == 1:
        late = thread_number() // 4 % 2
        there = UNITS == HIDDEN or unit_in_block() < HIDDEN
        for two in range(EACH // 2):
            even = kept[2 * two] if there else real(0)
            odd = kept[2 * two + 1] if there else real(0)
            mine = odd if late == 1 else even
            other = shuffle_xor(even if late == 1 else odd, 4)
            low, high = other if late == 1 else mine, mine if late == 1 else other
            row = tiles + place_of_row(2 * two) + late
            put_one(words, row * PITCH + unit_in_block() // 2, packed(KIND, low, high))
    elif HIDDEN % 4 == 0:
        for at in range(thread_number(), ROWS * HIDDEN // 4, THREADS):
            place, k = at // (HIDDEN // 4), at % (HIDDEN // 4) * 4
            row = group_number() * ROWS + place
            row = row if row < B else B - 1
            a, b, c, d = far_four(array, (first + row) * (pitch * HIDDEN) + k)
            target = (tiles + place) * PITCH + k // 2
            put_one(words, target, packed(KIND, a, b))
            put_one(words, target + 1, packed(KIND, c, d))
    else:
        for at in range(thread_number(), ROWS * ((HIDDEN + 1) // 2), THREADS):
            place, k = at // ((HIDDEN + 1) // 2), at % ((HIDDEN + 1) // 2)
            row = group_number() * ROWS + place
            row = row if row < B else B - 1
            start = (first + row) * (pitch * HIDDEN) + 2 * k
            high = array[start + 1] if 2 * k + 1 < HIDDEN else real(0)
            put_one(words, (tiles + place) * PITCH + k, packed(KIND, array[start], high))
