"""Expr -> a function of named values, for any array library.

A library is a table from the names of the function table, and `@`, to its own functions; `@` is
given a matrix [M, K] and rows [B, K].

Why closures, made once: walking the syntax at every step would charge the library for our walk.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

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


def closure(expr: Expr, library: Library) -> Evaluate:
    """Return a function that evaluates an expression on a dict of values by name."""
    match expr:
        case Number(value):
            return lambda values: value
        case Name(name):
            # What compiles models in PyTorch cannot follow an `itemgetter`.
            return lambda values: values[name]
        case Negate(operand):
            inner = closure(operand, library)
            return lambda values: -inner(values)
        case Call(function, (argument,)):
            return _unary(library[function], closure(argument, library))
        case Call(function, arguments):
            first, second = (closure(each, library) for each in arguments)
            return _binary(library[function], first, second)
        case Binary(symbol, left, right):
            called = library["@"] if symbol == "@" else _OPERATORS[symbol]
            return _binary(called, closure(left, library), closure(right, library))


def _unary(called: Callable[..., Any], inner: Evaluate) -> Evaluate:
    return lambda values: called(inner(values))


def _binary(called: Callable[..., Any], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda values: called(left(values), right(values))
