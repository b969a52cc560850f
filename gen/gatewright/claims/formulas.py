"""Expr -> Term: what a formula computes, given what its names mean.

A Scope says that: equations of a cell read values of one step, formulas of a claim read values of
both cells at any step, statements of a Program read what was computed before them.

Why one function for all three: a claim, a cell and a Program are compared, so a sum or a product
must mean the same in each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from gatewright.claims.terms import INVERSE, Term, Terms
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number

LinearMap = Callable[[Term], Term]


class MeaningError(Exception):
    """Values of a claim that cannot be computed: defined by themselves, or too far back.

    `value` is the cell and the name that it happened at, if it was at one.
    """

    def __init__(self, message: str, value: tuple[str, str] = ("", "")) -> None:
        super().__init__(message)
        self.value = value


class Scope:
    """What the names of a formula mean. Subclasses say it."""

    def vector(self, name: str) -> Term:
        """Return the value of a name."""
        raise NotImplementedError

    def matrix(self, name: str) -> LinearMap:
        """Return the matrix of a name."""
        raise NotImplementedError

    def inverse(self, terms: Terms, name: str) -> LinearMap:
        """Return the inverse of the matrix of a name."""
        return lambda vector: terms.map(f"{name}{INVERSE}", vector)

    def function(self, name: str) -> str:
        """Return what stands in place of a function."""
        return name

    def is_matrix_name(self, name: str) -> bool:
        """Tell whether a name is that of a matrix."""
        raise NotImplementedError

    def is_matrix(self, expr: Expr) -> bool:
        """Tell whether an expression is a matrix."""
        match expr:
            case Name(name):
                return self.is_matrix_name(name)
            case Call(function, _):
                return function in ("diag", "inv")
            case Negate(operand):
                return self.is_matrix(operand)
            case Binary("@", _, right):
                return self.is_matrix(right)
            case Binary(_, left, right):
                return self.is_matrix(left) or self.is_matrix(right)
            case _:
                return False


class RowScope(Scope):
    """Inside a text of the function table: its arguments, and the result `y`; no matrices."""

    def __init__(self, known: Mapping[str, Term]) -> None:
        self.known = known

    def vector(self, name: str) -> Term:
        """Return the value of an argument or of the result."""
        return self.known[name]

    def matrix(self, name: str) -> LinearMap:
        """Raise KeyError."""
        raise KeyError(name)

    def is_matrix_name(self, name: str) -> bool:
        """Return False."""
        return False


def exact(value: float) -> Fraction:
    """Return the decimal number that an author wrote, which a double only rounds."""
    return Fraction(repr(value))


def vector_of(terms: Terms, expr: Expr, scope: Scope) -> Term:
    """Return the vector that a formula computes."""
    match expr:
        case Number(value):
            return terms.number(exact(value))
        case Name(name):
            return scope.vector(name)
        case Negate(operand):
            return terms.negate(vector_of(terms, operand, scope))
        case Call(function, arguments):
            parts = [vector_of(terms, argument, scope) for argument in arguments]
            return called(terms, scope.function(function), parts)
        case Binary("@", left, right):
            return map_of(terms, left, scope)(vector_of(terms, right, scope))
        case Binary("^", base, Number(power)):
            inner = vector_of(terms, base, scope)
            if power != int(power):
                return terms.apply(f"power_{power!r}", inner)
            return terms.power(inner, int(power))
        case Binary(operator, left, right):
            one, other = vector_of(terms, left, scope), vector_of(terms, right, scope)
            combine = {"+": terms.add, "-": terms.subtract, "*": terms.multiply}
            return combine.get(operator, terms.divide)(one, other)


def called(terms: Terms, function: str, parts: list[Term]) -> Term:
    """Return a function of the table applied; those of two arguments and |a| by relu."""
    match function:
        case "max":
            return terms.maximum(*parts)
        case "min":
            return terms.minimum(*parts)
        case "abs":
            return terms.absolute(parts[0])
        case _:
            return terms.apply(function, parts[0])


def map_of(terms: Terms, expr: Expr, scope: Scope) -> LinearMap:
    """Return the matrix that a formula is. Raises MeaningError if it is none."""
    match expr:
        case Number(value) if value == 0:
            return lambda _: terms.zero
        case Name(name):
            return scope.matrix(name)
        case Negate(operand):
            inner = map_of(terms, operand, scope)
            return lambda vector: terms.negate(inner(vector))
        case Call("diag", (argument,)):
            diagonal = vector_of(terms, argument, scope)
            return lambda vector: terms.multiply(diagonal, vector)
        case Call("inv", (Name(name),)):
            return scope.inverse(terms, name)
        case Binary("@", left, right):
            outer, inside = map_of(terms, left, scope), map_of(terms, right, scope)
            return lambda vector: outer(inside(vector))
        case Binary("/", left, right):
            numerator, divisor = map_of(terms, left, scope), vector_of(terms, right, scope)
            return lambda vector: terms.divide(numerator(vector), divisor)
        case Binary("*", left, right):
            if scope.is_matrix(left):
                left, right = right, left
            factor, matrix = vector_of(terms, left, scope), map_of(terms, right, scope)
            return lambda vector: terms.multiply(factor, matrix(vector))
        case Binary("+" | "-" as operator, left, right):
            one, other = map_of(terms, left, scope), map_of(terms, right, scope)
            combine = terms.add if operator == "+" else terms.subtract
            return lambda vector: combine(one(vector), other(vector))
    raise MeaningError(f"`{expr}` is not a matrix")
