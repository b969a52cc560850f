"""The values of a claim: vectors built from variables, elementwise arithmetic, functions and maps.

A Term denotes a vector; arithmetic is elementwise; `map` applies a matrix. Terms are interned in a
table, so equal terms are one object and a sequence of steps is a graph, not a tree.

Why not Expr: an equation names what another equation computed, a Term is what it computed; two
cells are compared after every name is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Kind = Literal["number", "variable", "add", "multiply", "divide", "apply", "map"]
IDENTITY = "identity"
INVERSE = "^-1"
TRANSPOSE = "^T"


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A node: a number, a variable, arithmetic, a function applied, or a matrix applied.

    `name` is the variable, the function or the matrix; `P^-1` and `W^T` are names of their own.
    """

    place: int
    kind: Kind
    name: str
    value: Fraction
    parts: tuple[Term, ...]

    def __str__(self) -> str:
        match self.kind:
            case "number":
                return str(self.value)
            case "variable":
                return self.name
            case "apply":
                return f"{self.name}({self.parts[0]})"
            case "map":
                return f"{self.name} @ ({self.parts[0]})"
            case kind:
                sign = {"add": "+", "multiply": "*", "divide": "/"}[kind]
                return f"({self.parts[0]} {sign} {self.parts[1]})"


class Terms:
    """The table that interns terms. Terms of different tables are not to be mixed."""

    def __init__(self) -> None:
        self._table: dict[tuple[object, ...], Term] = {}
        self.zero = self.number(Fraction(0))
        self.one = self.number(Fraction(1))

    def _make(
        self, kind: Kind, name: str = "", value: Fraction = Fraction(0), *parts: Term
    ) -> Term:
        key = (kind, name, value, *(part.place for part in parts))
        found = self._table.get(key)
        if found is None:
            found = Term(len(self._table), kind, name, value, parts)
            self._table[key] = found
        return found

    def number(self, value: Fraction | int) -> Term:
        """Return the vector whose every element is a number."""
        return self._make("number", "", Fraction(value))

    def variable(self, name: str) -> Term:
        """Return a free vector, or a free scalar that stands in every element."""
        return self._make("variable", name)

    def add(self, left: Term, right: Term) -> Term:
        """Return the sum."""
        if left is self.zero:
            return right
        if right is self.zero:
            return left
        if left.kind == right.kind == "number":
            return self.number(left.value + right.value)
        return self._make("add", "", Fraction(0), left, right)

    def multiply(self, left: Term, right: Term) -> Term:
        """Return the elementwise product."""
        if left is self.zero or right is self.zero:
            return self.zero
        if left is self.one:
            return right
        if right is self.one:
            return left
        if left.kind == right.kind == "number":
            return self.number(left.value * right.value)
        return self._make("multiply", "", Fraction(0), left, right)

    def negate(self, term: Term) -> Term:
        """Return the term times -1."""
        return self.multiply(self.number(-1), term)

    def subtract(self, left: Term, right: Term) -> Term:
        """Return the difference."""
        return self.add(left, self.negate(right))

    def divide(self, left: Term, right: Term) -> Term:
        """Return the elementwise quotient. Raises ZeroDivisionError for the number 0."""
        if right.kind == "number":
            return self.multiply(self.number(1 / right.value), left)
        return self._make("divide", "", Fraction(0), left, right)

    def power(self, base: Term, exponent: int) -> Term:
        """Return an integer power as products."""
        result = self.one
        for _ in range(abs(exponent)):
            result = self.multiply(result, base)
        return result if exponent >= 0 else self.divide(self.one, result)

    def apply(self, function: str, argument: Term) -> Term:
        """Return a function of one argument, applied to every element."""
        if function == IDENTITY:
            return argument
        return self._make("apply", function, Fraction(0), argument)

    def map(self, matrix: str, argument: Term) -> Term:
        """Return a matrix applied to a vector."""
        if argument is self.zero:
            return self.zero
        return self._make("map", matrix, Fraction(0), argument)

    def with_parts(self, term: Term, parts: tuple[Term, ...]) -> Term:
        """Return what a term is with other parts."""
        match term.kind:
            case "add":
                return self.add(*parts)
            case "multiply":
                return self.multiply(*parts)
            case "divide":
                return self.divide(*parts)
            case "apply":
                return self.apply(term.name, *parts)
            case "map":
                return self.map(term.name, *parts)
            case _:
                return term

    def maximum(self, left: Term, right: Term) -> Term:
        """Return max(left, right) as left + ramp(right - left).

        `ramp` is relu with the derivative 1/2 at 0, as max has it in the function table.
        """
        return self.add(left, self.apply("ramp", self.subtract(right, left)))

    def minimum(self, left: Term, right: Term) -> Term:
        """Return min(left, right) as left - ramp(left - right)."""
        return self.subtract(left, self.apply("ramp", self.subtract(left, right)))

    def absolute(self, term: Term) -> Term:
        """Return |term| as ramp(term) + ramp(-term)."""
        return self.add(self.apply("ramp", term), self.apply("ramp", self.negate(term)))


def below(*roots: Term) -> list[Term]:
    """Return the terms and everything they are built from, parts before wholes, each once."""
    seen: set[int] = set()
    found: list[Term] = []
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        term, done = stack.pop()
        if done:
            found.append(term)
        elif term.place not in seen:
            seen.add(term.place)
            stack.append((term, True))
            stack.extend((part, False) for part in reversed(term.parts))
    return found


def rebuilt(
    terms: Terms, root: Term, change: Callable[[Term, tuple[Term, ...]], Term | None]
) -> Term:
    """Return a term with parts exchanged, from the leaves up.

    `change` gets a term and its new parts; None leaves it as it is, on the new parts.
    """
    found: dict[int, Term] = {}
    for term in below(root):
        parts = tuple(found[part.place] for part in term.parts)
        new = change(term, parts)
        found[term.place] = terms.with_parts(term, parts) if new is None else new
    return found[root.place]


def variables(terms: Iterable[Term]) -> frozenset[str]:
    """Return the names of the variables that terms read."""
    return frozenset(term.name for term in below(*terms) if term.kind == "variable")


def matrices(terms: Iterable[Term]) -> frozenset[str]:
    """Return the names of the matrices that terms apply, without marks of inverse or transpose."""
    return frozenset(base(term.name) for term in below(*terms) if term.kind == "map")


def base(matrix: str) -> str:
    """Return the name of a matrix without marks: `P` of `P^-1`."""
    return matrix.removesuffix(TRANSPOSE).removesuffix(INVERSE)
