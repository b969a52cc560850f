"""Micro-kernels of products with one row: several runs of packed operands are read side by side.

A row has one sum per vector, and each addition to it waits for the one before: a tile of one run
would wait most of the time. So a row is multiplied with runs of several operands at once
(`row_tile`), or with several runs of each operand (`row_sum_tile`).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gatewright.runtime.cpu.tiles import TALL, TileCode

_build: Any = cgutils
_INDEX = ir.IntType(64)


def row_tile(vectors: int, runs: int = 1) -> Any:
    """Return the kernel of one row and `vectors` vectors of a run of each of some operands.

    `row_tile(a, row, b, first, within, c)` computes, for every operand k of the tuples,
    C_k[v] = sum over j < depth of A[j] * B_k[j * width + v], where A is row `row` of `a`, B_k run
    `first` of `b[k]`, `within` numbers into it, and C_k the same columns of row `row` of `c[k]`.
    With one operand, `runs` runs are multiplied, with several, that many divided by theirs.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, row, b, first, within, c = arguments
        kind_a, kind_b, kind_c = signature.args[0], signature.args[2], signature.args[5]
        weights, targets = _build.unpack_tuple(builder, b), _build.unpack_tuple(builder, c)
        depth = _columns(context, builder, kind_a, a)
        several = max(1, runs // len(weights))
        for start in range(0, len(weights), TALL):
            group = range(start, min(start + TALL, len(weights)))
            count = len(group) * several
            code = TileCode(1, vectors * count, vectors, context, builder, kind_a.dtype)
            size = _INDEX(code.width)
            left = code.pointer(kind_a, a, builder.mul(row, depth))
            at = builder.add(builder.mul(first, builder.mul(depth, size)), within)
            to = builder.add(builder.mul(first, size), within)
            packed, places = [], []
            for k in group:
                begin = code.pointer(kind_b[k], weights[k], at)
                width = _columns(context, builder, kind_c[k], targets[k])
                target = code.pointer(
                    kind_c[k], targets[k], builder.add(builder.mul(row, width), to)
                )
                for run in range(several):
                    step = builder.mul(_INDEX(run * code.width), depth)
                    packed.append(builder.gep(begin, [step]))
                    place = builder.gep(target, [_INDEX(run * code.width)])
                    places += [code.vector_at(place, _INDEX(0), n) for n in range(vectors)]
            code.store(code.sum([left], _INDEX(1), packed, depth, code.nothing()), places)
        return context.get_dummy_value()

    @intrinsic
    def kernel(typing: Any, a: Any, row: Any, b: Any, first: Any, within: Any, c: Any) -> Any:
        i = types.intp
        return types.void(a, i, b, i, i, c), generate

    return kernel


def _columns(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Return the second dimension of an array."""
    view = _build.create_struct_proxy(kind)(context, builder, array)
    return builder.extract_value(view.shape, 1)


def row_sum_tile(runs: int, vectors: int) -> Any:
    """Return the kernel of `vectors` vectors of each of `runs` runs, summed over some operands.

    `row_sum_tile(a, row, b, first, c, ic)` computes, for vector v of run r,
    C[r * width + v] = sum over operands k, and over j < depth_k, of A_k[j] * B_k[r][j * width + v],
    with A_k row `row` of `a[k]`, B_k from `first` of its runs on, `within` numbers into each, and C
    from `ic` of `c`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, row, b, first, within, c, ic = arguments
        kind_a, kind_b, kind_c = signature.args[0], signature.args[2], signature.args[5]
        lefts, weights = _build.unpack_tuple(builder, a), _build.unpack_tuple(builder, b)
        code = TileCode(1, runs * vectors, vectors, context, builder, kind_c.dtype)
        sums = code.nothing()
        for k in range(len(weights)):
            depth = _columns(context, builder, kind_a[k], lefts[k])
            left = code.pointer(kind_a[k], lefts[k], builder.mul(row, depth))
            run = builder.mul(depth, _INDEX(code.width))
            start = builder.add(builder.mul(first, run), within)
            begin = code.pointer(kind_b[k], weights[k], start)
            packed = [builder.gep(begin, [builder.mul(run, _INDEX(n))]) for n in range(runs)]
            sums = code.sum([left], _INDEX(1), packed, depth, sums)
        target = code.pointer(kind_c, c, ic)
        zero = _INDEX(0)
        code.store(
            sums,
            [
                code.vector_at(builder.gep(target, [_INDEX(n * code.width)]), zero, vector)
                for n in range(runs)
                for vector in range(vectors)
            ],
        )
        return context.get_dummy_value()

    @intrinsic
    def kernel(
        typing: Any, a: Any, row: Any, b: Any, first: Any, within: Any, c: Any, ic: Any
    ) -> Any:
        i = types.intp
        return types.void(a, i, b, i, i, c, i), generate

    return kernel
