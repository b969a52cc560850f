"""Expr -> arrays: evaluate expressions of the equation language with NumPy, real or complex.

A function that is a primitive has a row in `PRIMITIVES`; any other is evaluated by its stable form
from the function table. On complex arrays `max`, `min`, `abs` and the functions with jumps decide
by the real part, so that a complex step is exact wherever there is a derivative.

Why not the printer's own definitions: a reference that shares its code with what it checks would
repeat its mistakes; only the table's text is common to both, and `symbolic` proves the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewright.language.equation import parse
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number
from gatewright.language.functions import FUNCTIONS

Array = NDArray[Any]
Values = Mapping[str, Any]
LARGEST_EXPONENT = 700.0


def _maximum(a: Any, b: Any) -> Any:
    a, b = np.broadcast_arrays(a, b)
    return np.where((a.real > b.real) | np.isnan(a), a, b)


def _minimum(a: Any, b: Any) -> Any:
    a, b = np.broadcast_arrays(a, b)
    return np.where((a.real < b.real) | np.isnan(a), a, b)


def _absolute(x: Any) -> Any:
    return np.where(np.real(x) < 0, -x, x + 0)


def _positive(x: Any) -> Any:
    return (np.real(x) > 0).astype(_kind(x))


def _half(x: Any) -> Any:
    real = np.real(x)
    return ((real > 0) + 0.5 * (real == 0)).astype(_kind(x))


def _sign(x: Any) -> Any:
    real = np.real(x)
    return np.where(np.isnan(real), real, np.sign(real)).astype(_kind(x))


def _exp(x: Any) -> Any:
    """Return exp(x); a complex one stays finite, as infinity times a complex number is NaN.

    What then is finite in real arithmetic, such as 1 / (1 + exp(1000)), is finite here too.
    """
    if not np.iscomplexobj(x):
        return np.exp(x)
    return np.exp(np.minimum(x.real, LARGEST_EXPONENT) + 1j * x.imag)


def _kind(x: Any) -> Any:
    return np.asarray(x).dtype


PRIMITIVES: dict[str, Callable[..., Any]] = {
    "abs": _absolute,
    "cos": np.cos,
    "exp": _exp,
    "half": _half,
    "log": np.log,
    "log1p": np.log1p,
    "max": _maximum,
    "min": _minimum,
    "positive": _positive,
    "sign": _sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}


@cache
def _stable(function: str) -> Expr:
    return parse(FUNCTIONS[function].stable)


def evaluate(expr: Expr, values: Values) -> Any:
    """Return the value of an expression over arrays [..., rows, columns] that broadcast.

    `@` takes a matrix [..., M, K] and rows [..., B, K] to rows [..., B, M]. A function of literals
    alone and a NaN are values like any other: nothing is raised.
    """
    with np.errstate(all="ignore"):
        return _evaluate(expr, values)


def _evaluate(expr: Expr, values: Values) -> Any:
    match expr:
        case Number(value):
            return value
        case Name(name):
            return values[name]
        case Negate(operand):
            return -_evaluate(operand, values)
        case Call(function, arguments):
            return _call(function, [_evaluate(argument, values) for argument in arguments])
        case Binary("^", base, exponent):
            return _power(_evaluate(base, values), _evaluate(exponent, values))
        case Binary(operator, left, right):
            return _binary(operator, _evaluate(left, values), _evaluate(right, values))


def _call(function: str, arguments: list[Any]) -> Any:
    if function in PRIMITIVES:
        return PRIMITIVES[function](*arguments)
    row = FUNCTIONS[function]
    return _evaluate(_stable(function), dict(zip(row.arguments, arguments, strict=True)))


def _binary(operator: str, left: Any, right: Any) -> Any:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return np.divide(left, right)
        case _:
            return np.matmul(right, np.swapaxes(left, -1, -2))


def _power(base: Any, exponent: float) -> Any:
    """Return a power; whole powers of complex numbers by products, which keep a tiny step exact."""
    if not np.iscomplexobj(base) or exponent != int(exponent):
        return np.power(base, exponent)
    product = reduce(np.multiply, [base] * abs(int(exponent)), np.ones_like(base))
    return product if exponent >= 0 else 1 / product
