"""Balls enclose what they must, and are narrow."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from gatewright.claims.balls import ARITHMETIC, UNIT, Ball

NUMBERS = st.fractions(-8, 8, max_denominator=1000)
mp.prec = 300


@given(NUMBERS, NUMBERS)
def test_arithmetic_encloses_the_exact_result(a: Fraction, b: Fraction) -> None:
    one, other = ARITHMETIC.number(a), ARITHMETIC.number(b)
    for ball, exact in (
        (ARITHMETIC.add(one, other), a + b),
        (ARITHMETIC.multiply(one, other), a * b),
    ):
        assert ball.low <= exact * UNIT <= ball.high
    if b:
        ball = ARITHMETIC.divide(one, other)
        assert ball.low <= a / b * UNIT <= ball.high


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "sin", "cos", "softplus"])
@given(value=NUMBERS)
def test_functions_enclose_the_value_of_another_library(name: str, value: Fraction) -> None:
    ball = ARITHMETIC.function(name)(ARITHMETIC.number(value))
    x = mpf(value.numerator) / value.denominator
    exact = {
        "exp": mp.exp,
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "tanh": mp.tanh,
        "sin": mp.sin,
        "cos": mp.cos,
        "softplus": lambda x: mp.log(1 + mp.exp(x)),
    }[name](x)
    assert ball.low - 1 <= exact * UNIT <= ball.high + 1
    assert (ball.high - ball.low) < UNIT >> 100


@pytest.mark.parametrize("name", ["log", "sqrt"])
@given(value=st.fractions(Fraction(1, 10**9), 10**9, max_denominator=10**9))
def test_functions_of_positive_numbers_enclose_it_too(name: str, value: Fraction) -> None:
    ball = ARITHMETIC.function(name)(ARITHMETIC.number(value))
    exact = getattr(mp, name)(mpf(value.numerator) / value.denominator)
    assert ball.low - 1 <= exact * UNIT <= ball.high + 1
    assert (ball.high - ball.low) < UNIT >> 90
    with pytest.raises(ValueError, match=r"negative|positive"):
        ARITHMETIC.function(name)(ARITHMETIC.number(-value))


@pytest.mark.parametrize(("name", "values"), [("half", (0, 1, 2)), ("sign", (-2, 0, 2))])
def test_a_jump_encloses_every_value_it_may_have(name: str, values: tuple[int, int, int]) -> None:
    jump, below, at, above = ARITHMETIC.function(name), *(v * UNIT // 2 for v in values)
    assert jump(Ball(-2, -1)) == Ball(below, below)
    assert jump(Ball(0, 0)) == Ball(at, at)
    assert jump(Ball(-1, 1)) == Ball(below, above)
    assert jump(Ball(0, 1)) == Ball(at, above)


def test_division_by_what_may_be_zero_is_refused() -> None:
    with pytest.raises(ZeroDivisionError):
        ARITHMETIC.divide(Ball(UNIT, UNIT), Ball(-1, 1))


def test_enclosures_are_written_so_that_they_enclose() -> None:
    low, high = ARITHMETIC.number(Fraction(1, 3)).text(5).strip("[]").split(", ")
    assert Fraction(low) <= Fraction(1, 3) <= Fraction(high)
    assert math.isclose(float(low), 1 / 3, abs_tol=1e-5)
    assert ARITHMETIC.number(Fraction(-1, 3)).text(3) == "[-0.334, -0.333]"
