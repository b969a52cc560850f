"""Interval arithmetic in integers: every result encloses the exact one.

A ball is a pair of integers, the ends of an interval in units of 2^-160. Sums are exact, products
and quotients are rounded outwards, exponentials come from their series with a bound on the rest.

Why of our own: 100 lines of integer arithmetic can be read, need no library, and are not what the
independent checker uses, so that a mistake in either is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

BITS = 160
UNIT = 1 << BITS
LARGEST_EXPONENT = 60


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


def relu(ball: Ball) -> Ball:
    """Return max(x, 0)."""
    return Ball(max(ball.low, 0), max(ball.high, 0))


def _softsign(ball: Ball) -> Ball:
    size = Ball(
        0 if ball.low <= 0 <= ball.high else min(abs(ball.low), abs(ball.high)),
        max(abs(ball.low), abs(ball.high)),
    )
    return ARITHMETIC.divide(ball, ARITHMETIC.add(_ONE, size))


def _hard_tanh(ball: Ball) -> Ball:
    return Ball(max(min(ball.low, UNIT), -UNIT), max(min(ball.high, UNIT), -UNIT))


_FUNCTIONS: dict[str, Callable[[Ball], Ball]] = {
    "exp": exp,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "ramp": relu,
    "silu": lambda ball: ARITHMETIC.multiply(ball, sigmoid(ball)),
    "softsign": _softsign,
    "hard_tanh": _hard_tanh,
}
