"""Parts of whole-sequence kernels on tensor cores: what a thread owns, and its products.

A warp owns 8 units of 8 rows, or of several times 8: what its threads have after a product of tiles
is what they own, one unit of EACH rows, and nothing has to be exchanged. The 16 rows of a tile of
weights are 8 units of two matrices. Sums are float32.

Why a thread takes four neighbouring words at once: a product does not care which of its terms is
called the first, as long as both operands agree, and 16 bytes are one load of each. For the same
reason the text does not say what is in a word: tiles of tf32 are laid out in words as tiles of 16
bits are, and are half as deep.
"""

from __future__ import annotations

from typing import Any

from numpy import float64 as real

from gatewright.runtime.cuda import (
    device,
    local_array,
    multiply_tiles,
    shared_four,
    shared_words,
    thread_number,
    word,
)
from gatewright.runtime.cuda.sizes import (
    EACH,
    EACH_2,
    KIND,
    PITCH,
    ROWS,
    UNITS,
    WEIGHTS,
    WIDTH,
)


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
def multiply(totals: Any, first: Any, slot: Any, count: Any, tile: Any) -> None:
    """Add products of `count` matrices, from a slot on, with a tile to totals from `first` on."""
    words = shared_words()
    values = local_array(EACH_2, word)
    within = thread_number() % 4 * 4
    weights = (slot * UNITS + unit_in_block()) * PITCH + within
    rows = WEIGHTS * UNITS + tile * ROWS + rows_of_warp() + thread_number() % 32 // 4
    for k in range(0, WIDTH, 16):
        for two in range(EACH // 2):
            a, b, c, d = shared_four(words, (rows + 8 * two) * PITCH + within + k)
            values[4 * two] = a
            values[4 * two + 1] = b
            values[4 * two + 2] = c
            values[4 * two + 3] = d
        for j in range(0, count - 1, 2):
            a, b, c, d = shared_four(words, weights + j * UNITS * PITCH + k)
            e, f, g, h = shared_four(words, weights + (j + 1) * UNITS * PITCH + k)
            for two in range(EACH // 2):
                at = (first + j) * EACH + 2 * two
                s, t, u, v = multiply_tiles(
                    KIND, a, e, b, f, values[4 * two], values[4 * two + 1],
                    totals[at], totals[at + 1], totals[at + EACH], totals[at + EACH + 1],
                )  # fmt: skip
                s, t, u, v = multiply_tiles(
                    KIND, c, g, d, h, values[4 * two + 2], values[4 * two + 3], s, t, u, v
                )
                totals[at] = s
                totals[at + 1] = t
                totals[at + EACH] = u
                totals[at + EACH + 1] = v
        if count % 2 == 1:
            a, b, c, d = shared_four(words, weights + (count - 1) * UNITS * PITCH + k)
            for two in range(EACH // 2):
                at = (first + count - 1) * EACH + 2 * two
                s, t, u, v = multiply_tiles(
                    KIND, a, word(0), b, word(0), values[4 * two], values[4 * two + 1],
                    totals[at], totals[at + 1], real(0), real(0),
                )  # fmt: skip
                s, t, u, v = multiply_tiles(
                    KIND, c, word(0), d, word(0), values[4 * two + 2], values[4 * two + 3],
                    s, t, u, v,
                )  # fmt: skip
                totals[at] = s
                totals[at + 1] = t
