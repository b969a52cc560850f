"""Moves of numbers into packed operands: copies and transpositions of blocks, in vector code.

`copy` moves numbers that lie side by side, a `mover` some vectors of them, `turn` a square of as
many rows as a vector has numbers, so that its columns become rows.

Why not loops alone: a transposition by single numbers takes as long as several time steps of a
batch of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gatewright.runtime.cpu.compiled import rows
from gatewright.runtime.cpu.tiles import vector_bytes

_build: Any = cgutils
_INDEX, _LANE = ir.IntType(64), ir.IntType(32)
# By the size of a number in bytes: how many of them a vector holds.
LANES = tuple(vector_bytes() // max(size, 1) for size in range(9))


@rows
def copy(source: Any, at: int, target: Any, to: int, count: int) -> None:
    """Copy `count` numbers of a [size] array, from `at` on, to `to` on in another."""
    for n in range(np.uint64(count)):
        target[np.uint64(to) + n] = source[np.uint64(at) + n]


def mover(numbers: tuple[int, ...]) -> Any:
    """Return what copies a known count of numbers: `(source, at, target, to)`.

    The count is given by the size of a number in bytes, and rounded up to whole vectors. Why beside
    `copy`: a loop with a length to be found out takes longer than a run to move.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0].dtype
        size = kind.bitwidth // 8
        vectors = -(-numbers[size] // LANES[size])
        vector = ir.VectorType(context.get_data_type(kind), LANES[size])
        places = []
        for array, at, array_kind in zip(
            arguments[::2], arguments[1::2], signature.args[::2], strict=True
        ):
            data = _build.create_struct_proxy(array_kind)(context, builder, array).data
            start = builder.bitcast(builder.gep(data, [at]), vector.as_pointer())
            places.append([builder.gep(start, [_INDEX(n)]) for n in range(vectors)])
        values = [builder.load(place) for place in places[0]]
        for value, place in zip(values, places[1], strict=True):
            value.align = size
            builder.store(value, place).align = size
        return context.get_dummy_value()

    @intrinsic
    def move(typing: Any, source: Any, at: Any, target: Any, to: Any) -> Any:
        return types.void(source, types.intp, target, types.intp), generate

    return move


@rows
def clear(target: Any, to: int, count: int) -> None:
    """Write `count` zeros from `to` on."""
    for n in range(np.uint64(count)):
        target[np.uint64(to) + n] = 0


@intrinsic
def _square(typing: Any, a: Any, ia: Any, stride: Any, b: Any, ib: Any, target_stride: Any) -> Any:
    """Write B[k * target_stride + r] = A[r * stride + k] for all r and k below a vector's length.

    A begins at number `ia` of array `a`, B at `ib` of `b`.
    """
    i = types.intp
    return types.void(a, i, i, b, i, i), _turn


def _turn(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    kind = signature.args[0].dtype
    lanes = LANES[kind.bitwidth // 8]
    vector = ir.VectorType(context.get_data_type(kind), lanes)
    a, ia, stride, b, ib, target_stride = arguments

    def place(array_kind: Any, array: Any, start: Any, step: Any, row: int) -> Any:
        data = _build.create_struct_proxy(array_kind)(context, builder, array).data
        at = builder.add(start, builder.mul(step, _INDEX(row)))
        return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())

    values = []
    for row in range(lanes):
        value = builder.load(place(signature.args[0], a, ia, stride, row))
        value.align = kind.bitwidth // 8
        values.append(value)
    bit = 1
    while bit < lanes:
        # Swap the upper right and lower left quarter of every block of 2 * bit rows.
        upper = [n if not n & bit else lanes + (n ^ bit) for n in range(lanes)]
        lower = [n | bit if not n & bit else lanes + n for n in range(lanes)]
        for row in range(lanes):
            if not row & bit:
                first, second = values[row], values[row | bit]
                values[row] = builder.shuffle_vector(first, second, _mask(upper))
                values[row | bit] = builder.shuffle_vector(first, second, _mask(lower))
        bit *= 2
    for row, value in enumerate(values):
        stored = builder.store(value, place(signature.args[3], b, ib, target_stride, row))
        stored.align = kind.bitwidth // 8
    return context.get_dummy_value()


turn: Any = _square


def _mask(order: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_LANE, len(order)), order)
