"""Expr -> SymPy, and the decision whether two expressions are identical.

Sigmoids and hyperbolic functions become exponentials, so that an identity becomes one between
rational functions of independent atoms: it holds if and only if the numerator of the difference
expands to 0. Sine, cosine and logarithms are atoms of their own. A function that branches is taken
as the branch it follows at a given point. Symbols carry the prefix `v_` before a name that the
reader has already restricted to letters and digits.

Why never `simplify` or `equals`: they may run for minutes and may answer "unknown"; polynomial
expansion always ends, with yes or no. Why never `sympify` of text: it executes what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import sympy

from gatewright.language.equation import parse
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number
from gatewright.language.functions import Function
from gatewright.verify.verdict import UndecidedError

# The identities of the catalogue's cells have fewer than twenty operations each.
LARGEST = 2000
Point = Mapping[sympy.Symbol, Any]
OnCall = Callable[[Call], Any]


def symbol(name: str) -> sympy.Symbol:
    """Return the symbol of a name."""
    return sympy.Symbol(f"v_{name}", real=True)


def number(value: float) -> Any:
    """Return a double as the rational number that it is."""
    exact = Fraction(value)
    return sympy.Rational(exact.numerator, exact.denominator)


def translate(expr: Expr, values: Mapping[str, Any], on_call: OnCall) -> Any:
    """Return an expression as SymPy's; `on_call` says what a function call becomes."""
    match expr:
        case Number(value):
            return number(value)
        case Name(name):
            return values[name] if name in values else symbol(name)
        case Negate(operand):
            return -translate(operand, values, on_call)
        case Call():
            return on_call(expr)
        case Binary("^", base, Number(power)):
            return translate(base, values, on_call) ** number(power)
        case Binary(operator, left, right):
            first = translate(left, values, on_call)
            second = translate(right, values, on_call)
            return _combine(operator, first, second)


def _combine(operator: str, left: Any, right: Any) -> Any:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case _:
            raise ValueError(f"`{operator}` has no scalar meaning")


def is_zero(expr: Any) -> bool:
    """Tell whether an expression in symbols, exponentials and logarithms is identically zero.

    Raises UndecidedError if it is too large to be expanded in reasonable time.
    """
    if expr == 0:
        return True
    size = int(expr.count_ops())
    if size > LARGEST:
        raise UndecidedError(f"an identity of {size} operations is too large to expand")
    numerator, _ = sympy.fraction(sympy.together(_with_atoms(expr)))
    return bool(sympy.expand(numerator) == 0)


def _with_atoms(expr: Any) -> Any:
    """Replace exponentials of multiples of one argument by powers of one symbol."""
    atoms: dict[Any, Any] = {}

    def power(node: Any) -> Any:
        factor, rest = sympy.expand(node.args[0]).as_coeff_Mul()
        if factor < 0:
            return 1 / power(sympy.exp(-node.args[0]))
        atom = atoms.setdefault(rest, sympy.Symbol(f"e_{len(atoms)}", positive=True))
        return atom**factor

    return expr.replace(lambda node: isinstance(node, sympy.exp), power)


class Branches:
    """Defines calls by the function table's definitions, branches as they go at one point."""

    def __init__(self, table: Mapping[str, Function], point: Point, stable: bool = False) -> None:
        self.table = table
        self.point = point
        self.stable = stable

    def translate(self, expr: Expr, values: Mapping[str, Any]) -> Any:
        """Return an expression with its calls replaced by what they stand for at the point."""

        def on_call(call: Call) -> Any:
            return self.apply(call.function, [self.translate(a, values) for a in call.arguments])

        return translate(expr, values, on_call)

    def apply(self, function: str, arguments: list[Any]) -> Any:
        """Return a function of the table, applied to SymPy expressions."""
        if function in _ANALYTIC:
            return _ANALYTIC[function](*arguments)
        if function in _BRANCHING:
            return _BRANCHING[function](self._sign, *arguments)
        row = self.table[function]
        text = row.stable if self.stable or not row.definition else row.definition
        if not text:
            raise ValueError(f"`{function}` has neither a definition nor a stable form")
        return self.translate(parse(text), dict(zip(row.arguments, arguments, strict=True)))

    def _sign(self, expr: Any) -> int:
        """Return the sign of an expression at the point."""
        return int(sympy.sign(expr.subs(self.point).evalf(30)))


def _tanh(x: Any) -> Any:
    return (sympy.exp(2 * x) - 1) / (sympy.exp(2 * x) + 1)


_ANALYTIC: dict[str, Callable[..., Any]] = {
    "exp": sympy.exp,
    "log": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "sqrt": sympy.sqrt,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tanh": _tanh,
}
_BRANCHING: dict[str, Callable[..., Any]] = {
    "abs": lambda sign, x: x * sign(x),
    "sign": lambda sign, x: sympy.Integer(sign(x)),
    "positive": lambda sign, x: sympy.Integer(int(sign(x) > 0)),
    "half": lambda sign, x: sympy.Rational(sign(x) + 1, 2),
    "max": lambda sign, a, b: a if sign(a - b) > 0 else b,
    "min": lambda sign, a, b: a if sign(a - b) < 0 else b,
}
