"""exp, tanh, log, log1p, sin, cos and sqrt of a scalar, in a form that LLVM vectorises.

Compiled code gets the forms below for float32 and float64, with the result in the same type: they
have no branch and call nothing, so a loop over them becomes vector code. NaN gives NaN; infinities,
signed zeros, denormals and overflow are as in C. Called as plain Python they are NumPy's.

Worst error in ulp, with fused multiply-adds / without. Every float32 was run; of float64, 2^22
numbers in each of several ranges, and every multiple of pi/2 up to 2^20 with both neighbours.

    function  float32           worst at (with)  float64
    exp       0.895 / 0.920           5.2381372  0.909 / 0.942
    tanh      1.040 / 1.106          0.80530030  1.036 / 1.144
    log       0.852 / 0.868           1.4113426  0.942 / 0.955
    log1p     0.925 / 0.940         -0.29737654  0.967 / 0.951
    sin       0.501 / 0.501        4.4340718e24  0.784 / 0.798
    cos       0.501 / 0.501        1.0415682e36  0.778 / 0.797
    sqrt      0.5, the machine's                     0.5

A loop over a scalar function of one's own becomes vector code only if that function is inlined,
which LLVM leaves undone for large ones: compile it with `forceinline=True`.

sin and cos of a float32 are right however large it is. Those of a float64 beyond 2^20 in size are
NaN: the reduction by multiples of pi/2 is exact up to there, and a loud end is better than digits
that mean nothing.

Why own functions: Numba comes without a vector math library, and one libm call per element costs
more than a matrix product of moderate size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from gatewright.runtime.cpu import functions_tables as tables
from gatewright.runtime.cpu.compiled import device
from gatewright.runtime.cpu.functions_ir import (
    MAGIC,
    exponent,
    fraction,
    fused,
    low_bit,
    polynomial,
    power_of_two,
    reciprocal_power,
    scaled,
    select,
    table_by_exponent,
    with_sign,
)

Real = Any
Function = Any

# `fastmath` is set, so that a caller's is not inherited.
OPTIONS: Any = {"error_model": "numpy", "fastmath": False, "forceinline": True, "nogil": True}

# What is promised for every machine, in ulp.
WORST_ULP = {
    "float32": {"exp": 1.0, "tanh": 1.2, "log": 1.0, "log1p": 1.0, "sin": 0.51, "cos": 0.51},
    "float64": {"exp": 1.0, "tanh": 1.2, "log": 1.0, "log1p": 1.0, "sin": 1.0, "cos": 1.0},
}

# sin and cos of a larger float64 are NaN; those of a float32 are right however large it is.
FARTHEST = 2.0**20

# Where tanh changes from its quotient to that of the exponential: both err alike there.
BORDER = 0.8


def inlined(function: Function) -> Function:
    """Compile a part of a function into whatever calls it."""
    return device(function)


def _quietly(function: Any, x: Real) -> Real:
    with np.errstate(all="ignore"):
        return function(x)


def exp(x: Real) -> Real:
    """Return e^x."""
    return _quietly(np.exp, x)


def tanh(x: Real) -> Real:
    """Return the hyperbolic tangent of x."""
    return _quietly(np.tanh, x)


def log(x: Real) -> Real:
    """Return the natural logarithm of x: -inf at 0, NaN below."""
    return _quietly(np.log, x)


def log1p(x: Real) -> Real:
    """Return log(1 + x), accurate near 0: -inf at -1, NaN below."""
    return _quietly(np.log1p, x)


def sin(x: Real) -> Real:
    """Return the sine of x."""
    return _quietly(np.sin, x)


def cos(x: Real) -> Real:
    """Return the cosine of x."""
    return _quietly(np.cos, x)


def sqrt(x: Real) -> Real:
    """Return the square root of x, correctly rounded: NaN below 0."""
    return _quietly(np.sqrt, x)


def _exponential(width: int) -> Function:
    """Return a function x -> (p, t) with e^x = p * 2^(t - MAGIC), for |x| below 2000."""
    real = np.float32 if width == 32 else np.float64
    magic, log2_e = real(MAGIC[width]), real(tables.LOG2_E)
    high, low = (real(part) for part in tables.LN2_PARTS[width])
    tail, one = polynomial(tables.EXP[width]), real(1)

    @inlined
    def exponential(x: Real) -> Real:
        shifted = fused(x, log2_e, magic)
        n = shifted - magic
        whole, part = x - n * high, n * low
        r = whole - part
        lost = (whole - r) - part
        return one + (r + fused(r * r, tail(r), lost)), shifted

    return exponential


def _exp(width: int) -> Function:
    real = np.float32 if width == 32 else np.float64
    exponential = _exponential(width)
    # Beyond these the result is infinite or rounds to 0.
    largest, least = (real(89), real(-104)) if width == 32 else (real(710), real(-746))

    def implementation(x: Real) -> Real:
        bounded = select(x > largest, largest, x)
        bounded = select(bounded < least, least, bounded)
        p, shifted = exponential(bounded)
        return scaled(p, shifted)

    return implementation


def _tanh(width: int) -> Function:
    real = np.float32 if width == 32 else np.float64
    exponential = _exponential(width)
    above = polynomial(tables.TANH_ABOVE[width])
    below = polynomial(tables.TANH_BELOW[width])
    one, minus_two, border = real(1), real(-2), real(BORDER)
    largest = real(9.25) if width == 32 else real(19.5)  # tanh is nearer to 1 than half an ulp

    def implementation(x: Real) -> Real:
        size = with_sign(x, one)
        size = select(size > largest, largest, size)
        square = size * size
        p, shifted = exponential(size + size)
        small = size < border
        over = select(small, above(square), minus_two)
        under = select(small, below(square), fused(p, power_of_two(shifted), one))
        factor = select(small, size * square, one)
        return with_sign(fused(factor, over / under, select(small, size, one)), x)

    return implementation


def _log_of_fraction(width: int) -> Function:
    """Return a function f -> log(1 + f) - f, for sqrt(1/2) <= 1 + f < sqrt(2)."""
    series = polynomial(tables.LOG[width])
    half, two = np.float32(0.5), np.float64(2)

    @inlined
    def correction32(f: Real) -> Real:
        return (f * f) * fused(f, series(f), -half)

    @inlined
    def correction64(f: Real) -> Real:
        s = f / (two + f)
        z = s * s
        return s * fused(z, series(z), -f)

    return correction32 if width == 32 else correction64


def _logarithm(width: int) -> Function:
    """Return a function (k, f, tail) -> k * ln 2 + log(1 + f) + tail."""
    real = np.float32 if width == 32 else np.float64
    correction = _log_of_fraction(width)
    high, low = (real(part) for part in tables.LN2_PARTS[width])

    @inlined
    def logarithm(k: Real, f: Real, tail: Real) -> Real:
        whole = k * high
        total = whole + f
        lost = f - (total - whole)
        return total + (correction(f) + (fused(k, low, lost) + tail))

    return logarithm


def _log(width: int) -> Function:
    real = np.float32 if width == 32 else np.float64
    logarithm = _logarithm(width)
    zero, one, infinity, nan = real(0), real(1), real(np.inf), real(np.nan)
    normal = real(np.finfo(real).tiny)
    digits = real(24 if width == 32 else 53)
    scale = real(2.0) ** digits

    def implementation(x: Real) -> Real:
        denormal = x < normal
        y = select(denormal, x * scale, x)
        k = exponent(y) - select(denormal, digits, zero)
        result = logarithm(k, fraction(y) - one, zero)
        result = select(x < infinity, result, x)
        return select(x > zero, result, select(x == zero, -infinity, x + nan))

    return implementation


def _log1p(width: int) -> Function:
    real = np.float32 if width == 32 else np.float64
    logarithm = _logarithm(width)
    zero, one, infinity, nan = real(0), real(1), real(np.inf), real(np.nan)
    huge = real(2.0**60)

    def implementation(x: Real) -> Real:
        y = one + x
        k, m = exponent(y), fraction(y)
        near = k == zero
        # What the sum lost, over y: m's reciprocal is needed to a few bits only.
        lost = select(x < one, x - (y - one), one - (y - x)) * reciprocal_power(y)
        f = m - one
        lost = lost * fused(f, f - one, one)
        lost = select(near, zero, select(x > huge, zero, lost))
        result = logarithm(k, select(near, x, f), lost)
        result = select(x < infinity, result, x)
        result = select(x == zero, x, result)
        return select(x > -one, result, select(x == -one, -infinity, x + nan))

    return implementation


def _quarter_turns32() -> Function:
    """Return a function x -> (t, r, 0) with x = (t - MAGIC) * pi / 2 + r, for every float32."""
    high, low = (table_by_exponent(entries, 150) for entries in tables.turn_tables())
    magic, half_pi = np.float64(MAGIC[64]), np.float64(float(tables.PI / 2))

    @inlined
    def reduced(x: Real) -> Real:
        y = np.float64(x)
        turns, rest = y * high(x), y * low(x)
        shifted = (turns + rest) + magic
        return shifted, ((turns - (shifted - magic)) + rest) * half_pi, np.float64(0)

    return reduced


def _quarter_turns64() -> Function:
    """Return a function x -> (t, r, rest) with x = (t - MAGIC) * pi / 2 + r + rest.

    Beyond `FARTHEST` the products would round, and r and rest are NaN.
    """
    magic, one = np.float64(MAGIC[64]), np.float64(1)
    farthest, nan = np.float64(FARTHEST), np.float64(np.nan)
    inverse = np.float64(float(tables.TWO_OVER_PI))
    first, second, third, fourth = (np.float64(part) for part in tables.HALF_PI_PARTS)

    @inlined
    def difference(a: Real, b: Real) -> Real:
        whole = a - b
        part = whole - a
        return whole, (a - (whole - part)) - (b + part)

    @inlined
    def reduced(x: Real) -> Real:
        x = select(with_sign(x, one) <= farthest, x, nan)
        shifted = x * inverse + magic
        n = shifted - magic
        r, lost = difference(x - n * first, n * second)
        r, lost_again = difference(r, n * third)
        rest = (lost + lost_again) - n * fourth
        total = r + rest
        return shifted, total, rest - (total - r)

    return reduced


def _wave(width: int, cosine: bool) -> Function:
    """Return sin, or cos."""
    real = np.float32 if width == 32 else np.float64
    sine_series, cosine_series = polynomial(tables.SIN[width]), polynomial(tables.COS[width])
    reduced = _quarter_turns32() if width == 32 else _quarter_turns64()
    zero, one, half = real(0), np.float64(1), np.float64(0.5)

    @inlined
    def waves(r: Real, rest: Real) -> Real:
        z = r * r
        whole = one - half * z
        lost = (one - whole) - half * z
        sine = r + fused(r * z, sine_series(z), rest * whole)
        return sine, whole + fused(z * z, cosine_series(z), lost - r * rest)

    def of_sine(x: Real) -> Real:
        shifted, r, rest = reduced(x)
        s, c = waves(r, rest)
        value = select(low_bit(shifted, 0), c, s)
        value = real(select(low_bit(shifted, 1), -value, value))
        return select(x == zero, x, value)

    def of_cosine(x: Real) -> Real:
        shifted, r, rest = reduced(x)
        s, c = waves(r, rest)
        value = select(low_bit(shifted, 0), s, c)
        return real(select(low_bit(shifted + one, 1), -value, value))

    return of_cosine if cosine else of_sine


def _sqrt(width: int) -> Function:
    def implementation(x: Real) -> Real:
        return math.sqrt(x)

    return implementation


def _sin(width: int) -> Function:
    return _wave(width, cosine=False)


def _cos(width: int) -> Function:
    return _wave(width, cosine=True)


def _register(function: Any, build: Any) -> None:
    """Give compiled code its own form of a function, for float32 and for float64."""

    def dispatch(x: Real) -> Real:
        return build(x.bitwidth) if isinstance(x, types.Float) and x.bitwidth > 16 else None

    overload(function, jit_options=OPTIONS)(dispatch)


for _function, _build in (
    (exp, _exp),
    (tanh, _tanh),
    (log, _log),
    (log1p, _log1p),
    (sin, _sin),
    (cos, _cos),
    (sqrt, _sqrt),
):
    _register(_function, _build)
