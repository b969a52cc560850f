"""Scalar building blocks that Numba's Python cannot say, written as LLVM instructions.

Each works on float32 and on float64. They reinterpret bits, choose without a branch and evaluate
polynomials; none calls a library and none is undefined for a NaN or an infinity.

Why LLVM: Numba widens every int32 to int64, marks integer sums as free of overflow and turns a
conditional into a branch, which halves the vector width, makes garbage of a NaN's bits undefined
or keeps a loop scalar.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# Adding this to a number of modest size rounds it and leaves the integer in the low bits.
MAGIC = {32: 1.5 * 2.0**23, 64: 1.5 * 2.0**52}
MANTISSA = {32: 23, 64: 52}

Value = Any
Type = Any


def instruction(function: Any) -> Any:
    """Make what emits LLVM instructions callable from compiled code."""
    return intrinsic(function)


def _float_of(number: Type) -> tuple[Value, Value, int]:
    """Return the LLVM float type, the integer type of its size and the width in bits."""
    width = int(number.bitwidth)
    return (ir.FloatType() if width == 32 else ir.DoubleType()), ir.IntType(width), width


def bits_of(value: float, width: int) -> int:
    """Return the bit pattern of a number as an integer."""
    if width == 32:
        return int(np.float32(value).view(np.uint32))
    return int(np.float64(value).view(np.uint64))


def _constant(number: Type, value: float) -> Value:
    real, _, width = _float_of(number)
    return ir.Constant(real, float(np.float32(value)) if width == 32 else float(value))


def _fused(builder: Value, a: Value, b: Value, c: Value) -> Value:
    """Emit a * b + c, fused where the machine has the instruction and rounded twice elsewhere."""
    name = "llvm.fmuladd.f32" if isinstance(a.type, ir.FloatType) else "llvm.fmuladd.f64"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [a, b, c])


@instruction
def fused(typing: Any, a: Type, b: Type, c: Type) -> Any:
    """Return a * b + c with one rounding where the machine can."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        return _fused(builder, *arguments)

    return a(a, a, a), emit


@instruction
def select(typing: Any, condition: Type, yes: Type, no: Type) -> Any:
    """Return `yes` where the condition holds, else `no`, without a branch."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        return builder.select(*arguments)

    return yes(types.boolean, yes, yes), emit


@instruction
def with_sign(typing: Any, size: Type, sign: Type) -> Any:
    """Return the magnitude of the first with the sign of the second."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        real, integer, width = _float_of(size)
        top = 1 << (width - 1)
        magnitude = builder.and_(builder.bitcast(arguments[0], integer), integer(top - 1))
        direction = builder.and_(builder.bitcast(arguments[1], integer), integer(top))
        return builder.bitcast(builder.or_(magnitude, direction), real)

    return size(size, size), emit


@instruction
def scaled(typing: Any, value: Type, rounded: Type) -> Any:
    """Return value * 2^n for `rounded` = n + MAGIC, in two steps: exact until a denormal rounds."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        real, integer, width = _float_of(value)
        shift, one = integer(MANTISSA[width]), integer(bits_of(1.0, width))
        result, n = arguments[0], builder.bitcast(arguments[1], integer)
        n = builder.sub(n, integer(bits_of(MAGIC[width], width)))
        half = builder.ashr(n, integer(1))
        for part in (half, builder.sub(n, half)):
            power = builder.bitcast(builder.add(builder.shl(part, shift), one), real)
            result = builder.fmul(result, power)
        return result

    return value(value, value), emit


@instruction
def power_of_two(typing: Any, rounded: Type, scale: Type) -> Any:
    """Return 2^(n + scale) for `rounded` = n + MAGIC, a literal scale and a normal result."""
    if not isinstance(scale, types.IntegerLiteral):
        return None

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        real, integer, width = _float_of(rounded)
        n = builder.shl(builder.bitcast(arguments[0], integer), integer(MANTISSA[width]))
        first = integer(bits_of(2.0**scale.literal_value, width))
        return builder.bitcast(builder.add(n, first), real)

    return rounded(rounded, scale), emit


@instruction
def low_bit(typing: Any, rounded: Type, place: Type) -> Any:
    """Return whether bit `place` (a literal) of n is set, for `rounded` = n + MAGIC."""
    if not isinstance(place, types.IntegerLiteral):
        return None

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        _, integer, _ = _float_of(rounded)
        pattern = builder.bitcast(arguments[0], integer)
        bit = builder.and_(pattern, integer(1 << place.literal_value))
        return builder.icmp_unsigned("!=", bit, integer(0))

    return types.boolean(rounded, place), emit


def _exponent(builder: Value, number: Type, value: Value) -> Value:
    """Emit k * 2^MANTISSA as an integer, for value = 2^k * m and m in [sqrt(1/2), sqrt(2))."""
    _, integer, width = _float_of(number)
    above = builder.sub(builder.bitcast(value, integer), integer(bits_of(math.sqrt(0.5), width)))
    return builder.and_(above, integer((-1 << MANTISSA[width]) & ((1 << width) - 1)))


@instruction
def exponent(typing: Any, x: Type) -> Any:
    """Return k as a float, for a normal x = 2^k * m and m in [sqrt(1/2), sqrt(2))."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        real, integer, width = _float_of(x)
        k = builder.ashr(_exponent(builder, x, arguments[0]), integer(MANTISSA[width]))
        shifted = builder.add(k, integer(bits_of(MAGIC[width], width)))
        return builder.fsub(builder.bitcast(shifted, real), _constant(x, MAGIC[width]))

    return x(x), emit


@instruction
def fraction(typing: Any, x: Type) -> Any:
    """Return m, for a normal x = 2^k * m and m in [sqrt(1/2), sqrt(2))."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        real, integer, _ = _float_of(x)
        pattern = builder.bitcast(arguments[0], integer)
        return builder.bitcast(builder.sub(pattern, _exponent(builder, x, arguments[0])), real)

    return x(x), emit


@instruction
def reciprocal_power(typing: Any, x: Type) -> Any:
    """Return 2^-k, for a normal x = 2^k * m, m in [sqrt(1/2), sqrt(2)) and a normal result."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        real, integer, width = _float_of(x)
        one = integer(bits_of(1.0, width))
        return builder.bitcast(builder.sub(one, _exponent(builder, x, arguments[0])), real)

    return x(x), emit


def polynomial(coefficients: Sequence[float]) -> Any:
    """Return an intrinsic that evaluates c[0] + c[1] * x + c[2] * x^2 + ... by Horner's rule."""

    @instruction
    def horner(typing: Any, x: Type) -> Any:
        """Return the polynomial's value."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
            total = _constant(x, coefficients[-1])
            for coefficient in reversed(coefficients[:-1]):
                total = _fused(builder, total, arguments[0], _constant(x, coefficient))
            return total

        return x(x), emit

    return horner


def table_by_exponent(entries: Sequence[float], first: int) -> Any:
    """Return an intrinsic float32 -> float64: the entry of its biased exponent less `first`.

    Exponents outside the table get its first or last entry.
    """

    @instruction
    def entry(typing: Any, x: Type) -> Any:
        """Return the table's entry for the exponent of x."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
            integer, row = ir.IntType(32), ir.ArrayType(ir.DoubleType(), len(entries))
            table = ir.GlobalVariable(
                builder.module, row, builder.module.get_unique_name("gatewright.table")
            )
            table.linkage, table.global_constant = "internal", True
            table.initializer = ir.Constant(row, list(entries))
            place = builder.lshr(builder.bitcast(arguments[0], integer), integer(23))
            place = builder.and_(place, integer(255))
            low, high = integer(first), integer(first + len(entries) - 1)
            place = builder.select(builder.icmp_unsigned("<", place, low), low, place)
            place = builder.select(builder.icmp_unsigned(">", place, high), high, place)
            place = builder.zext(builder.sub(place, low), ir.IntType(64))
            return builder.load(builder.gep(table, [ir.IntType(64)(0), place], inbounds=True))

        return types.float64(types.float32), emit

    return entry
