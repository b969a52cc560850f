"""sin and cos: functions of a width in bits -> what `functions` gives compiled code.

Whole quarter turns are taken off, by tables of powers of two modulo a turn in single precision and
by split constants in double, and a polynomial of one or the other function is chosen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cpu import functions_tables as tables
from gatewright.runtime.cpu.compiled import device
from gatewright.runtime.cpu.functions_ir import (
    MAGIC,
    fused,
    low_bit,
    polynomial,
    select,
    table_by_exponent,
    with_sign,
)

Real = Any
Function = Any

# sin and cos of a larger float64 are NaN; those of a float32 are right however large it is.
FARTHEST = 2.0**20


def _quarter_turns32() -> Function:
    """Return a function x -> (t, r, 0) with x = (t - MAGIC) * pi / 2 + r, for every float32."""
    high, low = (table_by_exponent(entries, 150) for entries in tables.turn_tables())
    magic, half_pi = np.float64(MAGIC[64]), np.float64(float(tables.PI / 2))

    @device
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

    @device
    def difference(a: Real, b: Real) -> Real:
        whole = a - b
        part = whole - a
        return whole, (a - (whole - part)) - (b + part)

    @device
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

    @device
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


def sin(width: int) -> Function:
    """Return the sine."""
    return _wave(width, cosine=False)


def cos(width: int) -> Function:
    """Return the cosine."""
    return _wave(width, cosine=True)
