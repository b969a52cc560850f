"""Matrix products of generated CPU files, in tiles, each for the part of one thread.

Matrices come packed (`pack`): runs of `width` columns, each [depth, width], the last one filled up
with zeros. `product` and `product_transposed` differ only in what was packed. Every function writes
its targets and never reads them, except `outer_more`, which adds. Operands and results are
[rows, columns] arrays, row-major and contiguous.

Why the parts are inside: a thread that owns units multiplies with its own runs for the whole
sequence, so they stay in its own cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cpu.compiled import driver
from gatewright.runtime.cpu.parts import (
    HALVES,
    WIDTHS,
    Part,
    first_row,
    first_unit,
    last_row,
    last_unit,
)
from gatewright.runtime.cpu.tiles import HALF, TALL, WIDE, tile

Array = Any
# Rows of an operand that stay in a core's second-level cache with one run of the weights.
_CHUNK = 96
# Depth of a piece of a run that stays in the first-level cache, 32 KiB with AVX-512.
_DEPTH = 128
_LINE = 16


def _strips(vectors: int) -> Any:
    """Return a function that multiplies some rows with so many vectors of a run."""
    six, four, two, one = (tile(rows, vectors) for rows in (TALL, 4, 2, 1))

    @driver
    def strip(a, ia, row_step, depth_step, rows, b, ib, depth, c, ic, c_step, add):  # type: ignore[no-untyped-def]
        row = 0
        while rows - row >= TALL:
            six(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c, ic + row * c_step,
                c_step, add)  # fmt: skip
            row += TALL
        if rows - row >= 4:
            four(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c, ic + row * c_step,
                 c_step, add)  # fmt: skip
            row += 4
        if rows - row >= 2:
            two(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c, ic + row * c_step,
                c_step, add)  # fmt: skip
            row += 2
        if rows - row >= 1:
            one(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c, ic + row * c_step,
                c_step, add)  # fmt: skip

    return strip


_wide, _half = _strips(WIDE), _strips(HALF)


@driver
def _edge(a, ia, row_step, depth_step, rows, b, ib, depth, c, ic, c_step, columns, add):  # type: ignore[no-untyped-def]
    """Multiply some rows with the first columns of half a run, where the target ends inside it."""
    size = HALVES[c.itemsize]
    aside = np.empty((TALL, size), c.dtype)
    flat = c.reshape(c.size)
    for row in range(0, rows, TALL):
        count = min(TALL, rows - row)
        _half(a, ia + row * row_step, row_step, depth_step, count, b, ib, depth, aside, 0, size,
              False)  # fmt: skip
        for r in range(count):
            at = ic + (row + r) * c_step
            for column in range(columns):
                if add:
                    flat[at + column] += aside[r, column]
                else:
                    flat[at + column] = aside[r, column]


@driver
def _columns(  # type: ignore[no-untyped-def]
    a, ia, row_step, depth_step, rows, b, ib, stride, depth, c, ic, c_step, first, last, add
):
    """Multiply some rows with columns `first` to `last` of a packed operand.

    Its runs are `stride` numbers apart. A piece of a run that fits the first-level cache serves all
    rows before the next one is read.
    """
    size, half = WIDTHS[c.itemsize], HALVES[c.itemsize]
    piece = depth if rows <= TALL else _DEPTH
    at = first
    while at < last:
        within = at % size
        packed = ib + at // size * stride + within
        count = min(size - within, last - at)
        if count < half:
            _edge(a, ia, row_step, depth_step, rows, b, packed, depth, c, ic + at, c_step, count,
                  add)  # fmt: skip
            at += count
            continue
        for start in range(0, max(depth, 1), max(piece, 1)):
            more = add or start > 0
            deep = min(piece, depth - start)
            source = ia + start * depth_step
            if count == size:
                _wide(a, source, row_step, depth_step, rows, b, packed + start * size, deep, c,
                      ic + at, c_step, more)  # fmt: skip
            else:
                _half(a, source, row_step, depth_step, rows, b, packed + start * size, deep, c,
                      ic + at, c_step, more)  # fmt: skip
        at += size if count == size else half


@driver
def _multiply(
    part: Part, operand: Array, first: int, count: int, packed: Array, target: Array, add: bool
) -> None:
    """Multiply `count` rows of the operand, from `first` on, for the part's units."""
    depth, columns = operand.shape[1], target.shape[1]
    _columns(operand, first * depth, depth, 1, count, packed, 0, depth * packed.shape[2], depth,
             target, first * columns, columns, first_unit(part, target), last_unit(part, target),
             add)  # fmt: skip


@driver
def product(
    part: Part, operand: Array, weights: tuple[Array, ...], targets: tuple[Array, ...]
) -> None:
    """Compute `targets[k][row] = weights[k] @ operand[row]` for the part's rows and units."""
    stop = last_row(part, operand)
    for first in range(first_row(part, operand), stop, _CHUNK):
        count = min(_CHUNK, stop - first)
        for k in range(len(weights)):
            _multiply(part, operand, first, count, weights[k], targets[k], False)


@driver
def product_transposed(
    part: Part, operands: tuple[Array, ...], weights: tuple[Array, ...], target: Array
) -> None:
    """Compute `target[row] = sum over k of weights[k].T @ operands[k][row]` for a part.

    The weights are packed transposed.
    """
    stop = last_row(part, target)
    for first in range(first_row(part, target), stop, _CHUNK):
        count = min(_CHUNK, stop - first)
        for k in range(len(weights)):
            _multiply(part, operands[k], first, count, weights[k], target, k > 0)


@driver
def outer(part: Part, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]) -> None:
    """Compute `targets[k] = sum over rows of lefts[k][row] outer right[row]` for a part."""
    _outer(part, lefts, right, targets, False)


@driver
def outer_more(
    part: Part, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]
) -> None:
    """Add to `targets[k]` the sum over rows of `lefts[k][row] outer right[row]`."""
    _outer(part, lefts, right, targets, True)


@driver
def _outer(
    part: Part, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...], add: bool
) -> None:
    rows, columns = right.shape
    size = WIDTHS[right.itemsize]
    runs = (columns + size - 1) // size
    # A vector that straddles two cache lines takes two loads: the runs begin on a line.
    packed = np.empty(runs * _DEPTH * size + _LINE, right.dtype)
    start_at = -(packed.ctypes.data // right.itemsize) % _LINE
    for k in range(len(targets)):
        target = targets[k]
        if rows == 0 and not add:
            for m in range(_first_tall(part, target.shape[0]), _last_tall(part, target.shape[0])):
                target[m, :] = 0
    for first in range(0, rows, _DEPTH):
        depth = min(_DEPTH, rows - first)
        _pack_rows(right, first, depth, packed, start_at)
        for k in range(len(targets)):
            left, target = lefts[k], targets[k]
            height = target.shape[0]
            start, stop = _first_tall(part, height), _last_tall(part, height)
            for m in range(start, stop, TALL):
                _columns(left, first * height + m, 1, height, min(TALL, stop - m), packed,
                         start_at, _DEPTH * size, depth, target, m * columns, columns, 0, columns,
                         add or first > 0)  # fmt: skip


@driver
def _first_tall(part: Part, height: int) -> int:
    """Return the first row of a weight gradient that a part sums, a multiple of a tile's rows."""
    blocks = (height + TALL - 1) // TALL
    return min(height, part[0] * blocks // part[1] * TALL)


@driver
def _last_tall(part: Part, height: int) -> int:
    blocks = (height + TALL - 1) // TALL
    return min(height, (part[0] + 1) * blocks // part[1] * TALL)


@driver
def _pack_rows(source: Array, first: int, depth: int, packed: Array, start_at: int) -> None:
    """Pack `depth` rows of an array, from `first` on, in runs of its columns."""
    columns, size = source.shape[1], WIDTHS[source.itemsize]
    for run in range((columns + size - 1) // size):
        valid = min(size, columns - run * size)
        for k in range(depth):
            at = start_at + (run * _DEPTH + k) * size
            for v in range(valid):
                packed[at + v] = source[first + k, run * size + v]
            for v in range(valid, size):
                packed[at + v] = 0


@driver
def pack(part: Part, weights: tuple[Array, ...], packed: tuple[Array, ...]) -> None:
    """Pack each [M, K] matrix for `product`: runs of its rows, each [K, width]."""
    for number in range(len(weights)):
        weight, target = weights[number], packed[number]
        runs, depth, size = target.shape
        for run in range(part[0] * runs // part[1], (part[0] + 1) * runs // part[1]):
            valid = min(size, weight.shape[0] - run * size)
            for k in range(depth):
                for v in range(valid, size):
                    target[run, k, v] = 0
            for v in range(valid):
                for k in range(depth):
                    target[run, k, v] = weight[run * size + v, k]


@driver
def pack_transposed(part: Part, weights: tuple[Array, ...], packed: tuple[Array, ...]) -> None:
    """Pack each [M, K] matrix for `product_transposed`: runs of its columns, each [M, width]."""
    for number in range(len(weights)):
        weight, target = weights[number], packed[number]
        runs, depth, size = target.shape
        for run in range(part[0] * runs // part[1], (part[0] + 1) * runs // part[1]):
            valid = min(size, weight.shape[1] - run * size)
            for k in range(depth):
                for v in range(valid):
                    target[run, k, v] = weight[k, run * size + v]
                for v in range(valid, size):
                    target[run, k, v] = 0


def packed_shape(rows: int, columns: int, itemsize: int) -> tuple[int, int, int]:
    """Return the shape that a matrix with some rows and columns is packed in for `product`."""
    size = WIDTHS[itemsize]
    return (rows + size - 1) // size, columns, size
