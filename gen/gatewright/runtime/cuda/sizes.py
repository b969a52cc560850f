"""Sizes that the text of whole-sequence kernels leaves open, by the names it imports.

    HIDDEN   units of a state          UNITS   units that a block owns
    BLOCKS   blocks that share rows    LANES   threads of a block that own one unit
    EACH     rows of a thread          ROWS    rows of a block, LANES * EACH
    THREADS  UNITS * LANES
    WIDTH    words of a row of shared memory that are multiplied: all units, and zeros
    PITCH    words from a row of shared memory to the next
    WEIGHTS  matrices in shared memory
    TILES    operands in shared memory at once: all of a product, or one
    KIND     what is multiplied: a value of KINDS

A word is a number, or two numbers of 16 bits. `EACH_4` is four times EACH. The values here are
those of the smallest kernel; `realms.sized` puts others in the place of the import.

Why names and not arguments: what a thread keeps stays in registers only if the compiler knows how
much it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN, UNITS, BLOCKS, LANES, EACH = 4, 4, 1, 1, 1
ROWS, THREADS, WIDTH, PITCH, WEIGHTS, TILES, KIND = 1, 4, 4, 8, 1, 1, 0
# Numbers as they are, or, on tensor cores, numbers of fewer bits.
KINDS = {"": 0, "bfloat16": 1, "float16": 2, "tf32": 3}
# Of these, two are a word.
PAIRED = (KINDS["bfloat16"], KINDS["float16"])
_MULTIPLE = re.compile(r"EACH_(\d+)")


def __getattr__(name: str) -> Any:
    if found := _MULTIPLE.fullmatch(name):
        return EACH * int(found[1])
    raise AttributeError(name)


def value(name: str, sizes: Mapping[str, int]) -> int:
    """Return the value of a size's name, multiples of EACH included."""
    found = _MULTIPLE.fullmatch(name)
    return sizes["EACH"] * int(found[1]) if found else sizes[name]
