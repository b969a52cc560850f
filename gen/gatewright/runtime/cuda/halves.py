"""Numbers of 16 bits and products of their tiles, as NumPy computes them: for the emulator.

Why float32 sums of exact products: the products of two numbers of 16 bits are exact in float32, and
tensor cores add them in at least that precision, in an order that they do not promise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewright.runtime.cuda.sizes import HALVES

_LANES = np.arange(32)
_ROW, _PAIR = _LANES // 4, _LANES % 4 * 2


def rounded(half: int, values: Any) -> NDArray[np.uint16]:
    """Return numbers as the bits of 16-bit ones, rounded to nearest, ties to even."""
    numbers = np.asarray(values, np.float32)
    if half == HALVES["float16"]:
        return numbers.astype(np.float16).view(np.uint16)
    bits = numbers.view(np.uint32)
    found = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(numbers), np.uint16(0x7FC0), found)


def widened(half: int, bits: Any) -> NDArray[np.float32]:
    """Return the numbers that bits of 16-bit ones stand for."""
    halves = np.asarray(bits, np.uint16)
    if half == HALVES["float16"]:
        return halves.view(np.float16).astype(np.float32)
    return (halves.astype(np.uint32) << 16).view(np.float32)


def pack(half: int, low: Any, high: Any) -> np.uint32:
    """Return two numbers as one word, the first in its low bits."""
    first, second = rounded(half, np.array([low, high]))
    return np.uint32(int(first) | int(second) << 16)


def product_of_tiles(half: int, operands: list[Any]) -> list[tuple[Any, ...]]:
    """Return what each lane has after `mma.m16n8k16`: four of the sums of a tile [16, 8].

    Every lane brings four words of the left tile, two of the right one, and four sums.
    """
    words = np.array([each[:6] for each in operands], np.uint32)
    sums = np.array([each[6:] for each in operands], np.float32)
    low, high = widened(half, words & 0xFFFF), widened(half, words >> 16)
    left, right = np.zeros((16, 16), np.float32), np.zeros((16, 8), np.float32)
    for number, (down, across) in enumerate(((0, 0), (8, 0), (0, 8), (8, 8))):
        left[_ROW + down, _PAIR + across] = low[:, number]
        left[_ROW + down, _PAIR + across + 1] = high[:, number]
    for number, down in enumerate((0, 8)):
        right[_PAIR + down, _ROW] = low[:, 4 + number]
        right[_PAIR + down + 1, _ROW] = high[:, 4 + number]
    target = np.zeros((16, 8), np.float32)
    places = ((_ROW, _PAIR), (_ROW, _PAIR + 1), (_ROW + 8, _PAIR), (_ROW + 8, _PAIR + 1))
    for number, place in enumerate(places):
        target[place] = sums[:, number]
    found = left @ right + target
    return [tuple(found[row[n], column[n]] for row, column in places) for n in _LANES]
