"""sigmoid, tanh, exp, log, log1p, sin, cos, sqrt of a scalar, in a form that LLVM vectorises.

Compiled code gets the forms below for float32 and float64, with the result in the same type: they
have no branch and call nothing, so a loop over them becomes vector code. NaN gives NaN; infinities,
signed zeros, denormals and overflow are as in C. Called as plain Python they are NumPy's.

Worst error in ulp, with fused multiply-adds / without. Every float32 was run; of float64, 2^22
numbers in each of several ranges, and every multiple of pi/2 up to 2^20 with both neighbours.

    function  float32           worst at (with)  float64
    sigmoid   2.444 / 2.444          -16.642534  2.453 / 2.453
    exp       0.895 / 0.920           5.2381372  0.917 / 0.942
    tanh      1.040 / 1.106          0.80887419  1.036 / 1.144
    log       0.852 / 0.868           1.4113426  0.942 / 0.955
    log1p     0.925 / 0.940         -0.29737654  0.967 / 0.951
    sin       0.501 / 0.501        4.4340718e24  0.784 / 0.798
    cos       0.501 / 0.501        1.0415682e36  0.778 / 0.797
    sqrt      0.5, the machine's                     0.5

Of the other functions of the table, printed into a file from these, for every float32: softplus
1.7 ulp, softsign 1.5, silu 2.9 (53 below -87, where sigmoid has fewer digits left); relu, abs, max,
min and hard_tanh are exact.

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
    "float32": {
        "sigmoid": 2.6,
        "exp": 1.0,
        "tanh": 1.2,
        "log": 1.0,
        "log1p": 1.0,
        "sin": 0.51,
        "cos": 0.51,
    },
    "float64": {
        "sigmoid": 2.6,
        "exp": 1.0,
        "tanh": 1.2,
        "log": 1.0,
        "log1p": 1.0,
        "sin": 1.0,
        "cos": 1.0,
    },
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


def sigmoid(x: Real) -> Real:
    """Return 1 / (1 + e^-x)."""
    return _quietly(lambda x: 1 / (1 + np.exp(-x)), x)


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


def _reduced(width: int, factor: int) -> Function:
    """Return a function x -> (n, rest, t) with x = n * ln 2 / factor + rest and n = t - MAGIC.

    A factor is 1, -1 or 2. `rest` is what is left before n times the low part of ln 2 / factor is
    taken off, and exact: |x| below 1000.
    """
    real = np.float32 if width == 32 else np.float64
    magic, log2_e = real(MAGIC[width]), real(factor * tables.LOG2_E)
    high = real(tables.LN2_PARTS[width][0] / factor)

    @inlined
    def reduced(x: Real) -> Real:
        shifted = fused(x, log2_e, magic)
        n = shifted - magic
        return n, fused(n, -high, x), shifted

    return reduced


def _exp(width: int) -> Function:
    real = np.float32 if width == 32 else np.float64
    reduced, tail = _reduced(width, 1), polynomial(tables.EXP[width])
    low, one = real(tables.LN2_PARTS[width][1]), real(1)
    # Beyond these the result is infinite or rounds to 0.
    largest, least = (real(89), real(-104)) if width == 32 else (real(710), real(-746))

    def implementation(x: Real) -> Real:
        bounded = select(x > largest, largest, x)
        bounded = select(bounded < least, least, bounded)
        n, whole, shifted = reduced(bounded)
        part = n * low
        r = whole - part
        lost = (whole - r) - part
        return scaled(one + (r + fused(r * r, tail(r), lost)), shifted)

    return implementation


def _sigmoid(width: int) -> Function:
    """Return s / (s + s * e^-x), with s so small that s * e^-x is finite for every result above 0.

    Its own form, as 1 / (1 + exp(-x)) needs neither the exponential of every number nor its last
    bit: half the instructions at the same error, and results below the least normal number.
    """
    real = np.float32 if width == 32 else np.float64
    reduced = _reduced(width, -1)
    tail = polynomial([(-1) ** k * c for k, c in enumerate(tables.EXP[width])])
    low = real(tables.LN2_PARTS[width][1])
    bounds, scale = ((43, -110), -64) if width == 32 else ((353, -750), -512)
    (largest, least), small = (real(bound) for bound in bounds), real(2.0**scale)

    def implementation(x: Real) -> Real:
        bounded = select(x > largest, largest, x)
        bounded = select(bounded < least, least, bounded)
        n, whole, shifted = reduced(bounded)
        r = fused(n, low, whole)
        power = power_of_two(shifted, scale)
        return small / fused(fused(r * r, tail(r), -r), power, power + small)

    return implementation


def _tanh(width: int) -> Function:
    """Return x + x * z * A(z) / B(z) with z = x^2 up to `BORDER`, then 1 - 1 / (1/2 + e^2x / 2)."""
    real = np.float32 if width == 32 else np.float64
    reduced = _reduced(width, 2)
    half_of_e2 = polynomial([2.0 ** (k - 1) * c for k, c in enumerate((1, 1, *tables.EXP[width]))])
    above = polynomial(tables.TANH_ABOVE[width])
    below = polynomial(tables.TANH_BELOW[width])
    low, border = real(tables.LN2_PARTS[width][1] / 2), real(BORDER)
    one, minus_one, half = real(1), real(-1), real(0.5)
    largest = real(9.25) if width == 32 else real(19.5)  # tanh is nearer to 1 than half an ulp

    def implementation(x: Real) -> Real:
        size = with_sign(x, one)
        size = select(size > largest, largest, size)
        square = size * size
        n, whole, shifted = reduced(size)
        rising = fused(half_of_e2(fused(n, -low, whole)), power_of_two(shifted, 0), half)
        small = size < border
        head = select(small, size, one)
        over = select(small, square * above(square), minus_one)
        return with_sign(fused(head, over / select(small, below(square), rising), head), x)

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
    (sigmoid, _sigmoid),
    (exp, _exp),
    (tanh, _tanh),
    (log, _log),
    (log1p, _log1p),
    (sin, _sin),
    (cos, _cos),
    (sqrt, _sqrt),
):
    _register(_function, _build)
