"""Parts of whole-sequence kernels: what a thread owns, where weights stand, and where blocks meet.

Written in the words of kernels, as generated files are; the text below the imports is put where a
generated file imports it. What a thread owns and how it multiplies is `parts_plain.py`, or
`parts_tensor.py` on tensor cores; what is in a word is `parts_numbers.py`, or `parts_pairs.py` for
two numbers of 16 bits. Shared memory holds, for every matrix, rows of REST words for UNITS units,
REST_PITCH apart; from TILES_AT on a tile [ROWS, WIDTH] for every operand, rows PITCH apart; from
SUMS_AT on the sums of warps that share units.

Why a unit or row that is not there computes what the last one does, and stores nothing: no size has
to be a multiple of another, and all threads reach every barrier.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    copied,
    copy_four,
    device,
    group_number,
    member_number,
    put_one,
    release,
    shared_memory,
    shared_one,
    syncthreads,
    thread_number,
    wait_for,
)
from gatewright.runtime.cuda.parts_numbers import column_word, put_values, row_word
from gatewright.runtime.cuda.parts_plain import collect as collect
from gatewright.runtime.cuda.parts_plain import multiply as multiply
from gatewright.runtime.cuda.parts_plain import place_of_four, place_of_row, unit_in_block
from gatewright.runtime.cuda.sizes import (
    BLOCKS,
    EACH,
    FILLED,
    HELD,
    HIDDEN,
    LANES,
    OPERANDS,
    PITCH,
    REST,
    REST_PITCH,
    ROWS,
    SUMS,
    THREADS,
    TILES,
    TILES_AT,
    UNITS,
    WIDTH,
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
def load_rows(held: Any, weight: Any, slot: Any) -> None:
    """Copy a matrix's rows of the block's units: to registers, and the rest to shared memory."""
    memory, first = shared_memory(real), member_number() * UNITS
    if HELD > 0:
        syncthreads()
        for at in range(thread_number(), UNITS * (WIDTH - REST), THREADS):
            unit, k = at // (WIDTH - REST), at % (WIDTH - REST)
            put_one(memory, TILES_AT + unit * PITCH + k, row_word(weight, first + unit, k))
        syncthreads()
        hold(held, slot)
    if REST > 0:
        for at in range(thread_number(), UNITS * REST, THREADS):
            unit, k = at // REST, at % REST
            number = row_word(weight, first + unit, WIDTH - REST + k)
            put_one(memory, (slot * UNITS + unit) * REST_PITCH + k, number)


@device
def load_columns(held: Any, weight: Any, slot: Any) -> None:
    """Copy a matrix's columns of the block's units, as rows."""
    memory, first = shared_memory(real), member_number() * UNITS
    if HELD > 0:
        syncthreads()
        for at in range(thread_number(), UNITS * (WIDTH - REST), THREADS):
            unit, k = at % UNITS, at // UNITS
            put_one(memory, TILES_AT + unit * PITCH + k, column_word(weight, first + unit, k))
        syncthreads()
        hold(held, slot)
    if REST > 0:
        for at in range(thread_number(), UNITS * REST, THREADS):
            unit, k = at % UNITS, at // UNITS
            number = column_word(weight, first + unit, WIDTH - REST + k)
            put_one(memory, (slot * UNITS + unit) * REST_PITCH + k, number)


@device
def hold(held: Any, slot: Any) -> None:
    """Take the thread's words of a matrix, which stands where tiles will, to its registers."""
    memory, row = shared_memory(real), TILES_AT + unit_in_block() * PITCH
    for turn in range(HELD // 4):
        for k in range(4):
            held[slot * HELD + 4 * turn + k] = shared_one(memory, row + place_of_four(turn) + k)


@device
def clear_tiles() -> None:
    """Set all tiles to zero: words beyond the last unit are multiplied, and nobody fills them."""
    memory = shared_memory(real)
    if HELD > 0:
        syncthreads()
    for at in range(thread_number(), TILES * ROWS * PITCH, THREADS):
        put_one(memory, TILES_AT + at, real(0))


@device
def clear(totals: Any, count: Any) -> None:
    """Set all sums of `count` totals to zero."""
    for at in range(count * SUMS):
        totals[at] = real(0)


@device
def share(exchange: Any, operand: Any, kept: Any, count: Any) -> None:
    """Write the thread's values of an operand where other blocks find them.

    That is before they meet for the `count`th time. Blocks that have met may still read what was
    shared for that, and nobody reads what was shared for the time before.
    """
    if BLOCKS > 1:
        slab = (group_number() * 2 + count % 2) * OPERANDS + operand
        put_values(exchange, slab * (ROWS * FILLED), FILLED, kept)


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
def fill(tile: Any, exchange: Any, operand: Any, kept: Any, count: Any) -> None:
    """Bring an operand's values of the block's rows together in a tile of shared memory.

    A block that owns all units has them in `kept`; others start to copy what all have shared.
    """
    memory = shared_memory(real)
    tiles = TILES_AT + tile * (ROWS * PITCH)
    if BLOCKS == 1:
        put_values(memory, tiles, PITCH, kept)
    else:
        slab = (group_number() * 2 + count % 2) * OPERANDS + operand
        row, first = thread_number() // UNITS, thread_number() % UNITS * 4
        near, far = tiles + row * PITCH + first, (slab * ROWS + row) * FILLED + first
        for e in range(EACH):
            for k in range(0, FILLED, 4 * UNITS):
                if k + 4 * UNITS <= FILLED or first + k < FILLED:
                    at = e * LANES
                    copy_four(memory, near + at * PITCH + k, exchange, far + at * FILLED + k)


@device
def filled() -> None:
    """Wait until all that the threads of the block filled can be read."""
    if BLOCKS > 1:
        copied()
    syncthreads()
