"""Sizes that the text of whole-sequence kernels leaves open, by the names it imports.

    HIDDEN   units of a state          UNITS   units that a block owns
    BLOCKS   blocks that share rows    LANES   threads of a block that own one unit
    EACH     rows of a thread          ROWS    rows of a block, LANES * EACH
    THREADS  UNITS * LANES
    PARTS    warps that own the same units and rows, and each multiply a part of the terms
    SUMS     sums that a thread has of each total, EACH * PARTS: of the rows of all these warps
    KIND     what is multiplied: a value of KINDS
    WIDTH    words of a row that are multiplied: all units, and zeros
    FILLED   of these, words that threads write; other blocks copy them four at a time
    HELD     words of each matrix in registers of a thread; 0: all stand in shared memory
    REST     words of a row of a matrix in shared memory, the last ones: WIDTH - 4 * PARTS * HELD
             (all of them without tensor cores)
    TILES    operands in shared memory at once: all of a product, or one
    OPERANDS operands that blocks exchange at once at most

REST_PITCH and PITCH are words from a row of a matrix, or of a tile, to the next in shared memory,
TILES_AT and SUMS_AT words before its first tile, and before sums that warps exchange.

A word is a number, or two numbers of 16 bits. `EACH_4` is four times EACH, and one at least where
that is nothing, for no array is empty. The values here are those of the smallest kernel;
`realms.sized` puts others in the place of the import.

Why names and not arguments: what a thread keeps stays in registers only if the compiler knows how
much it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN, UNITS, BLOCKS, LANES, EACH, ROWS, THREADS, PARTS, SUMS = 4, 4, 1, 1, 1, 1, 4, 1, 1
KIND, WIDTH, FILLED, HELD, REST, TILES, OPERANDS = 0, 4, 4, 0, 4, 1, 1
REST_PITCH, PITCH, TILES_AT, SUMS_AT = 8, 8, 32, 40
# Numbers as they are, or, on tensor cores, numbers of fewer bits.
KINDS = {"": 0, "bfloat16": 1, "float16": 2, "tf32": 3}
# Of these, two are a word.
PAIRED = (KINDS["bfloat16"], KINDS["float16"])
_MULTIPLE = re.compile(r"(EACH|HELD|SUMS)(?:_(\d+))")


def __getattr__(name: str) -> Any:
    if _MULTIPLE.fullmatch(name):
        return value(name, {"EACH": EACH, "HELD": HELD, "SUMS": SUMS})
    raise AttributeError(name)


def value(name: str, sizes: Mapping[str, int]) -> int:
    """Return the value of a size's name, or of a multiple such as `EACH_4`."""
    found = _MULTIPLE.fullmatch(name)
    return max(1, sizes[found[1]] * int(found[2])) if found else sizes[name]
