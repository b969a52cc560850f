"""Interval arithmetic in integers: every result encloses the exact one.

A ball is a pair of integers, the ends of an interval in units of 2^-160. Sums are exact, products
and quotients are rounded outwards, exponentials, logarithms and waves come from their series with a
bound on the rest.

Why of our own: one file of integer arithmetic can be read, needs no library, and is not what the
independent checker uses, so that a mistake in either is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from gatewright.claims.evaluate import exponent_of

BITS = 160
UNIT = 1 << BITS
LARGEST_EXPONENT = 60
LARGEST_ANGLE = 16


@dataclass(frozen=True, slots=True)
class Ball:
    """An interval from `low` to `high`, both times 2^-160."""

    low: int
    high: int

    def overlaps(self, other: Ball) -> bool:
        """Tell whether the intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high

    def gap(self, other: Ball) -> Fraction:
        """Return a lower bound of the distance of the enclosed numbers; 0 if they may be equal."""
        return Fraction(max(self.low - other.high, other.low - self.high, 0), UNIT)

    def text(self, digits: int = 12) -> str:
        """Write the interval as decimals that enclose it."""
        scale: int = 10**digits
        low, high = self.low * scale // UNIT, -(-self.high * scale // UNIT)
        return f"[{_decimal(low, digits)}, {_decimal(high, digits)}]"


def _decimal(value: int, digits: int) -> str:
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), 10**digits)
    return f"{sign}{whole}.{rest:0{digits}d}"


class Balls:
    """The arithmetic of balls."""

    def number(self, value: Fraction) -> Ball:
        """Return the smallest ball around a rational."""
        scaled = value.numerator * UNIT
        return Ball(scaled // value.denominator, -(-scaled // value.denominator))

    def add(self, left: Ball, right: Ball) -> Ball:
        """Return the sum."""
        return Ball(left.low + right.low, left.high + right.high)

    def multiply(self, left: Ball, right: Ball) -> Ball:
        """Return the product."""
        ends = (
            left.low * right.low,
            left.low * right.high,
            left.high * right.low,
            left.high * right.high,
        )
        return Ball(min(ends) >> BITS, -(-max(ends) >> BITS))

    def divide(self, left: Ball, right: Ball) -> Ball:
        """Return the quotient. Raises ZeroDivisionError if the divisor may be zero."""
        if right.low <= 0 <= right.high:
            raise ZeroDivisionError("the divisor may be zero")
        quotients = [
            (numerator << BITS, divisor)
            for numerator in (left.low, left.high)
            for divisor in (right.low, right.high)
        ]
        return Ball(min(n // d for n, d in quotients), max(-(-n // d) for n, d in quotients))

    def function(self, name: str) -> Callable[[Ball], Ball]:
        """Return a function of balls. Raises KeyError for one without an enclosure."""
        exponent = exponent_of(name)
        if exponent is not None:
            factor = self.number(exponent)
            return lambda ball: exp(self.multiply(factor, _FUNCTIONS["log"](ball)))
        return _FUNCTIONS[name]


ARITHMETIC = Balls()
_ONE = Ball(UNIT, UNIT)


def _series(value: int) -> tuple[int, int]:
    """Return bounds of exp(value 2^-BITS), |value| <= 60, by halving, a series and squaring."""
    halvings = max(0, abs(value).bit_length() - BITS + 8)
    small = ARITHMETIC.number(Fraction(value, UNIT << halvings))
    total, term = _ONE, _ONE
    for k in range(1, 24):
        term = ARITHMETIC.multiply(term, small)
        term = Ball(term.low // k, -(-term.high // k))
        total = ARITHMETIC.add(total, term)
    # |small| < 2^-8, so what is left out is less than twice the next term: under 2^-270.
    total = Ball(total.low - 1, total.high + 1)
    for _ in range(halvings):
        total = ARITHMETIC.multiply(total, total)
    return total.low, total.high


def exp(ball: Ball) -> Ball:
    """Return exp of a ball. Raises OverflowError beyond exp(60)."""
    if max(abs(ball.low), abs(ball.high)) > LARGEST_EXPONENT * UNIT:
        raise OverflowError("the exponent is too large")
    low, _ = _series(ball.low)
    _, high = _series(ball.high)
    return Ball(max(low, 0), high)


def _negative(ball: Ball) -> Ball:
    return Ball(-ball.high, -ball.low)


def sigmoid(ball: Ball) -> Ball:
    """Return 1 / (1 + exp(-x)); rising, so the ends of the ball give the ends of the result."""
    ends = [_sigmoid_at(Ball(end, end)) for end in (ball.low, ball.high)]
    return Ball(ends[0].low, ends[1].high)


def _sigmoid_at(ball: Ball) -> Ball:
    return ARITHMETIC.divide(_ONE, ARITHMETIC.add(_ONE, exp(_negative(ball))))


def tanh(ball: Ball) -> Ball:
    """Return tanh as 2 sigmoid(2x) - 1."""
    half = sigmoid(Ball(2 * ball.low, 2 * ball.high))
    return Ball(2 * half.low - UNIT, 2 * half.high - UNIT)


def log(ball: Ball) -> Ball:
    """Return the natural logarithm. Raises ValueError where the ball is not positive."""
    if ball.low <= 0:
        raise ValueError("the logarithm of a number that may not be positive")
    return Ball(_log_at(ball.low)[0], _log_at(ball.high)[1])


@cache
def _log_at(value: int) -> tuple[int, int]:
    """Return bounds of log(value 2^-BITS): 2 artanh of a fraction, and a multiple of log 2."""
    shift = value.bit_length() - BITS
    small = _log_near_one(Fraction(value, 1 << (BITS + shift)))
    two = _log_near_one(Fraction(1, 2))
    ends = [-shift * two.low, -shift * two.high]
    return small.low + min(ends), small.high + max(ends)


def _log_near_one(value: Fraction) -> Ball:
    """Return log of a number from 1/2 to 1 as 2 artanh(q), q = (value - 1) / (value + 1)."""
    q = ARITHMETIC.number((value - 1) / (value + 1))
    square, power, total = ARITHMETIC.multiply(q, q), q, q
    for k in range(3, 121, 2):
        power = ARITHMETIC.multiply(power, square)
        total = ARITHMETIC.add(total, Ball(power.low // k, -(-power.high // k)))
    # |q| <= 1/3, so what is left out is less than 2 * 3^-121 / 121: under 2^-196.
    return Ball(2 * total.low - 1, 2 * total.high + 1)


def sqrt(ball: Ball) -> Ball:
    """Return the square root. Raises ValueError where the ball may be negative."""
    if ball.low < 0:
        raise ValueError("the root of a number that may be negative")
    return Ball(math.isqrt(ball.low << BITS), math.isqrt(ball.high << BITS) + 1)


def _wave(ball: Ball, first: int) -> Ball:
    """Return cos (`first` 0) or sin (1) by the series at the middle; |sin'|, |cos'| <= 1."""
    middle, radius = (ball.low + ball.high) // 2, (ball.high - ball.low) // 2 + 1
    if abs(middle) > LARGEST_ANGLE * UNIT:
        raise OverflowError("the angle is too large")
    x = Ball(middle, middle)
    square = _negative(ARITHMETIC.multiply(x, x))
    term = x if first else _ONE
    total = term
    for k in range(first + 1, 180, 2):
        term = ARITHMETIC.multiply(term, square)
        term = Ball(term.low // (k * (k + 1)), -(-term.high // (k * (k + 1))))
        total = ARITHMETIC.add(total, term)
    # At |x| <= 16, what is left out is less than twice 16^180 / 180!: under 2^-370.
    return Ball(max(total.low - radius - 1, -UNIT), min(total.high + radius + 1, UNIT))


def _jump(below: int, at: int, above: int) -> Callable[[Ball], Ball]:
    """Return a function that is constant but for a jump at 0, from its three values in halves."""

    def function(ball: Ball) -> Ball:
        met = [below] * (ball.low < 0) + [at] * (ball.low <= 0 <= ball.high)
        met += [above] * (ball.high > 0)
        return Ball(min(met) * UNIT // 2, max(met) * UNIT // 2)

    return function


def relu(ball: Ball) -> Ball:
    """Return max(x, 0)."""
    return Ball(max(ball.low, 0), max(ball.high, 0))


def _absolute(ball: Ball) -> Ball:
    least = 0 if ball.low <= 0 <= ball.high else min(abs(ball.low), abs(ball.high))
    return Ball(least, max(abs(ball.low), abs(ball.high)))


def _softsign(ball: Ball) -> Ball:
    return ARITHMETIC.divide(ball, ARITHMETIC.add(_ONE, _absolute(ball)))


def _hard_tanh(ball: Ball) -> Ball:
    return Ball(max(min(ball.low, UNIT), -UNIT), max(min(ball.high, UNIT), -UNIT))


_FUNCTIONS: dict[str, Callable[[Ball], Ball]] = {
    "exp": exp,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "log": log,
    "sqrt": sqrt,
    "sin": lambda ball: _wave(ball, 1),
    "cos": lambda ball: _wave(ball, 0),
    "log1p": lambda ball: log(ARITHMETIC.add(_ONE, ball)),
    "softplus": lambda ball: log(ARITHMETIC.add(_ONE, exp(ball))),
    "positive": _jump(0, 0, 2),
    "half": _jump(0, 1, 2),
    "sign": _jump(-2, 0, 2),
    "relu": relu,
    "ramp": relu,
    "silu": lambda ball: ARITHMETIC.multiply(ball, sigmoid(ball)),
    "softsign": _softsign,
    "hard_tanh": _hard_tanh,
    "abs": _absolute,
}
