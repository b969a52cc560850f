"""Parts of whole-sequence kernels on tensor cores: what a thread owns, and its products.

A warp, or PARTS of them that take turns with the terms, own 8 units of 8 rows, or of several times
8: what their threads have after a product of tiles, and one exchange of sums, is what they own: one
unit of EACH rows. The 16 rows of a tile of weights are 8 units of two matrices. Sums are float32.

Why a thread takes four neighbouring words at once: a product does not care which of its terms is
called the first, as long as both operands agree, and 16 bytes are one load of each. For the same
reason the text does not say what is in a word: tiles of tf32 are laid out in words as tiles of 16
bits are, and are half as deep.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    as_word,
    device,
    local_array,
    multiply_tiles,
    put_one,
    shared_four,
    shared_memory,
    shared_one,
    shared_words,
    syncthreads,
    thread_number,
    word,
)
from gatewright.runtime.cuda.sizes import (
    EACH,
    HELD,
    KIND,
    PARTS,
    PITCH,
    REST,
    REST_PITCH,
    ROWS,
    SUMS,
    SUMS_2,
    SUMS_4,
    SUMS_AT,
    TILES_AT,
    UNITS,
    WIDTH,
)


@device
def unit_in_block() -> Any:
    """Return the unit of this thread among those of its block."""
    return thread_number() // (32 * PARTS) % (UNITS // 8) * 8 + thread_number() % 32 // 4


@device
def rows_of_warp() -> Any:
    """Return the first row of this warp, and of those it shares units with, in their block."""
    return thread_number() // (32 * PARTS) // (UNITS // 8) * (SUMS * 4)


@device
def place_of_row(each: Any) -> Any:
    """Return which row of its block the thread's row `each` is."""
    at = thread_number() // 32 % PARTS * EACH + each
    return rows_of_warp() + at // 2 * 8 + thread_number() % 4 * 2 + at % 2


@device
def place_of_four(turn: Any) -> Any:
    """Return where in a row the four words are that the thread multiplies in a turn.

    Four threads have the 16 words of their warp, and warps with the same units take turns.
    """
    return (turn * PARTS + thread_number() // 32 % PARTS) * 16 + thread_number() % 4 * 4


@device
def read_tile(values: Any, words: Any, first: Any) -> None:
    """Read the thread's words of a tile, four of each of its warp's rows that are 8 apart."""
    for two in range(SUMS // 2):
        a, b, c, d = shared_four(words, first + 8 * two * PITCH)
        values[4 * two] = a
        values[4 * two + 1] = b
        values[4 * two + 2] = c
        values[4 * two + 3] = d


@device
def add_one(sums: Any, values: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Add products of four words of one matrix to eight sums of each two rows.

    What is multiplied first are the upper two of its words in the upper half of a tile, and then
    the lower two in the lower half: the other halves of both products mean nothing.
    """
    for two in range(SUMS // 2):
        at = 8 * two
        s, t, u, v = multiply_tiles(
            KIND, a, c, b, d, values[4 * two], values[4 * two + 1],
            sums[at], sums[at + 1], sums[at + 2], sums[at + 3],
        )  # fmt: skip
        sums[at] = s
        sums[at + 1] = t
        sums[at + 2] = u
        sums[at + 3] = v
        s, t, u, v = multiply_tiles(
            KIND, a, c, b, d, values[4 * two + 2], values[4 * two + 3],
            sums[at + 4], sums[at + 5], sums[at + 6], sums[at + 7],
        )  # fmt: skip
        sums[at + 4] = s
        sums[at + 5] = t
        sums[at + 6] = u
        sums[at + 7] = v


@device
def add_two(
    totals: Any, first: Any, values: Any,
    a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any,
) -> None:  # fmt: skip
    """Add products of four words of a matrix, and of four of the next one."""
    for two in range(SUMS // 2):
        at = first + 2 * two
        s, t, u, v = multiply_tiles(
            KIND, a, e, b, f, values[4 * two], values[4 * two + 1],
            totals[at], totals[at + 1], totals[at + SUMS], totals[at + SUMS + 1],
        )  # fmt: skip
        s, t, u, v = multiply_tiles(
            KIND, c, g, d, h, values[4 * two + 2], values[4 * two + 3], s, t, u, v
        )
        totals[at] = s
        totals[at + 1] = t
        totals[at + SUMS] = u
        totals[at + SUMS + 1] = v


@device
def multiply(totals: Any, held: Any, first: Any, slot: Any, count: Any, tile: Any) -> None:
    """Add products of `count` matrices, from a slot on, with a tile to totals from `first` on."""
    words = shared_words()
    values = local_array(SUMS_2, word)
    # Sums of a matrix that has no other to share a tile with.
    alone = local_array(SUMS_4, real)
    for at in range(4 * SUMS):
        alone[at] = real(0)
    row = tile * ROWS + rows_of_warp() + thread_number() % 32 // 4
    tiles = TILES_AT + row * PITCH + place_of_four(0)
    if HELD > 0:
        for turn in range(HELD // 4):
            read_tile(values, words, tiles + turn * (16 * PARTS))
            for j in range(0, count - 1, 2):
                at = (slot + j) * HELD + 4 * turn
                add_two(
                    totals, (first + j) * SUMS, values,
                    as_word(held[at]), as_word(held[at + 1]),
                    as_word(held[at + 2]), as_word(held[at + 3]),
                    as_word(held[at + HELD]), as_word(held[at + HELD + 1]),
                    as_word(held[at + HELD + 2]), as_word(held[at + HELD + 3]),
                )  # fmt: skip
            if count % 2 == 1:
                at = (slot + count - 1) * HELD + 4 * turn
                add_one(
                    alone, values,
                    as_word(held[at]), as_word(held[at + 1]),
                    as_word(held[at + 2]), as_word(held[at + 3]),
                )  # fmt: skip
    if REST > 0:
        weights = (slot * UNITS + unit_in_block()) * REST_PITCH + place_of_four(0)
        for k in range(0, REST, 16 * PARTS):
            read_tile(values, words, tiles + WIDTH - REST + k)
            for j in range(0, count - 1, 2):
                a, b, c, d = shared_four(words, weights + j * (UNITS * REST_PITCH) + k)
                e, f, g, h = shared_four(words, weights + (j + 1) * (UNITS * REST_PITCH) + k)
                add_two(totals, (first + j) * SUMS, values, a, b, c, d, e, f, g, h)
            if count % 2 == 1:
                a, b, c, d = shared_four(words, weights + (count - 1) * (UNITS * REST_PITCH) + k)
                add_one(alone, values, a, b, c, d)
    if count % 2 == 1:
        for two in range(SUMS // 2):
            at = (first + count - 1) * SUMS + 2 * two
            totals[at] += alone[8 * two] + alone[8 * two + 6]
            totals[at + 1] += alone[8 * two + 1] + alone[8 * two + 7]


@device
def collect(totals: Any, count: Any) -> None:
    """Make `count` totals of sums: add up those of the warps that own the same units.

    Each warp has sums for the rows of all of them, and lanes of one number are for the same unit.
    """
    if PARTS > 1:
        memory = shared_memory(real)
        warp, lane = thread_number() // 32, thread_number() % 32
        team, part = SUMS_AT + warp // PARTS * (PARTS * count * SUMS * 32) + lane, warp % PARTS
        for at in range(count * SUMS):
            put_one(memory, team + (part * count * SUMS + at) * 32, totals[at])
        syncthreads()
        for j in range(count):
            for e in range(EACH):
                found = real(0)
                for other in range(PARTS):
                    at = (other * count + j) * SUMS + part * EACH + e
                    found += shared_one(memory, team + at * 32)
                totals[j * EACH + e] = found
