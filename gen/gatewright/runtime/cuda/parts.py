"""Parts of whole-sequence kernels: their own rows and units, exchange, and products.

Written in the words of kernels, as generated files are; the text below the imports is put where a
generated file imports it. Shared memory holds WEIGHTS matrices [UNITS, HIDDEN], then a tile [ROWS,
HIDDEN] for every operand, rows PITCH apart.

Why four numbers at a time: eight threads then read 128 bytes from as many banks, and a row's pitch
of four more than a multiple of 32 keeps their rows apart.
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
    put_four,
    put_one,
    release,
    shared_four,
    shared_memory,
    syncthreads,
    thread_number,
    wait_for,
)
from gatewright.runtime.cuda.sizes import (
    BLOCKS,
    EACH,
    EACH_4,
    HIDDEN,
    LANES,
    PITCH,
    ROWS,
    THREADS,
    UNITS,
    WEIGHTS,
)


@device
def own_unit() -> Any:
    """Return the unit of this thread."""
    return member_number() * UNITS + thread_number() % UNITS


@device
def place_of_row(each: Any) -> Any:
    """Return which row of its block the thread's row `each` is."""
    return thread_number() // UNITS + each * LANES


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
    memory = shared_memory(real)
    for at in range(thread_number(), UNITS * HIDDEN, THREADS):
        unit, k = at // HIDDEN, at % HIDDEN
        value = weight[(member_number() * UNITS + unit) * HIDDEN + k]
        put_one(memory, (slot * UNITS + unit) * PITCH + k, value)


@device
def load_columns(weight: Any, slot: Any) -> None:
    """Copy the columns of a matrix that belong to the block's units, as rows."""
    memory = shared_memory(real)
    for at in range(thread_number(), UNITS * HIDDEN, THREADS):
        unit, k = at % UNITS, at // UNITS
        value = weight[k * HIDDEN + member_number() * UNITS + unit]
        put_one(memory, (slot * UNITS + unit) * PITCH + k, value)


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

    A block that owns all units has them in `kept`; others find them in `array`, whose rows from
    `first` on are `pitch` times HIDDEN apart.
    """
    memory = shared_memory(real)
    if BLOCKS == 1:
        for e in range(EACH):
            at = (WEIGHTS * UNITS + tile * ROWS + place_of_row(e)) * PITCH
            put_one(memory, at + thread_number() % UNITS, kept[e])
    else:
        for at in range(thread_number(), ROWS * HIDDEN // 4, THREADS):
            place, k = at // (HIDDEN // 4), at % (HIDDEN // 4) * 4
            row = group_number() * ROWS + place
            row = row if row < B else B - 1
            a, b, c, d = far_four(array, (first + row) * (pitch * HIDDEN) + k)
            put_four(memory, (WEIGHTS * UNITS + tile * ROWS + place) * PITCH + k, a, b, c, d)


@device
def clear(totals: Any, count: Any) -> None:
    """Set `count` totals of each row to zero."""
    for at in range(count * EACH):
        totals[at] = real(0)


@device
def multiply(totals: Any, first: Any, slot: Any, count: Any, tile: Any) -> None:
    """Add products of `count` matrices, from a slot on, with a tile to totals from `first` on."""
    memory = shared_memory(real)
    values = local_array(EACH_4, real)
    weights = slot * UNITS + thread_number() % UNITS
    rows = WEIGHTS * UNITS + tile * ROWS + thread_number() // UNITS
    for k in range(0, HIDDEN, 4):
        for e in range(EACH):
            a, b, c, d = shared_four(memory, (rows + e * LANES) * PITCH + k)
            values[4 * e] = a
            values[4 * e + 1] = b
            values[4 * e + 2] = c
            values[4 * e + 3] = d
        for j in range(count):
            a, b, c, d = shared_four(memory, (weights + j * UNITS) * PITCH + k)
            for e in range(EACH):
                at = (first + j) * EACH + e
                totals[at] += a * values[4 * e]
                totals[at] += b * values[4 * e + 1]
                totals[at] += c * values[4 * e + 2]
                totals[at] += d * values[4 * e + 3]
