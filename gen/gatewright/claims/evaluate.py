"""Terms -> numbers: evaluate terms element by element in any arithmetic.

A model gives every free variable a vector and every free matrix its rows, as rational numbers. A
vector of one element stands for a scalar and goes with any length.

Why one evaluator for floats, balls and finite fields: what is searched for in floats, certified in
balls and cross-checked in a field must be the same terms, read the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Protocol

from gatewright.claims.terms import IDENTITY, Term, below
from gatewright.language.equation import parse
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number
from gatewright.language.functions import FUNCTIONS

Vector = list[Any]
# What an evaluation raises where terms have no value, or none that the arithmetic can enclose.
NO_VALUE = (ValueError, ZeroDivisionError, OverflowError, KeyError)
_POWER = re.compile(r"power_(-?[0-9.]+(?:e[-+]?[0-9]+)?)")


@dataclass(frozen=True)
class Model:
    """Values of the free variables and matrices, and functions in place of abstract ones.

    `functions` gives, by the name of an abstract function, its text in `a`.
    """

    vectors: Mapping[str, Sequence[Fraction]]
    matrices: Mapping[str, Sequence[Sequence[Fraction]]]
    functions: Mapping[str, str]


class Arithmetic(Protocol):
    """Numbers of one kind."""

    def number(self, value: Fraction) -> Any:
        """Return a rational as a number of this kind."""

    def add(self, left: Any, right: Any) -> Any:
        """Return the sum."""

    def multiply(self, left: Any, right: Any) -> Any:
        """Return the product."""

    def divide(self, left: Any, right: Any) -> Any:
        """Return the quotient. Raises ZeroDivisionError."""

    def function(self, name: str) -> Callable[[Any], Any]:
        """Return a function of the table. Raises KeyError for one it has not."""


class Floats:
    """Doubles: fast, and only for finding candidates."""

    def number(self, value: Fraction) -> float:
        """Return the nearest double."""
        return float(value)

    def add(self, left: float, right: float) -> float:
        """Return the rounded sum."""
        return left + right

    def multiply(self, left: float, right: float) -> float:
        """Return the rounded product."""
        return left * right

    def divide(self, left: float, right: float) -> float:
        """Return the rounded quotient."""
        return left / right

    def function(self, name: str) -> Callable[[float], float]:
        """Return a function of doubles."""
        exponent = exponent_of(name)
        if exponent is not None:
            return lambda value: math.pow(value, float(exponent))
        return NUMBERS[name]


def is_known_function(name: str) -> bool:
    """Tell whether a name has a meaning of its own, so that it cannot be that of any function."""
    known = name in NUMBERS or name in FUNCTIONS or name in ("diag", "inv", IDENTITY)
    return known or exponent_of(name) is not None


def exponent_of(function: str) -> Fraction | None:
    """Return the exponent of a function that is a power, such as `power_0.5`; else None."""
    found = _POWER.fullmatch(function)
    return Fraction(found[1]) if found else None


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


NUMBERS: dict[str, Callable[[float], float]] = {
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "ramp": lambda x: max(x, 0.0),
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "softplus": _softplus,
    "silu": lambda x: x * _sigmoid(x),
    "log1p": math.log1p,
    "positive": lambda x: float(x > 0),
    "half": lambda x: 0.5 if x == 0 else float(x > 0),
    "sign": lambda x: math.copysign(float(x != 0), x),
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_tanh": lambda x: max(min(x, 1.0), -1.0),
}


def evaluate(roots: Sequence[Term], model: Model, arithmetic: Arithmetic) -> list[Vector]:
    """Return the values of terms. Raises ZeroDivisionError, OverflowError and ValueError."""
    values: dict[int, Vector] = {}
    vectors = {n: [arithmetic.number(q) for q in v] for n, v in model.vectors.items()}
    matrices = {
        name: [[arithmetic.number(q) for q in row] for row in rows]
        for name, rows in model.matrices.items()
    }
    for term in below(*roots):
        parts = [values[part.place] for part in term.parts]
        match term.kind:
            case "number":
                found = [arithmetic.number(term.value)]
            case "variable":
                found = vectors[term.name]
            case "add":
                found = _elementwise(arithmetic.add, *parts)
            case "multiply":
                found = _elementwise(arithmetic.multiply, *parts)
            case "divide":
                found = _elementwise(arithmetic.divide, *parts)
            case "apply":
                function = function_in(arithmetic, term.name, model.functions)
                found = [function(each) for each in parts[0]]
            case _:
                found = _product(arithmetic, matrices[term.name], parts[0])
        values[term.place] = found
    return [values[root.place] for root in roots]


def _elementwise(operation: Callable[[Any, Any], Any], left: Vector, right: Vector) -> Vector:
    one, other = of_one_length(left, right)
    return [operation(a, b) for a, b in zip(one, other, strict=True)]


def of_one_length(left: Vector, right: Vector) -> tuple[Vector, Vector]:
    """Return two vectors with a scalar repeated to the length of the other one."""
    return (
        left * len(right) if len(left) == 1 else left,
        right * len(left) if len(right) == 1 else right,
    )


def _product(arithmetic: Arithmetic, rows: Sequence[Vector], vector: Vector) -> Vector:
    result = []
    for row in rows:
        full = vector * len(row) if len(vector) == 1 else vector
        total = arithmetic.multiply(row[0], full[0])
        for weight, value in zip(row[1:], full[1:], strict=True):
            total = arithmetic.add(total, arithmetic.multiply(weight, value))
        result.append(total)
    return result


def function_in(
    arithmetic: Arithmetic, name: str, instances: Mapping[str, str]
) -> Callable[[Any], Any]:
    """Return a function in an arithmetic: of the table, or the instance of an abstract one."""
    if name not in instances:
        return arithmetic.function(name)
    expr = _parsed(instances[name])
    return lambda value: _instance(expr, value, arithmetic)


@cache
def _parsed(text: str) -> Expr:
    return parse(text)


def _instance(expr: Expr, argument: Any, arithmetic: Arithmetic) -> Any:
    match expr:
        case Number(value):
            return arithmetic.number(Fraction(repr(value)))
        case Name():
            return argument
        case Negate(operand):
            return arithmetic.multiply(
                arithmetic.number(Fraction(-1)), _instance(operand, argument, arithmetic)
            )
        case Call(function, (inner,)):
            return arithmetic.function(function)(_instance(inner, argument, arithmetic))
        case Binary(operator, left, right):
            one = _instance(left, argument, arithmetic)
            other = _instance(right, argument, arithmetic)
            if operator == "-":
                other = arithmetic.multiply(arithmetic.number(Fraction(-1)), other)
            combine = {"*": arithmetic.multiply, "/": arithmetic.divide}
            return combine.get(operator, arithmetic.add)(one, other)
    raise ValueError(f"{expr} is no instance of a function")


__all__ = [
    "FUNCTIONS",
    "NO_VALUE",
    "Arithmetic",
    "Floats",
    "Model",
    "evaluate",
    "function_in",
    "of_one_length",
]
