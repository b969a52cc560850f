"""What tensor cores multiply, and products of their tiles, as NumPy computes them: the emulator's.

Numbers are bfloat16, float16 (two in a word of 32 bits) or tf32, whose words are those of float32
with the last 13 bits zero.

Why float32 sums of exact products: the products of two such numbers are exact in float32, and
tensor cores add them in at least that precision, in an order that they do not promise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewright.runtime.cuda.sizes import KINDS, PAIRED

_LANES = np.arange(32)
_ROW, _COLUMN = _LANES // 4, _LANES % 4
_TF32 = np.uint32(0xFFFFE000)


def tf32(values: Any) -> NDArray[np.float32]:
    """Return numbers rounded to the nearest of tf32, ties away from zero."""
    numbers = np.asarray(values, np.float32)
    found = ((numbers.view(np.uint32) + np.uint32(0x1000)) & _TF32).view(np.float32)
    return np.where(np.isnan(numbers), numbers, found)


def rounded(kind: int, values: Any) -> NDArray[np.uint16]:
    """Return numbers as the bits of 16-bit ones, rounded to nearest, ties to even."""
    numbers = np.asarray(values, np.float32)
    if kind == KINDS["float16"]:
        return numbers.astype(np.float16).view(np.uint16)
    bits = numbers.view(np.uint32)
    found = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(numbers), np.uint16(0x7FC0), found)


def pack(kind: int, low: Any, high: Any) -> np.uint32:
    """Return two numbers as one word, the first in its low bits."""
    first, second = rounded(kind, np.array([low, high]))
    return np.uint32(int(first) | int(second) << 16)


def widened(kind: int, words: Any) -> NDArray[np.float32]:
    """Return the numbers that words [...] stand for: [..., 2], or [..., 1] of tf32."""
    given = np.asarray(words, np.uint32)
    if kind not in PAIRED:
        return (given & _TF32).view(np.float32)[..., None]
    halves = np.stack((given & 0xFFFF, given >> 16), -1)
    if kind == KINDS["float16"]:
        return halves.astype(np.uint16).view(np.float16).astype(np.float32)
    return (halves << 16).astype(np.uint32).view(np.float32)


def product_of_tiles(kind: int, operands: list[Any]) -> list[tuple[Any, ...]]:
    """Return what each lane has after `mma.m16n8k16`, or `mma.m16n8k8` of tf32.

    That is four of the sums of a tile [16, 8]. Every lane brings four words of the left tile [16, 8
    words], two of the right one [8 words, 8], and four sums.
    """
    words = np.array([each[:6] for each in operands], np.uint32)
    sums = np.array([each[6:] for each in operands], np.float32)
    left, right = np.zeros((16, 8), np.uint32), np.zeros((8, 8), np.uint32)
    for number, (down, across) in enumerate(((0, 0), (8, 0), (0, 4), (8, 4))):
        left[_ROW + down, _COLUMN + across] = words[:, number]
    for number, down in enumerate((0, 4)):
        right[_COLUMN + down, _ROW] = words[:, 4 + number]
    target = np.zeros((16, 8), np.float32)
    places = [(_ROW + down, 2 * _COLUMN + across) for down in (0, 8) for across in (0, 1)]
    for number, place in enumerate(places):
        target[place] = sums[:, number]
    terms = widened(kind, left).reshape(16, -1)
    factors = widened(kind, right).transpose(0, 2, 1).reshape(-1, 8)
    found = terms @ factors + target
    return [tuple(found[row[n], column[n]] for row, column in places) for n in _LANES]
