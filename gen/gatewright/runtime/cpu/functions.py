"""sigmoid, tanh, exp, log, log1p, sin, cos, sqrt of a scalar, in a form that LLVM vectorises.

Compiled code gets the forms below for float32 and float64, with the result in the same type: they
have no branch and call nothing, so a loop over them becomes vector code. NaN gives NaN; infinities,
signed zeros, denormals and overflow are as in C. Called as plain Python they are NumPy's.

Worst error in ulp, with fused multiply-adds / without. Every float32 was run, and of float64 2^22
numbers in each of several ranges: tests/runtime/test_functions.py does so with
GATEWRIGHT_EXHAUSTIVE=1, and prints these figures.

    function  float32           worst at (with)  float64
    sigmoid   2.444 / 2.444          -16.642534  2.453 / 2.453
    exp       0.895 / 0.920           5.2381372  0.917 / 0.933
    tanh      1.040 / 1.106          0.80887419  1.029 / 1.116
    log       0.852 / 0.868           1.4113426  0.957 / 0.935
    log1p     0.925 / 0.940         -0.29737654  0.969 / 0.969
    sin       0.501 / 0.501        4.4340718e24  0.782 / 0.795
    cos       0.501 / 0.501        1.0415682e36  0.773 / 0.813
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

from gatewright.runtime.cpu import functions_exponential as exponential
from gatewright.runtime.cpu import functions_tables as tables
from gatewright.runtime.cpu import functions_waves as waves
from gatewright.runtime.cpu.compiled import device
from gatewright.runtime.cpu.functions_ir import (
    exponent,
    fraction,
    fused,
    polynomial,
    reciprocal_power,
    select,
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


def _log_of_fraction(width: int) -> Function:
    """Return a function f -> log(1 + f) - f, for sqrt(1/2) <= 1 + f < sqrt(2)."""
    series = polynomial(tables.LOG[width])
    half, two = np.float32(0.5), np.float64(2)

    @device
    def correction32(f: Real) -> Real:
        return (f * f) * fused(f, series(f), -half)

    @device
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

    @device
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


def _sqrt(width: int) -> Function:
    def implementation(x: Real) -> Real:
        return math.sqrt(x)

    return implementation


def _register(function: Any, build: Any) -> None:
    """Give compiled code its own form of a function, for float32 and for float64."""

    def dispatch(x: Real) -> Real:
        return build(x.bitwidth) if isinstance(x, types.Float) and x.bitwidth > 16 else None

    overload(function, jit_options=OPTIONS)(dispatch)


for _function, _build in (
    (sigmoid, exponential.sigmoid),
    (exp, exponential.exp),
    (tanh, exponential.tanh),
    (log, _log),
    (log1p, _log1p),
    (sin, waves.sin),
    (cos, waves.cos),
    (sqrt, _sqrt),
):
    _register(_function, _build)
