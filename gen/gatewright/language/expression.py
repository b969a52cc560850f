"""Equation syntax trees: what the parser of the language stage returns and every later stage reads.

Five frozen node types cover the whole language. `@` (matrix times vector) appears in author's
equations and is gone after lowering; everything else means the same in a spec and in a Program.

Why not SymPy expressions: SymPy reorders terms and has no elementwise product of vectors, so the
author's own equation could neither be checked for shapes nor printed back the way it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Operator = Literal["+", "-", "*", "/", "@", "^"]

PRECEDENCE: dict[str, int] = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "^": 4}
NEGATE_PRECEDENCE = 3


@dataclass(frozen=True, slots=True)
class Number:
    """A literal, such as `1` or `0.5`."""

    value: float
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return render(self)


@dataclass(frozen=True, slots=True)
class Name:
    """A declared name; the next value of a state carries its prime: `c'`."""

    name: str
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return render(self)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the function table applied to its arguments."""

    function: str
    arguments: tuple[Expr, ...]
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return render(self)


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    operand: Expr
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return render(self)


@dataclass(frozen=True, slots=True)
class Binary:
    """A sum, difference, elementwise product or quotient, matrix-vector product, or power."""

    operator: Operator
    left: Expr
    right: Expr
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return render(self)


Expr = Number | Name | Call | Negate | Binary


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct operands of a node, left to right."""
    match expr:
        case Call(_, arguments):
            return arguments
        case Negate(operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield the node and everything below it, parents first, left to right."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def names(expr: Expr) -> tuple[str, ...]:
    """Return the names an expression reads, each once, in order of first appearance."""
    return tuple(dict.fromkeys(node.name for node in walk(expr) if isinstance(node, Name)))


def rebuild(expr: Expr, parts: tuple[Expr, ...]) -> Expr:
    """Return the same kind of node over other operands."""
    match expr:
        case Call(function, _):
            return Call(function, parts)
        case Negate():
            return Negate(parts[0])
        case Binary(operator, _, _):
            return Binary(operator, parts[0], parts[1])
        case _:
            return expr


def substitute(expr: Expr, replace: Callable[[Name], Expr | None]) -> Expr:
    """Return the expression with each name for which `replace` gives an expression replaced."""
    if isinstance(expr, Name):
        replacement = replace(expr)
        return expr if replacement is None else replacement
    parts = children(expr)
    new = tuple(substitute(part, replace) for part in parts)
    return expr if new == parts else rebuild(expr, new)


def operations(expr: Expr) -> int:
    """Count the operations of an expression: one per operator and per function call."""
    return sum(isinstance(node, Call | Negate | Binary) for node in walk(expr))


def number_text(value: float) -> str:
    """Write a number so that it reads back as the same double."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def precedence(expr: Expr) -> int:
    """Return how tightly a node binds; atoms and calls bind tightest."""
    match expr:
        case Binary(operator):
            return PRECEDENCE[operator]
        case Negate():
            return NEGATE_PRECEDENCE
        case Number(value) if value < 0:
            return NEGATE_PRECEDENCE
        case _:
            return 9


def render(expr: Expr) -> str:
    """Write an expression in the spec language with the fewest parentheses that keep its tree."""
    match expr:
        case Number(value):
            return number_text(value)
        case Name(name):
            return name
        case Call(function, arguments):
            return f"{function}({', '.join(render(argument) for argument in arguments)})"
        case Negate(operand):
            return f"-{_wrapped(operand, NEGATE_PRECEDENCE + 1)}"
        case Binary("^", left, right):
            return f"{_wrapped(left, 5)}^{_wrapped(right, NEGATE_PRECEDENCE)}"
        case Binary(operator, left, right):
            level = PRECEDENCE[operator]
            text = _wrapped(right, level + 1)
            # `a - -b` is two signs in a row, which an equation may not have.
            if operator in "+-" and text.startswith("-"):
                text = f"({text})"
            return f"{_wrapped(left, level)} {operator} {text}"


def _wrapped(expr: Expr, level: int) -> str:
    text = render(expr)
    return text if precedence(expr) >= level else f"({text})"
