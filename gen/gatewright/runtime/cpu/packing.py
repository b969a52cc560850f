"""Matrices -> packed matrices: runs of `width` columns, each [depth, width], the last with zeros.

Why runs: a tile then reads its weights from start to end, one vector after the other.
"""

from __future__ import annotations

from typing import Any

from gatewright.runtime.cpu.compiled import plain
from gatewright.runtime.cpu.drivers import driver
from gatewright.runtime.cpu.moves import LANES, clear, copy, turn
from gatewright.runtime.cpu.parts import WIDTHS, Part

Array = Any


def packed_shape(rows: int, columns: int, itemsize: int) -> tuple[int, int, int]:
    """Return the shape that a matrix with some rows and columns is packed in for `product`."""
    size = WIDTHS[itemsize]
    return (rows + size - 1) // size, columns, size


@driver
def pack(part: Part, weights: tuple[Array, ...], packed: tuple[Array, ...]) -> None:
    """Pack each [M, K] matrix for `product`: runs of its rows, each [K, width]."""
    for number in range(len(weights)):
        weight, target = weights[number], packed[number]
        source, flat = weight.reshape(weight.size), target.reshape(target.size)
        runs, depth, size = target.shape
        for run in range(part[0] * runs // part[1], (part[0] + 1) * runs // part[1]):
            valid = min(size, weight.shape[0] - run * size)
            _turn_run(source, run * size * depth, valid, depth, flat, run * depth * size, size)


@plain
def _turn_run(source, at, valid, depth, target, to, size):  # type: ignore[no-untyped-def]
    """Write `valid` rows of numbers as columns [depth, size], and zeros beside them."""
    lanes = LANES[source.itemsize]
    squares, whole = valid // lanes * lanes, depth // lanes * lanes
    for k in range(0, whole, lanes):
        for v in range(0, squares, lanes):
            turn(source, at + v * depth + k, depth, target, to + k * size + v, size)
    for k in range(depth):
        for v in range(squares if k < whole else 0, valid):
            target[to + k * size + v] = source[at + v * depth + k]
        if valid < size:
            clear(target, to + k * size + valid, size - valid)


@driver
def pack_transposed(part: Part, weights: tuple[Array, ...], packed: tuple[Array, ...]) -> None:
    """Pack each [M, K] matrix for `product_transposed`: runs of its columns, each [M, width]."""
    for number in range(len(weights)):
        weight, target = weights[number], packed[number]
        source, flat = weight.reshape(weight.size), target.reshape(target.size)
        runs, depth, size = target.shape
        columns = weight.shape[1]
        first, last = part[0] * runs // part[1], (part[0] + 1) * runs // part[1]
        for k in range(depth):
            for run in range(first, last):
                valid = min(size, columns - run * size)
                to = (run * depth + k) * size
                copy(source, k * columns + run * size, flat, to, valid)
                if valid < size:
                    clear(flat, to + valid, size - valid)
