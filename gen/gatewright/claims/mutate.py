"""Claim -> mutants: claims that differ from a proved one in one place.

A tie is shifted by a step or complemented, a parameter negated, doubled or set to zero, a function
exchanged, an operator of an equation exchanged. Most mutants are false; the prover must prove none
of those.

Why of claims and cells and not of the prover's code: what must be seen is an author's slip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gatewright.claims.claim import Claim, Owned, Side
from gatewright.claims.resolve import moved
from gatewright.language.cell import Equation
from gatewright.language.expression import (
    Binary,
    Call,
    Expr,
    Name,
    Negate,
    Number,
    children,
    rebuild,
    render,
)

OTHER_OPERATOR = {"+": "-", "-": "+", "*": "+", "/": "*"}
OTHER_FUNCTION = {"sigmoid": "tanh", "tanh": "sigmoid", "relu": "tanh", "exp": "sigmoid"}


def mutants(claim: Claim) -> Iterator[tuple[str, Claim]]:
    """Yield what was changed, and the changed claim."""
    for owned, expr in claim.ties.items():
        where = f"tie of {owned[0]}.{owned[1]}"
        for what, new in _tie_mutants(expr):
            yield f"{where} {what}", replace(claim, ties={**claim.ties, owned: new})
    for owned, expr in claim.parameters.items():
        where = f"{owned[0]}.{owned[1]}"
        for what, new in _parameter_mutants(expr):
            given = {**claim.parameters, owned: new}
            yield f"{where} {what}", replace(claim, parameters=given)
        yield f"{where} left free", replace(claim, parameters=_without(claim.parameters, owned))
    for which in ("left", "right"):
        side: Side = getattr(claim, which)
        for what, mutant in _cell_mutants(side):
            changed = (
                replace(claim, left=mutant) if which == "left" else replace(claim, right=mutant)
            )
            yield f"{side.alias}: {what}", changed


def _without(given: Mapping[Owned, Expr], owned: Owned) -> dict[Owned, Expr]:
    return {key: value for key, value in given.items() if key != owned}


def _tie_mutants(expr: Expr) -> Iterator[tuple[str, Expr]]:
    yield "one step later", moved(expr, 1)
    yield "complemented", Binary("-", Number(1.0), expr)
    yield "doubled", Binary("*", Number(2.0), expr)


def _parameter_mutants(expr: Expr) -> Iterator[tuple[str, Expr]]:
    yield "negated", expr.operand if isinstance(expr, Negate) else Negate(expr)
    yield "doubled", Binary("*", Number(2.0), expr)
    yield "set to 0", Number(0.0)


def _cell_mutants(side: Side) -> Iterator[tuple[str, Side]]:
    for index, equation in enumerate(side.cell.equations):
        for what, expr in _expr_mutants(equation.expr):
            changed = Equation(equation.target, equation.dims, expr, render(expr))
            before, after = side.cell.equations[:index], side.cell.equations[index + 1 :]
            cell = replace(side.cell, equations=(*before, changed, *after))
            yield f"{equation.target}: {what}", replace(side, cell=cell)


def _expr_mutants(expr: Expr) -> Iterator[tuple[str, Expr]]:
    match expr:
        case Binary(operator, left, right) if operator in OTHER_OPERATOR:
            other = OTHER_OPERATOR[operator]
            yield f"{operator} to {other}", Binary(other, left, right)  # type: ignore[arg-type]
        case Call(function, arguments) if function in OTHER_FUNCTION:
            other = OTHER_FUNCTION[function]
            yield f"{function} to {other}", Call(other, arguments)
        case Number(value):
            yield f"{value} to {value + 1}", Number(value + 1)
        case Name():
            return
    parts = children(expr)
    for index, part in enumerate(parts):
        binary = expr.operator if isinstance(expr, Binary) else ""
        # Not the matrix, and not the exponent.
        if (binary == "@" and index == 0) or (binary == "^" and index == 1):
            continue
        for what, new in _expr_mutants(part):
            yield what, rebuild(expr, (*parts[:index], new, *parts[index + 1 :]))
