"""Matrix products of generated CPU files, in tiles, each for the part of one thread.

Matrices come packed (`pack`): runs of `width` columns, each [depth, width], the last one filled up
with zeros. `product` and `product_transposed` differ only in what was packed. Every function writes
its targets; only `outer` with `more` reads them, and adds. Operands and results are [rows, columns]
arrays, row-major and contiguous.

Why the parts are inside: a thread that owns units multiplies with its own runs for the whole
sequence, so they stay in its own cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cpu.compiled import device, plain
from gatewright.runtime.cpu.drivers import driver
from gatewright.runtime.cpu.moves import LANES, clear, copy, mover
from gatewright.runtime.cpu.parts import (
    HALVES,
    WIDTHS,
    Part,
    first_row,
    first_unit,
    last_row,
    last_unit,
)
from gatewright.runtime.cpu.row_tiles import row_sum_tile, row_tile
from gatewright.runtime.cpu.tiles import HALF, TALL, WIDE, tile

Array = Any
# Rows of an operand that share a reading of the weights: with 1024 columns and one run, as much as
# a core's second-level cache of a mebibyte holds.
_CHUNK = 192
# Depth of a piece of a run that stays in the first-level cache, 32 KiB with AVX-512.
_DEPTH = 128
_LINE = 16
# Rows of a weight gradient whose operand, `_DEPTH` deep, stays in that cache beside a run.
_GROUP = 4 * TALL
# Rows that are further apart, in bytes, compete for the same places of that cache: of those, what
# a tile reads is brought together first, which for others would only be another reading.
_NEAR = 2048
# How many runs a single row is multiplied with at once.
RUNS = 4
# By the size of a number: how many of them are moved for that, in whole vectors.
_SPANS = tuple(-(-_GROUP // max(lanes, 1)) * lanes for lanes in LANES)


def _strips(vectors: int) -> Any:
    """Return a function that multiplies some rows with so many vectors of a run."""
    six, four, three, two, one = (tile(rows, vectors) for rows in (TALL, 4, 3, 2, 1))

    @plain
    def strip(a, ia, row_step, depth_step, rows, b, ib, depth, c, ic, c_step, add):  # type: ignore[no-untyped-def]
        row = 0
        while rows - row >= TALL:
            six(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c, ic + row * c_step,
                c_step, add)  # fmt: skip
            row += TALL
        if rows - row == 4:
            four(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c,
                 ic + row * c_step, c_step, add)  # fmt: skip
            row += 4
        if rows - row >= 3:
            three(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c,
                  ic + row * c_step, c_step, add)  # fmt: skip
            row += 3
        if rows - row == 2:
            two(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c,
                ic + row * c_step, c_step, add)  # fmt: skip
        if rows - row == 1:
            one(a, ia + row * row_step, row_step, depth_step, b, ib, depth, c,
                ic + row * c_step, c_step, add)  # fmt: skip

    return strip


_wide, _half = _strips(WIDE), _strips(HALF)
_move_run, _move_group = mover(WIDTHS), mover(_SPANS)
_row_many, _row_wide, _row_half = row_tile(WIDE, RUNS), row_tile(WIDE), row_tile(HALF)
_sum_many, _sum_one = row_sum_tile(RUNS, WIDE), row_sum_tile(1, WIDE)
_sum_half = row_sum_tile(1, HALF)


@plain
def _edge(a, ia, row_step, depth_step, rows, b, ib, depth, c, ic, c_step, columns, add):  # type: ignore[no-untyped-def]
    """Multiply some rows with the first columns of half a run, where the target ends inside it."""
    size = HALVES[c.itemsize]
    aside = np.empty((TALL, size), c.dtype)
    flat = c.reshape(c.size)
    for row in range(0, rows, TALL):
        count = min(TALL, rows - row)
        if add:
            # The sum goes on from what the target holds, as in a whole tile: the same bits.
            for r in range(count):
                for column in range(columns):
                    aside[r, column] = flat[ic + (row + r) * c_step + column]
        _half(a, ia + row * row_step, row_step, depth_step, count, b, ib, depth, aside, 0, size,
              add)  # fmt: skip
        for r in range(count):
            for column in range(columns):
                flat[ic + (row + r) * c_step + column] = aside[r, column]


@plain
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


@plain
def _multiply(
    part: Part, operand: Array, first: int, count: int, packed: Array, target: Array, add: bool
) -> None:
    """Multiply `count` rows of the operand, from `first` on, for the part's units."""
    depth, columns = operand.shape[1], target.shape[1]
    _columns(operand, first * depth, depth, 1, count, packed, 0, depth * packed.shape[2], depth,
             target, first * columns, columns, first_unit(part, target), last_unit(part, target),
             add)  # fmt: skip


@plain
def _row(part: Part, operand: Array, row: int, packed: Any, targets: Any) -> None:
    """Multiply one row with the part's units of several operands of the same shape."""
    depth, columns = operand.shape[1], targets[0].shape[1]
    size, half = WIDTHS[operand.itemsize], HALVES[operand.itemsize]
    many = max(1, RUNS // len(packed)) * size
    at, last = first_unit(part, targets[0]), last_unit(part, targets[0])
    while at < last:
        run, within, left = at // size, at % size, last - at
        if within == 0 and left >= many:
            _row_many(operand, row, packed, run, within, targets)
            at += many
        elif within == 0 and left >= size:
            _row_wide(operand, row, packed, run, within, targets)
            at += size
        elif left >= half:
            _row_half(operand, row, packed, run, within, targets)
            at += half
        else:
            for k in range(len(packed)):
                _edge(operand, row * depth, depth, 1, 1, packed[k], run * size * depth + within,
                      depth, targets[k], row * columns + at, columns, left, False)  # fmt: skip
            at = last


@plain
def _row_sum(part: Part, operands: Any, row: int, packed: Any, target: Array) -> None:
    """Multiply one row of each operand with the part's units, and sum the products."""
    columns, size, half = target.shape[1], WIDTHS[target.itemsize], HALVES[target.itemsize]
    at, last = first_unit(part, target), last_unit(part, target)
    while at < last:
        within, run, to = at % size, at // size, row * columns + at
        if within or last - at < size:
            if last - at >= half:
                _sum_half(operands, row, packed, run, within, target, to)
                at += half
                continue
            for k in range(len(packed)):
                depth = operands[k].shape[1]
                _edge(operands[k], row * depth, depth, 1, 1, packed[k], run * size * depth + within,
                      depth, target, to, columns, last - at, k > 0)  # fmt: skip
            at = last
        elif last - at >= RUNS * size:
            _sum_many(operands, row, packed, run, within, target, to)
            at += RUNS * size
        else:
            _sum_one(operands, row, packed, run, within, target, to)
            at += size


@device
def _alike(arrays: Any) -> bool:
    """Return whether several arrays have one shape."""
    alike = True
    for k in range(1, len(arrays)):
        alike &= arrays[k].shape == arrays[0].shape
    return alike


@driver
def product(
    part: Part, operand: Array, weights: tuple[Array, ...], targets: tuple[Array, ...]
) -> None:
    """Compute `targets[k][row] = weights[k] @ operand[row]` for the part's rows and units."""
    start, stop = first_row(part, operand), last_row(part, operand)
    if stop - start == 1 and _alike(weights):
        _row(part, operand, start, weights, targets)
        return
    for first in range(start, stop, _CHUNK):
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
    start, stop = first_row(part, target), last_row(part, target)
    if stop - start == 1:
        _row_sum(part, operands, start, weights, target)
        return
    for first in range(start, stop, _CHUNK):
        count = min(_CHUNK, stop - first)
        for k in range(len(weights)):
            _multiply(part, operands[k], first, count, weights[k], target, k > 0)


@driver
def outer(
    part: Part, more: bool, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]
) -> None:
    """Compute `targets[k] = sum over rows of lefts[k][row] outer right[row]` for a part, or add it.

    Rows are added from the last to the first, one by one: a sequence gives the same bits in
    however many chunks it comes, the last one first. A part has a share of the blocks of all
    targets together, as one target alone would rarely divide.
    """
    rows, columns = right.shape
    size = WIDTHS[right.itemsize]
    runs = (columns + size - 1) // size
    # A vector that straddles two cache lines takes two loads: the runs begin on a line.
    packed = np.empty(runs * _DEPTH * size + _LINE, right.dtype)
    start_at = -(packed.ctypes.data // right.itemsize) % _LINE
    group = np.empty(_DEPTH * _GROUP + _LINE, right.dtype)
    blocks = 0
    for k in range(len(targets)):
        blocks += _blocks(targets[k])
    first_block, last_block = part[0] * blocks // part[1], (part[0] + 1) * blocks // part[1]
    if rows == 0 and not more:
        before = 0
        for k in range(len(targets)):
            height = targets[k].shape[0]
            start, stop = _within(first_block - before, last_block - before, height)
            targets[k][start:stop] = 0
            before += _blocks(targets[k])
    for last in range(rows, 0, -_DEPTH):
        depth = min(_DEPTH, last)
        _pack_rows(right, last, depth, packed, start_at)
        before = 0
        for k in range(len(targets)):
            left, target = lefts[k], targets[k]
            height = target.shape[0]
            start, stop = _within(first_block - before, last_block - before, height)
            before += _blocks(target)
            for m in range(start, stop, _GROUP):
                count = min(_GROUP, stop - m)
                wide = left.shape[1]
                source, at, step = left.reshape(left.size), (last - 1) * wide + m, -wide
                if wide * left.itemsize > _NEAR:
                    _pack_lefts(left, last, depth, m, count, group)
                    source, at, step = group, 0, _GROUP
                _columns(source, at, 1, step, count, packed, start_at, _DEPTH * size, depth,
                         target, m * columns, columns, 0, columns, more or last < rows)  # fmt: skip


@device
def _blocks(target: Array) -> int:
    """Return how many blocks of a tile's rows a weight gradient has."""
    return int(target.shape[0] + TALL - 1) // TALL


@device
def _within(first: int, last: int, height: int) -> tuple[int, int]:
    """Return the rows that two blocks begin with, or the nearest ones there are."""
    return min(height, max(0, first * TALL)), min(height, max(0, last * TALL))


@plain
def _pack_rows(source: Array, last: int, depth: int, packed: Array, start_at: int) -> None:
    """Pack the `depth` rows of an array before row `last`, the last one first, in runs."""
    columns, size = source.shape[1], WIDTHS[source.itemsize]
    numbers = source.reshape(source.size)
    for k in range(depth):
        row = (last - 1 - k) * columns
        whole = columns // size
        for run in range(whole):
            _move_run(numbers, row + run * size, packed, start_at + (run * _DEPTH + k) * size)
        if whole * size < columns:
            to, valid = start_at + (whole * _DEPTH + k) * size, columns - whole * size
            copy(numbers, row + whole * size, packed, to, valid)
            clear(packed, to + valid, size - valid)


@plain
def _pack_lefts(  # type: ignore[no-untyped-def]
    source, last, depth, first, count, packed
):
    """Pack `count` columns of the `depth` rows before row `last`, the last one first."""
    columns = source.shape[1]
    numbers = source.reshape(source.size)
    for k in range(depth):
        at = (last - 1 - k) * columns + first
        if at + _SPANS[source.itemsize] <= numbers.size:
            # More than is wanted: the next row overwrites it.
            _move_group(numbers, at, packed, k * _GROUP)
        else:
            copy(numbers, at, packed, k * _GROUP, count)
