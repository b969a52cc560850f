"""Parts of whole-sequence kernels without tensor cores: what a thread owns, and its products.

Why four numbers at a time: eight threads then read 128 bytes, and a row's pitch of an odd number of
fours keeps their rows in banks of their own.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    device,
    local_array,
    shared_four,
    shared_memory,
    thread_number,
)
from gatewright.runtime.cuda.sizes import (
    EACH,
    EACH_4,
    LANES,
    PITCH,
    REST,
    REST_PITCH,
    ROWS,
    TILES_AT,
    UNITS,
    WIDTH,
)


@device
def unit_in_block() -> Any:
    """Return the unit of this thread among those of its block."""
    return thread_number() % UNITS


@device
def place_of_row(each: Any) -> Any:
    """Return which row of its block the thread's row `each` is."""
    return thread_number() // UNITS + each * LANES


@device
def place_of_four(turn: Any) -> Any:
    """Return where in a row the four words are that the thread multiplies in a turn."""
    return turn * 4


@device
def read_tile(values: Any, memory: Any, first: Any) -> None:
    """Read four words of each of the thread's rows of a tile."""
    for e in range(EACH):
        a, b, c, d = shared_four(memory, first + e * LANES * PITCH)
        values[4 * e] = a
        values[4 * e + 1] = b
        values[4 * e + 2] = c
        values[4 * e + 3] = d


@device
def add(totals: Any, first: Any, values: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Add products of four words of a matrix to the totals from `first` on."""
    for e in range(EACH):
        totals[first + e] += a * values[4 * e]
        totals[first + e] += b * values[4 * e + 1]
        totals[first + e] += c * values[4 * e + 2]
        totals[first + e] += d * values[4 * e + 3]


@device
def multiply(totals: Any, held: Any, first: Any, slot: Any, count: Any, tile: Any) -> None:
    """Add products of `count` matrices, from a slot on, with a tile to totals from `first` on."""
    memory = shared_memory(real)
    values = local_array(EACH_4, real)
    tiles = TILES_AT + (tile * ROWS + thread_number() // UNITS) * PITCH
    if REST > 0:
        weights = (slot * UNITS + unit_in_block()) * REST_PITCH
        for k in range(0, REST, 4):
            read_tile(values, memory, tiles + WIDTH - REST + k)
            for j in range(count):
                a, b, c, d = shared_four(memory, weights + j * (UNITS * REST_PITCH) + k)
                add(totals, (first + j) * EACH, values, a, b, c, d)


@device
def collect(totals: Any, count: Any) -> None:
    """Leave totals as they are: a thread has added up all terms of its own."""
