"""Derivative rules of the function table, and the arithmetic that builds adjoint expressions.

Why constructors and not raw nodes: a product with 1, a double minus or a sum with a negated term
would reach the kernels and the reader; folding them here keeps `d_n = d_h_next * z` as it is on
paper. They fold signs and units only: nothing is reordered.
"""

from __future__ import annotations

from functools import cache

from gatewright.language.equation import parse
from gatewright.language.expression import (
    Binary,
    Call,
    Expr,
    Name,
    Negate,
    Number,
    names,
    substitute,
)
from gatewright.language.functions import FUNCTIONS

ZERO, ONE = Number(0.0), Number(1.0)


@cache
def partials(function: str) -> tuple[Expr, ...]:
    """Return the partial derivatives of a function, in its argument names and the result `y`."""
    return tuple(parse(text) for text in FUNCTIONS[function].partials)


@cache
def needs_arguments(function: str) -> bool:
    """Tell whether a partial derivative reads an argument, and not the result alone."""
    read = {name for partial in partials(function) for name in names(partial)}
    return not read.isdisjoint(FUNCTIONS[function].arguments)


def partial(call: Call, index: int, result: Expr) -> Expr:
    """Return the derivative of `call`, whose value is `result`, by its argument `index`."""
    row = FUNCTIONS[call.function]
    known: dict[str, Expr] = dict(zip(row.arguments, call.arguments, strict=True))
    known["y"] = result
    return substitute(partials(call.function)[index], lambda name: known.get(name.name))


def add(left: Expr, right: Expr) -> Expr:
    """Return `left + right` with zeros, minus signs and a factor that leads both folded."""
    if left == ZERO:
        return right
    if right == ZERO:
        return left
    if isinstance(left, Negate) and not isinstance(right, Negate):
        left, right = right, left
    match left, right:
        case Binary("*", Name() as first, one), Binary("*", second, other) if first == second:
            return Binary("*", first, add(one, other))
        case Binary("*", Name() as first, one), Negate(Binary("*", second, other)) if (
            first == second
        ):
            return Binary("*", first, add(one, negate(other)))
    if isinstance(right, Negate):
        return Binary("-", left, right.operand)
    return Binary("+", left, right)


def negate(expr: Expr) -> Expr:
    """Return `-expr` with double signs folded."""
    match expr:
        case Negate(operand):
            return operand
        case Number(value):
            return Number(-value if value else 0.0)
        case _:
            return Negate(expr)


def multiply(left: Expr, right: Expr) -> Expr:
    """Return `left * right` as a chain from the left, with units, zeros and signs folded."""
    if ZERO in (left, right):
        return ZERO
    if left == ONE:
        return right
    match right:
        case Number(1.0):
            return left
        case Number(-1.0):
            return negate(left)
        case Negate(operand):
            return negate(multiply(left, operand))
        case Binary("*", first, second):
            return multiply(multiply(left, first), second)
        case Binary("/", first, second):
            return Binary("/", multiply(left, first), second)
    if isinstance(left, Negate):
        return negate(multiply(left.operand, right))
    return Binary("*", left, right)


def divide(left: Expr, right: Expr) -> Expr:
    """Return `left / right` with zeros and signs folded."""
    if left == ZERO:
        return ZERO
    if isinstance(left, Negate):
        return negate(divide(left.operand, right))
    return Binary("/", left, right)


def derivative_factors(expr: Expr) -> list[tuple[Expr, Expr]]:
    """Return each operand of an arithmetic node or call with the derivative of the node by it."""
    match expr:
        case Negate(operand):
            return [(operand, Number(-1.0))]
        case Binary("+", left, right):
            return [(left, ONE), (right, ONE)]
        case Binary("-", left, right):
            return [(left, ONE), (right, Number(-1.0))]
        case Binary("*", left, right):
            return [(left, right), (right, left)]
        case Binary("/", left, right):
            over_square = divide(left, Binary("*", right, right))
            return [(left, divide(ONE, right)), (right, negate(over_square))]
        case Binary("^", base, Number(power)):
            lowered = ONE if power == 1 else Binary("^", base, Number(power - 1))
            return [(base, multiply(Number(power), base if power == 2 else lowered))]
        case Call(_, arguments):
            return [(a, partial(expr, index, expr)) for index, a in enumerate(arguments)]
        case Name() | Number():
            return []
    raise TypeError(f"no derivative rule for {expr}")
