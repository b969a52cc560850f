"""Expr -> Dims: the shape of every operation, and whether its names may stand where they do.

A matrix stands only left of `@`, as a bare parameter; vectors of different dimensions never meet;
a scalar goes with anything.

Why a shape of None: a name that was already reported has an unknown shape, and what depends on it
is not reported again. One mistake makes one message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gatewright.language.cell import Dims
from gatewright.language.diagnostics import did_you_mean
from gatewright.language.equation import EquationError
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number, render
from gatewright.language.functions import AUTHOR_FUNCTIONS

Report = Callable[[EquationError], None]
_VERBS = {"*": "elementwise product of", "/": "elementwise quotient of"}


@dataclass(frozen=True)
class Scope:
    """What an equation may read: shapes by name (None where unknown), and functions by arity."""

    shapes: Mapping[str, Dims | None]
    functions: Mapping[str, int]
    later: frozenset[str]
    target: str


def functions(choices: Mapping[str, int]) -> dict[str, int]:
    """Return the number of arguments of every function that an equation may call."""
    return {name: len(row.arguments) for name, row in AUTHOR_FUNCTIONS.items()} | dict(choices)


def shape(expr: Expr, scope: Scope, report: Report) -> Dims | None:
    """Return the dimensions of an expression; report each mistake and give it the shape None."""
    match expr:
        case Number():
            return ()
        case Name():
            dims = _name(expr, scope, report)
            if dims is not None and len(dims) == 2:
                report(_stray_matrix(expr, dims))
                return None
            return dims
        case Call():
            return _call(expr, scope, report)
        case Negate(operand):
            return shape(operand, scope, report)
        case Binary("@"):
            return _matrix_vector(expr, scope, report)
        case Binary():
            return _elementwise(expr, scope, report)


def shown(dims: Dims) -> str:
    """Write a shape the way a spec declares it."""
    return f"[{', '.join(dims)}]"


def _mistake(code: str, message: str, at: Expr, help: str = "", label: str = "") -> EquationError:
    return EquationError(code, message, at.start, at.end, help, label)


def _name(expr: Name, scope: Scope, report: Report) -> Dims | None:
    name = expr.name
    if name in scope.shapes:
        return scope.shapes[name]
    if name == scope.target:
        help = (
            f"use another name on the left, or declare `{name}` under `states` and define its prime"
        )
        if name.endswith("'"):
            help = f"read `{name[:-1]}`, the value before this step"
        report(_mistake("E0302", f"`{name}` is defined in terms of itself", expr, help))
    elif name in scope.later:
        help = f"move the equation for `{name}` above this one; a step has no cycles"
        report(_mistake("E0302", f"`{name}` is used before it is defined", expr, help))
    elif name in scope.functions:
        help = f"write `{name}(…)`"
        report(_mistake("E0303", f"`{name}` is a function and needs an argument", expr, help))
    else:
        known = (*scope.shapes, *scope.later)
        label = "not an input, state, parameter or earlier equation"
        help = did_you_mean(name, known, "declare it, or give it an equation above this one")
        report(_mistake("E0301", f"unknown name `{name}`", expr, help, label))
    return None


def _stray_matrix(expr: Expr, dims: Dims) -> EquationError:
    message = f"matrix `{render(expr)}` {shown(dims)} can stand only left of `@`"
    return _mistake("E0403", message, expr, f"write `{render(expr)} @ …`")


def _call(expr: Call, scope: Scope, report: Report) -> Dims | None:
    found = [shape(argument, scope, report) for argument in expr.arguments]
    name = expr.function
    at = Name(name, expr.start, expr.start + len(name))
    if name not in scope.functions:
        if name in scope.shapes or name in scope.later or name == scope.target:
            help = f"write `{name} * (…)` for a product"
            report(_mistake("E0304", f"`{name}` is a variable, not a function", at, help))
        else:
            known = f"the functions are {', '.join(sorted(scope.functions))}"
            help = did_you_mean(name, scope.functions, known)
            report(_mistake("E0305", f"unknown function `{name}`", at, help))
        return None
    arity = scope.functions[name]
    if len(found) != arity:
        arguments = "argument" if arity == 1 else "arguments"
        message = f"`{name}` takes {arity} {arguments}, {len(found)} given"
        report(_mistake("E0306", message, at))
        return None
    result: Dims | None = ()
    for dims in found:
        result = _joined(f"`{name}`", expr, result, dims, report)
    return result


def _joined(
    what: str, expr: Expr, left: Dims | None, right: Dims | None, report: Report
) -> Dims | None:
    if left is None or right is None:
        return None
    if left == right or not right:
        return left
    if not left:
        return right
    message = f"shapes {shown(left)} and {shown(right)} do not match for {what}"
    help = "there is no implicit broadcasting between dimensions"
    report(_mistake("E0401", message, expr, help))
    return None


def _elementwise(expr: Binary, scope: Scope, report: Report) -> Dims | None:
    raw = [
        _name(side, scope, report) if isinstance(side, Name) else shape(side, scope, report)
        for side in (expr.left, expr.right)
    ]
    for side, other, dims, beside in (
        (expr.left, expr.right, raw[0], raw[1]),
        (expr.right, expr.left, raw[1], raw[0]),
    ):
        if dims is None or len(dims) != 2:
            continue
        if expr.operator in _VERBS and beside:
            nouns = [_noun(item) for item in raw if item is not None]
            message = f"{_VERBS[expr.operator]} {' and '.join(nouns)}"
            help = "use `@` for a matrix-vector product"
            if len(beside) == 1 and dims[1] != beside[0]:
                help += f" (`{render(side)}` takes {shown(dims[1:])}, `{render(other)}` is not)"
            report(_mistake("E0404", message, expr, help))
        else:
            report(_stray_matrix(side, dims))
        return None
    if expr.operator == "/" and _is_zero(expr.right):
        help = "the result would be infinite at every input"
        report(_mistake("E0407", "division by zero", expr.right, help))
    if expr.operator == "^":
        return raw[0]
    return _joined(f"`{expr.operator}`", expr, raw[0], raw[1], report)


def _noun(dims: Dims) -> str:
    return f"{('a scalar', 'a vector', 'a matrix')[len(dims)]} {shown(dims)}"


def _is_zero(expr: Expr) -> bool:
    while isinstance(expr, Negate):
        expr = expr.operand
    return isinstance(expr, Number) and expr.value == 0


def _matrix_vector(expr: Binary, scope: Scope, report: Report) -> Dims | None:
    right_is_matrix = False
    if isinstance(expr.left, Name):
        matrix = _name(expr.left, scope, report)
    else:
        matrix = shape(expr.left, scope, report)
    if isinstance(expr.right, Name):
        vector = _name(expr.right, scope, report)
        right_is_matrix = vector is not None and len(vector) == 2
    else:
        vector = shape(expr.right, scope, report)
    if right_is_matrix and vector is not None:
        message = f"`{render(expr.right)}` on the right of `@` is a matrix {shown(vector)}"
        help = "a product of three is written from the right: `A @ (B @ x)`"
        report(_mistake("E0403", message, expr.right, help))
        return None
    if matrix is not None and len(matrix) != 2:
        message = f"left side of `@` must be a matrix, but has shape {shown(matrix)}"
        report(_mistake("E0402", message, expr.left, "use `*` for an elementwise product"))
        return None
    if matrix is None or vector is None:
        return None
    if vector != matrix[1:]:
        name = render(expr.left)
        message = f"`{name}` {shown(matrix)} takes {shown(matrix[1:])}, not {shown(vector)}"
        help = _fitting(scope, matrix[1:])
        report(_mistake("E0401", message, expr, help))
        return None
    return matrix[:1]


def _fitting(scope: Scope, dims: Dims) -> str:
    names = [f"`{name}`" for name, found in scope.shapes.items() if found == dims][:4]
    if not names:
        return "the second dimension of a matrix is the length of the vector it takes"
    return f"of shape {shown(dims)}: {', '.join(names)}"
