"""exp, sigmoid and tanh: functions of a width in bits -> what `functions` gives compiled code.

All three take a multiple of ln 2 off, evaluate a polynomial of what is left, and put the power of
two back in where it costs least.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cpu import functions_tables as tables
from gatewright.runtime.cpu.compiled import device
from gatewright.runtime.cpu.functions_ir import (
    MAGIC,
    fused,
    polynomial,
    power_of_two,
    scaled,
    select,
    with_sign,
)

Real = Any
Function = Any

# Where tanh changes from its quotient to that of the exponential: both err alike there.
BORDER = 0.8


def _reduced(width: int, factor: int) -> Function:
    """Return a function x -> (n, rest, t) with x = n * ln 2 / factor + rest and n = t - MAGIC.

    A factor is 1, -1 or 2. `rest` is what is left before n times the low part of ln 2 / factor is
    taken off, and exact: |x| below 1000.
    """
    real = np.float32 if width == 32 else np.float64
    magic, log2_e = real(MAGIC[width]), real(factor * tables.LOG2_E)
    high = real(tables.LN2_PARTS[width][0] / factor)

    @device
    def reduced(x: Real) -> Real:
        shifted = fused(x, log2_e, magic)
        n = shifted - magic
        return n, fused(n, -high, x), shifted

    return reduced


def exp(width: int) -> Function:
    """Return e^x, its last bits carried along: at most an ulp off before it is scaled."""
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


def sigmoid(width: int) -> Function:
    """Return s / (s + s * e^-x), with s so small that s * e^-x is finite for every result above 0.

    Its own form, as 1 / (1 + exp(-x)) needs neither the exponential of every number nor its last
    bit, and would be 0 where the result is below the least normal number.
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


def tanh(width: int) -> Function:
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
