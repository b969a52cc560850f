"""The micro-kernel of every matrix product: a tile of accumulators held in vector registers.

A tile is some rows by `WIDE` vectors, or half as many. The kernel reads one operand with any row
and depth stride and the other packed, one run of `width` numbers per depth, and adds their product
to what the tile's place in memory holds or, where `add` is false, to nothing. It is LLVM vector
code made by an intrinsic; LLVM turns it into the widest instructions of the machine it runs on.

Why generated here and not called from a BLAS: the shapes of recurrent steps (a few rows, a slice of
the gates) are those that a BLAS is slow at, and a product called once per time step must not start
threads or pack its weights again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

_build: Any = cgutils
_config: Any = config
_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)


@cache
def vector_bytes() -> int:
    """Return the width in bytes of the vector registers that Numba compiles for.

    That is the machine's, unless NUMBA_CPU_FEATURES says otherwise.
    """
    if _config.CPU_FEATURES is not None:
        known = {each.strip() for each in _config.CPU_FEATURES.split(",")}
        return 64 if "+avx512f" in known else 32 if "+avx2" in known else 16
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


# The largest tile fills the register file: its accumulators, one run of the packed operand and one
# broadcast number (32 registers with AVX-512, 16 otherwise). It is six rows high because each row
# takes a pointer, and there are only sixteen registers for those. Smaller tiles take what is left.
WIDE = 4 if vector_bytes() == 64 else 2
HALF = WIDE // 2
TALL = 6


def width(itemsize: int) -> int:
    """Return how many numbers of a size one run of a packed operand holds."""
    return WIDE * vector_bytes() // itemsize


class TileCode:
    """What the parts of one kernel's code share while it is built: so many rows by vectors.

    The packed operand comes as runs that lie anywhere, `each` vectors of every one.
    """

    def __init__(
        self, rows: int, vectors: int, each: int, context: Any, builder: Any, kind: Any
    ) -> None:
        self.rows, self.vectors, self.each = rows, vectors, each
        self.context, self.builder = context, builder
        self.align = kind.bitwidth // 8
        self.lanes = vector_bytes() // self.align
        self.width = WIDE * self.lanes
        self.vector = ir.VectorType(context.get_data_type(kind), self.lanes)
        self.fma = _build.get_or_insert_function(
            builder.module,
            ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fma.v{self.lanes}f{kind.bitwidth}",
        )
        self.cells = [(row, part) for row in range(rows) for part in range(vectors)]

    def pointer(self, kind: Any, array: Any, index: Any) -> Any:
        """Return a pointer to a number of an array."""
        data = _build.create_struct_proxy(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [index])

    def vector_at(self, pointer: Any, offset: Any, part: int) -> Any:
        """Return a pointer to vector `part` of a run that starts `offset` numbers on."""
        at = self.builder.add(offset, _INDEX(part * self.lanes))
        return self.builder.bitcast(self.builder.gep(pointer, [at]), self.vector.as_pointer())

    def load(self, pointer: Any) -> Any:
        """Return the vector at a pointer, which need not be aligned."""
        value = self.builder.load(pointer)
        value.align = self.align
        return value

    def spread(self, pointer: Any) -> Any:
        """Return a vector with one number in every lane."""
        nothing = ir.Constant(self.vector, ir.Undefined)
        single = self.builder.insert_element(nothing, self.builder.load(pointer), _LANE(0))
        zeros = ir.Constant(ir.VectorType(_LANE, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, nothing, zeros)

    def nothing(self) -> list[Any]:
        """Return sums that begin at zero."""
        return [ir.Constant(self.vector, [0.0] * self.lanes)] * (self.rows * self.vectors)

    def step(
        self, lefts: list[Any], shift: Any, packed: list[Any], base: Any, sums: list[Any]
    ) -> list[Any]:
        """Return the sums with the products of one depth added."""
        loaded = [
            self.load(self.vector_at(packed[part // self.each], base, part % self.each))
            for part in range(self.vectors)
        ]
        found = []
        for row in range(self.rows):
            spread = self.spread(self.builder.gep(lefts[row], [shift]))
            for part in range(self.vectors):
                terms = [spread, loaded[part], sums[row * self.vectors + part]]
                found.append(self.builder.call(self.fma, terms))
        return found

    def sum(
        self, lefts: list[Any], stride: Any, packed: list[Any], depth: Any, start: list[Any]
    ) -> list[Any]:
        """Return what the sums are after all depths, each `stride` numbers of the rows further."""
        builder, before = self.builder, self.builder.block
        loop, done = builder.append_basic_block("depth"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", depth, _INDEX(0)), loop, done)
        builder.position_at_end(loop)
        at = builder.phi(_INDEX)
        at.add_incoming(_INDEX(0), before)
        sums = []
        for value in start:
            sums.append(builder.phi(self.vector))
            sums[-1].add_incoming(value, before)
        base = builder.mul(at, _INDEX(self.width))
        found = self.step(lefts, builder.mul(at, stride), packed, base, sums)
        following = builder.add(at, _INDEX(1))
        at.add_incoming(following, loop)
        for phi, value in zip(sums, found, strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)
        builder.position_at_end(done)
        results = [builder.phi(self.vector) for _ in start]
        for result, first, last in zip(results, start, found, strict=True):
            result.add_incoming(first, before)
            result.add_incoming(last, loop)
        return results

    def store(self, values: list[Any], places: list[Any]) -> None:
        """Write vectors to their places."""
        for value, place in zip(values, places, strict=True):
            self.builder.store(value, place).align = self.align


def _generate(
    shape: tuple[int, int], context: Any, builder: Any, signature: Any, arguments: Any
) -> Any:
    rows, vectors = shape
    a, ia, row_stride, depth_stride, b, ib, depth, c, ic, target_stride, add = arguments
    code = TileCode(rows, vectors, vectors, context, builder, signature.args[0].dtype)
    left = code.pointer(signature.args[0], a, ia)
    packed = [code.pointer(signature.args[4], b, ib)]
    target = code.pointer(signature.args[7], c, ic)
    lefts = [builder.gep(left, [builder.mul(row_stride, _INDEX(row))]) for row in range(rows)]
    places = [
        code.vector_at(target, builder.mul(target_stride, _INDEX(row)), part)
        for row, part in code.cells
    ]
    start = [
        builder.select(add, code.load(place), zero)
        for place, zero in zip(places, code.nothing(), strict=True)
    ]
    code.store(code.sum(lefts, depth_stride, packed, depth, start), places)
    return context.get_dummy_value()


def tile(rows: int, vectors: int) -> Any:
    """Return the kernel of a tile of some rows and vectors, to be called from compiled code.

    `tile(a, ia, row_stride, depth_stride, b, ib, depth, c, ic, target_stride, add)` computes
    C[r, v] (+)= sum over k < depth of A[r * row_stride + k * depth_stride] * B[k * width + v], with
    A from number `ia` of array `a` on, B from `ib` of `b`, and C, whose rows are `target_stride`
    apart, from `ic` of `c`.
    """

    @intrinsic
    def kernel(
        typing: Any, a: Any, ia: Any, row_stride: Any, depth_stride: Any, b: Any, ib: Any,
        depth: Any, c: Any, ic: Any, target_stride: Any, add: Any,
    ) -> Any:  # fmt: skip
        i = types.intp
        signature = types.void(a, i, i, i, b, i, i, c, i, i, types.boolean)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _generate((rows, vectors), context, builder, signature, arguments)

        return signature, codegen

    return kernel
