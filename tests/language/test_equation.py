from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.language.equation import EquationError, parse
from gatewright.language.expression import (
    Binary,
    Call,
    Expr,
    Name,
    Negate,
    Number,
    Operator,
    render,
)

NAMES = st.sampled_from(["x", "h", "c'", "W_i", "alpha", "a1", "mu_t'", "no", "sigmoid"])
NUMBERS = st.floats(0, 1e300, allow_nan=False).map(lambda value: Number(value + 0.0))
EXPONENTS = st.floats(-16, 16, allow_nan=False).map(lambda value: Number(value + 0.0))
OPERATORS: list[Operator] = ["+", "-", "*", "/", "@"]


def _extend(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    binary = st.builds(Binary, st.sampled_from(OPERATORS), inner, inner)
    power = st.builds(lambda base, exponent: Binary("^", base, exponent), inner, EXPONENTS)
    call = st.builds(
        Call, st.sampled_from(["tanh", "max", "f"]), st.lists(inner, max_size=3).map(tuple)
    )
    return binary | power | call | st.builds(Negate, inner)


EXPRESSIONS: st.SearchStrategy[Expr] = st.recursive(
    NAMES.map(Name) | NUMBERS, _extend, max_leaves=24
)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS)
def test_what_is_rendered_parses_back(expr: Expr) -> None:
    assert parse(render(expr)) == expr


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="xhW_i'0123456789.e+-*/@^(),σαⅹ⊙ \n\t=#", max_size=60))
def test_any_text_parses_or_is_refused_inside_itself(text: str) -> None:
    try:
        expr = parse(text)
    except EquationError as error:
        assert 0 <= error.start <= error.end <= len(text)
        assert error.code.startswith("E0")
    else:
        assert parse(render(expr)) == expr
        assert 0 <= expr.start < expr.end <= len(text)


@pytest.mark.parametrize(
    ("text", "house_style"),
    [
        ("σ(W_i@x ⊙ h)", "sigmoid(W_i @ x * h)"),
        ("a×b·c∘d", "a * b * c * d"),
        ("a−b", "a - b"),
        ("x**2", "x^2"),
        ("x^(-2)", "x^-2"),
        ("α_t * λ' + Δ", "alpha_t * lambda' + Delta"),
        ("-x^2", "-x^2"),
        ("(-x)^2", "(-x)^2"),
        ("-a*b", "-a * b"),
        ("-(a*b)", "-(a * b)"),
        ("a*-b", "a * -b"),
        ("a-(b-c)", "a - (b - c)"),
        ("a-b-c", "a - b - c"),
        ("a/(b*c)", "a / (b * c)"),
        ("a - (-b)", "a - (-b)"),
        ("0.50 + 1e3", "0.5 + 1000"),
        ("max(a,b)", "max(a, b)"),
        ("((x))", "x"),
    ],
)
def test_house_style(text: str, house_style: str) -> None:
    assert render(parse(text)) == house_style
    assert parse(house_style) == parse(text)


def test_places_count_code_points() -> None:
    expr = parse("σ(α ⊙ h')")
    assert isinstance(expr, Call)
    assert (expr.start, expr.end) == (0, 9)
    product = expr.arguments[0]
    assert isinstance(product, Binary)
    assert (product.left.start, product.left.end) == (2, 3)
    assert (product.right.start, product.right.end) == (6, 8)


def test_long_equations_do_not_overflow_the_stack() -> None:
    assert len(render(parse(" + ".join(["h"] * 128)))) > 128
    for text in ("+".join("h" * 5000), "-(" * 5000, "f(" * 5000, "h^" * 5000, "h" * 5000):
        with pytest.raises(EquationError):
            parse(text)


@pytest.mark.parametrize("text", ["x^17", "x^-17", "x^h", "2^2^2", "x^(2", "x^-", "x^(1+1)"])
def test_exponents_are_small_numbers(text: str) -> None:
    with pytest.raises(EquationError) as caught:
        parse(text)
    assert caught.value.code == "E0405"
