"""Enclosures in doubles: a number with a bound of its error, for searches of a million candidates.

Sums and products carry the error of their operands and that of rounding to the nearest double,
which IEEE arithmetic bounds by 2^-53 of the result; every bound is rounded up. Functions are those
of `balls`, looked up where an argument was met before. So two enclosures that do not meet are two
different numbers, as surely as with balls, in much less time.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from gatewright.claims.balls import ARITHMETIC, UNIT, Ball

Enclosure = tuple[float, float]
# Half a unit in the last place of 1, the least positive normal number, and room for the rounding of
# a bound, which takes fewer than ten operations.
ROUNDING = 2.0**-53
TINY = 2.0**-1022
UP = 1 + 2.0**-48


def exactly(value: float) -> Enclosure:
    """Return a double, which is what it is."""
    return (value, 0.0)


def decimal(value: float) -> Enclosure:
    """Return the decimal number that an author wrote, which a double only rounds."""
    return (value, abs(value) * ROUNDING * UP + TINY if value != int(value) else 0.0)


def apart(left: Enclosure, right: Enclosure) -> bool:
    """Tell whether two enclosures have no number in common. False for what is not finite."""
    gap = abs(left[0] - right[0])
    # The subtraction is rounded too.
    return gap * (1 - 4 * ROUNDING) > (left[1] + right[1]) * UP + TINY


def plus(left: Enclosure, right: Enclosure) -> Enclosure:
    """Return the sum."""
    value = left[0] + right[0]
    return (value, (left[1] + right[1] + abs(value) * ROUNDING) * UP + TINY)


def minus(left: Enclosure, right: Enclosure) -> Enclosure:
    """Return the difference."""
    return plus(left, (-right[0], right[1]))


def times(left: Enclosure, right: Enclosure) -> Enclosure:
    """Return the product."""
    value = left[0] * right[0]
    error = abs(left[0]) * right[1] + abs(right[0]) * left[1] + left[1] * right[1]
    return (value, (error + abs(value) * ROUNDING) * UP + TINY)


def over(left: Enclosure, right: Enclosure) -> Enclosure:
    """Return the quotient. Raises ZeroDivisionError if the divisor may be 0."""
    divisor = abs(right[0])
    nearest = divisor - (right[1] * UP + TINY)
    if not nearest > 0:
        raise ZeroDivisionError("the divisor may be zero")
    value = left[0] / right[0]
    error = (left[1] + abs(value) * right[1]) / nearest
    return (value, (error + abs(value) * ROUNDING) * UP + TINY)


def larger(left: Enclosure, right: Enclosure) -> Enclosure:
    """Return max of both."""
    return (max(left[0], right[0]), max(left[1], right[1]))


def smaller(left: Enclosure, right: Enclosure) -> Enclosure:
    """Return min of both."""
    return (min(left[0], right[0]), max(left[1], right[1]))


def ball_of(value: Enclosure) -> Ball:
    """Return an enclosure as a ball. Raises OverflowError or ValueError if it is not finite."""
    middle, error = ARITHMETIC.number(Fraction(value[0])), ARITHMETIC.number(Fraction(value[1]))
    return Ball(middle.low - error.high, middle.high + error.high)


def enclosing(ball: Ball) -> Enclosure:
    """Return a ball as an enclosure."""
    middle = (ball.low + ball.high) / (2 * UNIT)
    exact = Fraction(middle) * UNIT
    error = max(ball.high - exact, exact - ball.low) / UNIT
    return (middle, float(error) * UP + TINY)


@cache
def applied(function: str, value: Enclosure) -> Enclosure:
    """Return a function of the table.

    Raises KeyError for a function without an enclosure, and what its ball raises.
    """
    return enclosing(ARITHMETIC.function(function)(ball_of(value)))
