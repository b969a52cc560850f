"""Coefficients and constants of the elementary functions in `functions`.

Polynomials were fitted for this file with a Remez exchange at 60 digits (mpmath), weighted so that
the error relative to the function is level, then rounded to nearest. The rational function of tanh
interpolates at the Chebyshev nodes of its interval, at 60 digits too. The error stated with each is
that of the exact form, relative to the function, before rounding. Split constants and the table of
powers of two modulo a full turn are computed here from integers.

Why not published tables: these forms fit the reductions used here, and their origin is known.
"""

from __future__ import annotations

import math
from fractions import Fraction

PRECISION = 320  # bits after the point of pi and ln 2; float32's largest exponent needs about 240


def _arctangent_of_inverse(n: int) -> int:
    """Return atan(1/n) * 2^PRECISION."""
    term = (1 << PRECISION) // n
    total, k = 0, 0
    while term:
        total += (-1) ** k * (term // (2 * k + 1))
        term //= n * n
        k += 1
    return total


def _pi() -> Fraction:
    """Return pi by Machin's formula."""
    quarter = 4 * _arctangent_of_inverse(5) - _arctangent_of_inverse(239)
    return Fraction(4 * quarter, 1 << PRECISION)


def _ln2() -> Fraction:
    """Return ln 2 as the sum of 1 / (k * 2^k)."""
    total = sum((1 << (PRECISION - k)) // k for k in range(1, PRECISION))
    return Fraction(total, 1 << PRECISION)


def leading(value: Fraction, bits: int) -> float:
    """Return the first bits of a positive number that is not tiny, cut off."""
    if value == 0:
        return 0.0
    places = bits - 1 - math.frexp(float(value))[1] + 1
    return float(Fraction(math.floor(value * Fraction(2) ** places)) / Fraction(2) ** places)


def split(value: Fraction, *widths: int) -> tuple[float, ...]:
    """Return parts of the given widths in bits and a last part for the rest, largest first."""
    parts = []
    for bits in widths:
        parts.append(leading(value, bits))
        value -= Fraction(parts[-1])
    return (*parts, float(value))


PI, LN2 = _pi(), _ln2()
TWO_OVER_PI = 2 / PI

# n * LN2_HIGH is exact for every exponent n of the type.
LN2_PARTS = {32: split(LN2, 15), 64: split(LN2, 41)}
LOG2_E = float(1 / LN2)

# n * part is exact for the first three and |n| <= 2^20.
HALF_PI_PARTS = split(PI / 2, 33, 33, 33)


def turn_tables() -> tuple[list[float], list[float]]:
    """Return (2^e * 2/pi mod 4) / 2^e in two parts, for e = 0 ... 104.

    With x = 2^e * m and |m| < 2^24, x times the first part (29 bits) is exact, and x times both is
    x * 2/pi modulo 4: a float32 is reduced to a quarter turn by two products, however large it is.
    """
    high, low = [], []
    for e in range(105):
        first, second = split(TWO_OVER_PI * 2**e % 4, 29)
        high.append(math.ldexp(first, -e))
        low.append(math.ldexp(second, -e))
    return high, low


# (e^r - 1 - r) / r^2 on |r| <= 0.3468; 2^-28.2 and 2^-58.0.
EXP = {
    32: (0.5, 0.16666518, 0.041666206, 0.008368918, 0.0013950533),
    64: (
        0.5000000000000013,
        0.166666666666667,
        0.04166666666651493,
        0.008333333333307134,
        0.0013888888947155627,
        0.00019841269917540255,
        2.480148978619029e-05,
        2.7557216155561723e-06,
        2.7631339607011405e-07,
        2.5117908754320983e-08,
    ),
}

# 32: (log(1 + f) - f + f^2 / 2) / f^3 on -0.293 <= f <= 0.4145; 2^-30.3.
# 64: (log((1 + s) / (1 - s)) / s - 2) / z at z = s^2, on |s| <= 0.1717; 2^-59.4.
LOG = {
    32: (
        0.33333313,
        -0.2500001,
        0.20002127,
        -0.16668002,
        0.14219387,
        -0.124053545,
        0.11889247,
        -0.116776995,
        0.06746668,
    ),
    64: (
        0.6666666666666726,
        0.3999999999945588,
        0.2857142873469824,
        0.222221992594833,
        0.18183532594882537,
        0.15314783968307744,
        0.14789246768572809,
    ),
}

# (tanh(x) / x - 1) / z as a quotient of polynomials in z = x^2 on |x| <= 0.8125; 2^-33.7 and
# 2^-63.6.
TANH_ABOVE = {
    32: (-0.33333334, -0.01474406),
    64: (
        -0.3333333333333333,
        -0.021415198812866975,
        -0.00024355252071251614,
        -1.7364796717883747e-08,
    ),
}
TANH_BELOW = {
    32: (1.0, 0.44423217, 0.015788274),
    64: (1.0, 0.46424559643860086, 0.024524134232817643, 0.00025459863924141287),
}

# (sin(r) / r - 1) / z and (cos(r) - 1 + z / 2) / z^2 at z = r^2, on |r| <= 0.7862; both are
# evaluated in float64. 32: 2^-37.5 and 2^-43.1. 64: 2^-57.9 and 2^-64.2.
SIN = {
    32: (
        -0.16666666641428166,
        0.008333329362414063,
        -0.00019839327166128396,
        2.7182374681825255e-06,
    ),
    64: (
        -0.16666666666666632,
        0.008333333333322316,
        -0.0001984126982972543,
        2.7557313662110702e-06,
        -2.505075326943956e-08,
        1.5896505067326807e-10,
    ),
}
COS = {
    32: (
        0.04166666662247523,
        -0.0013888883722497681,
        2.4799511732662112e-05,
        -2.7209545208770436e-07,
    ),
    64: (
        0.0416666666666666,
        -0.0013888888888873992,
        2.480158728939601e-05,
        -2.75573143263011e-07,
        2.0875719590830505e-09,
        -1.135945015077003e-11,
    ),
}
