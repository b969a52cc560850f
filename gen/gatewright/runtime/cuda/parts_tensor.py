"""Parts of whole-sequence kernels on tensor cores: operands of 16 bits, sums and state of 32.

The names are those of `parts.py`. A warp owns 8 units of 8 rows, or of several times 8: what its
threads have after a product of tiles is what they own, one unit of EACH rows, and nothing has to be
exchanged. The 16 rows of a tile of weights are 8 units of two matrices. Shared memory holds pairs
of neighbours, rows PITCH / 2 words apart.

Why a thread takes eight neighbours at once: a product does not care which of its terms is called
the first, as long as both operands agree, and 16 bytes are one load of each.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    device,
    far_four,
    group_number,
    local_array,
    member_number,
    multiply_tiles,
    packed,
    put_one,
    release,
    shared_four,
    shared_words,
    shuffle_xor,
    syncthreads,
    thread_number,
    wait_for,
    word,
)
from gatewright.runtime.cuda.sizes import (
    BLOCKS,
    EACH,
    EACH_2,
    HALF,
    HIDDEN,
    PITCH,
    ROWS,
    THREADS,
    UNITS,
    WEIGHTS,
)


@device
def own_unit() -> Any:
    """Return the unit of this thread."""
    return member_number() * UNITS + unit_in_block()


@device
def unit_in_block() -> Any:
    """Return the unit of this thread among those of its block."""
    return thread_number() // 32 % (UNITS // 8) * 8 + thread_number() % 32 // 4


@device
def rows_of_warp() -> Any:
    """Return the first row of this warp among those of its block."""
    return thread_number() // 32 // (UNITS // 8) * (EACH // 2 * 8)


@device
def place_of_row(each: Any) -> Any:
    """Return which row of its block the thread's row `each` is."""
    return rows_of_warp() + each // 2 * 8 + thread_number() % 4 * 2 + each % 2


@device
def own_row(each: Any, B: Any) -> Any:
    """Return the thread's row `each`, the last one where there are no more."""
    row = group_number() * ROWS + place_of_row(each)
    return row if row < B else B - 1


@device
def owns_row(each: Any, B: Any) -> Any:
    """Tell whether the thread's row `each` is there."""
    return group_number() * ROWS + place_of_row(each) < B


@device
def load_rows(weight: Any, slot: Any) -> None:
    """Copy the rows of a matrix that belong to the block's units to shared memory."""
    words = shared_words()
    for at in range(thread_number(), UNITS * HIDDEN // 2, THREADS):
        unit, k = at // (HIDDEN // 2), at % (HIDDEN // 2)
        first = (member_number() * UNITS + unit) * HIDDEN + 2 * k
        pair = packed(HALF, weight[first], weight[first + 1])
        put_one(words, (slot * UNITS + unit) * (PITCH // 2) + k, pair)


@device
def load_columns(weight: Any, slot: Any) -> None:
    """Copy the columns of a matrix that belong to the block's units, as rows."""
    words = shared_words()
    for at in range(thread_number(), UNITS * HIDDEN // 2, THREADS):
        unit, k = at % UNITS, at // UNITS
        first = 2 * k * HIDDEN + member_number() * UNITS + unit
        pair = packed(HALF, weight[first], weight[first + HIDDEN])
        put_one(words, (slot * UNITS + unit) * (PITCH // 2) + k, pair)


@device
def meet(counters: Any, count: Any) -> None:
    """Wait for all blocks that share rows, for the `count`th time."""
    syncthreads()
    if BLOCKS > 1:
        if thread_number() == 0:
            release(counters, group_number())
            wait_for(counters, group_number(), BLOCKS * count)
        syncthreads()


@device
def fill(tile: Any, kept: Any, array: Any, first: Any, B: Any, pitch: Any) -> None:
    """Bring an operand's values of the block's rows together in a tile of shared memory.

    Threads of neighbouring units exchange, so that each of them has both units of one row.
    """
    words = shared_words()
    if BLOCKS == 1:
        late = thread_number() // 4 % 2
        for two in range(EACH // 2):
            mine = kept[2 * two + 1] if late == 1 else kept[2 * two]
            other = shuffle_xor(kept[2 * two] if late == 1 else kept[2 * two + 1], 4)
            low, high = other if late == 1 else mine, mine if late == 1 else other
            row = WEIGHTS * UNITS + tile * ROWS + place_of_row(2 * two) + late
            put_one(words, row * (PITCH // 2) + unit_in_block() // 2, packed(HALF, low, high))
    else:
        for at in range(thread_number(), ROWS * HIDDEN // 4, THREADS):
            place, k = at // (HIDDEN // 4), at % (HIDDEN // 4) * 4
            row = group_number() * ROWS + place
            row = row if row < B else B - 1
            a, b, c, d = far_four(array, (first + row) * (pitch * HIDDEN) + k)
            target = (WEIGHTS * UNITS + tile * ROWS + place) * (PITCH // 2) + k // 2
            put_one(words, target, packed(HALF, a, b))
            put_one(words, target + 1, packed(HALF, c, d))


@device
def clear(totals: Any, count: Any) -> None:
    """Set `count` totals of each row to zero."""
    for at in range(count * EACH):
        totals[at] = real(0)


@device
def multiply(totals: Any, first: Any, slot: Any, count: Any, tile: Any) -> None:
    """Add products of `count` matrices, from a slot on, with a tile to totals from `first` on."""
    words = shared_words()
    values = local_array(EACH_2, word)
    within = thread_number() % 4 * 4
    weights = (slot * UNITS + unit_in_block()) * (PITCH // 2) + within
    rows = WEIGHTS * UNITS + tile * ROWS + rows_of_warp() + thread_number() % 32 // 4
    for k in range(0, HIDDEN // 2, 16):
        for two in range(EACH // 2):
            a, b, c, d = shared_four(words, (rows + 8 * two) * (PITCH // 2) + within + k)
            values[4 * two] = a
            values[4 * two + 1] = b
            values[4 * two + 2] = c
            values[4 * two + 3] = d
        for j in range(0, count - 1, 2):
            a, b, c, d = shared_four(words, weights + j * UNITS * (PITCH // 2) + k)
            e, f, g, h = shared_four(words, weights + (j + 1) * UNITS * (PITCH // 2) + k)
            for two in range(EACH // 2):
                at = (first + j) * EACH + 2 * two
                s, t, u, v = multiply_tiles(
                    HALF, a, e, b, f, values[4 * two], values[4 * two + 1],
                    totals[at], totals[at + 1], totals[at + EACH], totals[at + EACH + 1],
                )  # fmt: skip
                s, t, u, v = multiply_tiles(
                    HALF, c, g, d, h, values[4 * two + 2], values[4 * two + 3], s, t, u, v
                )
                totals[at] = s
                totals[at + 1] = t
                totals[at + EACH] = u
                totals[at + EACH + 1] = v
        if count % 2 == 1:
            a, b, c, d = shared_four(words, weights + (count - 1) * UNITS * (PITCH // 2) + k)
            for two in range(EACH // 2):
                at = (first + count - 1) * EACH + 2 * two
                s, t, u, v = multiply_tiles(
                    HALF, a, word(0), b, word(0), values[4 * two], values[4 * two + 1],
                    totals[at], totals[at + 1], real(0), real(0),
                )  # fmt: skip
                s, t, u, v = multiply_tiles(
                    HALF, c, word(0), d, word(0), values[4 * two + 2], values[4 * two + 3],
                    s, t, u, v,
                )  # fmt: skip
                totals[at] = s
                totals[at + 1] = t
