"""Expr -> Python text, the same for every target.

Literals print as `real(1)`, so that single precision stays single; everything else reads as it
stands in the Program. Each function of the table either is a primitive of the target's `math` or
gets a definition, printed from its stable form, at the top of the generated file.

Why definitions inside the file: a generated file that is complete in itself can be read and checked
by eye, and a cached compilation of it cannot go stale when another file changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass

from gatewright.language.equation import parse
from gatewright.language.expression import (
    NEGATE_PRECEDENCE,
    PRECEDENCE,
    Binary,
    Call,
    Expr,
    Name,
    Negate,
    Number,
    number_text,
    precedence,
    walk,
)
from gatewright.language.functions import FUNCTIONS

# What every target's runtime provides under the same name. The rest is printed into the file, or
# provided by the runtime of a target that has a better form.
PRIMITIVES = frozenset({"cos", "exp", "log", "log1p", "sin", "sqrt", "tanh"})

# Python has these under another name, or needs a comparison that keeps NaN where `max` loses it.
SPELLING = {"max": "maximum", "min": "minimum", "abs": "absolute", "half": "half_step"}

BRANCHES = {
    "max": "a if a > b or a != a else b",
    "min": "a if a < b or a != a else b",
    "abs": "x if x > real(0) or x != x else -x + real(0)",
    "positive": "real(1) if x > real(0) else real(0)",
    "half": "real(1) if x > real(0) else real(0.5) if x == real(0) else real(0)",
    "sign": "real(1) if x > real(0) else real(-1) if x < real(0) else x",
}


@dataclass(frozen=True)
class Definition:
    """A function that a generated file defines for itself."""

    name: str
    arguments: tuple[str, ...]
    doc: str
    body: str


def python(expr: Expr, spell: Callable[[str], str] = str) -> str:
    """Print an expression as Python; `spell` writes a name (`c` as `c[row, unit]`)."""
    match expr:
        case Number(value):
            return f"real({number_text(value)})"
        case Name(name):
            return spell(name)
        case Call(function, arguments):
            inner = ", ".join(python(argument, spell) for argument in arguments)
            return f"{SPELLING.get(function, function)}({inner})"
        case Negate(operand):
            return f"-{_wrapped(operand, NEGATE_PRECEDENCE + 1, spell)}"
        case Binary("^", base, exponent):
            power = _wrapped(exponent, NEGATE_PRECEDENCE, spell)
            return f"{_wrapped(base, 5, spell)} ** {power}"
        case Binary(operator, left, right):
            level = PRECEDENCE[operator]
            return f"{_wrapped(left, level, spell)} {operator} {_wrapped(right, level + 1, spell)}"


def _wrapped(expr: Expr, level: int, spell: Callable[[str], str]) -> str:
    text = python(expr, spell)
    tight = isinstance(expr, Number) or precedence(expr) >= level
    return text if tight else f"({text})"


def functions_used(expressions: Iterable[Expr], provided: Set[str]) -> tuple[str, ...]:
    """Return the functions that expressions call, with those that definitions call, sorted.

    `provided` are those of the target's runtime, which need no definition.
    """
    found: set[str] = set()
    waiting = list(expressions)
    while waiting:
        for node in walk(waiting.pop()):
            if isinstance(node, Call) and node.function not in found:
                found.add(node.function)
                stable = FUNCTIONS[node.function].stable
                if stable and node.function not in provided:
                    waiting.append(parse(stable))
    return tuple(sorted(found))


def definitions(functions: Iterable[str], provided: Set[str]) -> tuple[Definition, ...]:
    """Return the definitions of functions that are not provided, each after those it calls."""
    ordered: dict[str, Definition] = {}

    def visit(name: str) -> None:
        if name in provided or name in ordered:
            return
        row = FUNCTIONS[name]
        if row.stable:
            for inner in functions_used([parse(row.stable)], provided):
                visit(inner)
        ordered[name] = _definition(name)

    for name in functions:
        visit(name)
    return tuple(ordered.values())


def _definition(name: str) -> Definition:
    row = FUNCTIONS[name]
    spelled = SPELLING.get(name, name)
    if name in BRANCHES:
        doc = f"Return {name}({', '.join(row.arguments)}); NaN stays NaN."
        if row.internal:
            doc = f"Return {DOCS[name]}."
        return Definition(spelled, row.arguments, doc, BRANCHES[name])
    return Definition(spelled, row.arguments, f"Return {row.stable}.", python(parse(row.stable)))


DOCS = {
    "positive": "1 where x > 0, else 0",
    "half": "1 where x > 0, a half at 0, else 0",
    "sign": "the sign of x, 0 at 0",
}
