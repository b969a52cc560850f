"""Parts of whole-sequence kernels without tensor cores: what a thread owns, and its products.

Why four numbers at a time: eight threads then read 128 bytes from as many banks, and a row's pitch
of four more than a multiple of 32 keeps their rows apart.
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
from gatewright.runtime.cuda.sizes import EACH, EACH_4, LANES, PITCH, ROWS, UNITS, WEIGHTS, WIDTH


@device
def unit_in_block() -> Any:
    """Return the unit of this thread among those of its block."""
    return thread_number() % UNITS


@device
def place_of_row(each: Any) -> Any:
    """Return which row of its block the thread's row `each` is."""
    return thread_number() // UNITS + each * LANES


@device
def multiply(totals: Any, first: Any, slot: Any, count: Any, tile: Any) -> None:
    """Add products of `count` matrices, from a slot on, with a tile to totals from `first` on."""
    memory = shared_memory(real)
    values = local_array(EACH_4, real)
    weights = slot * UNITS + unit_in_block()
    rows = WEIGHTS * UNITS + tile * ROWS + thread_number() // UNITS
    for k in range(0, WIDTH, 4):
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
