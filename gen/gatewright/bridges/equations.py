"""Cell -> a step for any array library: the cell's equations as calls of that library's functions.

A library is a table from the names of the function table, and `@`, to its own functions. A step
reads and extends a dict of values by name; `@` is given a matrix [M, K] and rows [B, K].

Why closures, made once: walking the syntax at every step would charge the library for our walk.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from gatewright.language.cell import Cell
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number

Values = dict[str, Any]
Evaluate = Callable[[Values], Any]
Library = Mapping[str, Callable[..., Any]]

_OPERATORS: Library = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
}


def step(cell: Cell, library: Library) -> Callable[[Values], Any]:
    """Return a function that runs all equations on a dict of values and returns the output.

    Afterwards the dict holds every equation's value and the states are their next values.
    """
    equations = [(each.target, _evaluator(each.expr, library)) for each in cell.equations]
    carried = [(state.name, f"{state.name}'") for state in cell.states]
    output = cell.output

    def run(values: Values) -> Any:
        for target, evaluate in equations:
            values[target] = evaluate(values)
        for name, following in carried:
            values[name] = values[following]
        return values[output]

    return run


def _evaluator(expr: Expr, library: Library) -> Evaluate:
    match expr:
        case Number(value):
            return lambda values: value
        case Name(name):
            return operator.itemgetter(name)
        case Negate(operand):
            inner = _evaluator(operand, library)
            return lambda values: -inner(values)
        case Call(function, (argument,)):
            return _unary(library[function], _evaluator(argument, library))
        case Call(function, arguments):
            first, second = (_evaluator(each, library) for each in arguments)
            return _binary(library[function], first, second)
        case Binary(symbol, left, right):
            called = library["@"] if symbol == "@" else _OPERATORS[symbol]
            return _binary(called, _evaluator(left, library), _evaluator(right, library))


def _unary(called: Callable[..., Any], inner: Evaluate) -> Evaluate:
    return lambda values: called(inner(values))


def _binary(called: Callable[..., Any], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda values: called(left(values), right(values))
