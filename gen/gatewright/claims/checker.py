"""Claim, Counterexample -> confirmed or not: a second reading, sharing nothing with the prover.

The two cells are run from the claim's initial states on the counterexample's numbers, straight from
their equations, in the interval arithmetic of mpmath. Terms, normal forms, the search and the balls
of the prover are not imported here; what is shared is the reader of cells and claims.

Why a counterexample and not the proof: a refutation is a finite fact that anyone can recompute, so
a mistake of the prover cannot survive this; proofs have their own second readings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mpmath import iv

from gatewright.claims.claim import Claim, Side
from gatewright.claims.verdict import Counterexample
from gatewright.language.equation import parse
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number
from gatewright.language.references import read_reference

Vector = list[Any]
Matrix = tuple[tuple[Any, ...], ...]
PRECISION = 120


@dataclass(frozen=True)
class Confirmation:
    """Whether the enclosures of the two sides are disjoint, and the enclosures."""

    confirmed: bool
    left: str
    right: str


def confirm(claim: Claim, example: Counterexample) -> Confirmation:
    """Recompute a counterexample; confirmed if the two observed numbers certainly differ."""
    iv.prec = PRECISION
    run = _Run(claim, example)
    observed = claim.observe[example.observed]
    one = run.claimed(observed.left, example.step)
    other = run.claimed(observed.right, example.step)
    left, right = _element(one, example.element), _element(other, example.element)
    apart = bool(left.b < right.a) or bool(right.b < left.a)
    return Confirmation(apart, str(left), str(right))


def _element(value: Any, index: int) -> Any:
    return value[index if len(value) > 1 else 0]


def _exact(value: Fraction) -> Any:
    return iv.mpf(value.numerator) / iv.mpf(value.denominator)


def _tanh(x: Any) -> Any:
    # (e^2x - 1) / (e^2x + 1), rising: enclose at both ends.
    ends = []
    for end in (x.a, x.b):
        power = iv.exp(2 * end)
        ends.append(1 - 2 / (power + 1))
    return iv.mpf([ends[0].a, ends[1].b])


def _clipped(x: Any, low: Any, high: Any) -> Any:
    return iv.mpf([min(max(x.a, low), high), min(max(x.b, low), high)])


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + iv.exp(-x)),
    "tanh": _tanh,
    "exp": iv.exp,
    "log": iv.log,
    "sqrt": iv.sqrt,
    "sin": iv.sin,
    "cos": iv.cos,
    "relu": lambda x: iv.mpf([max(x.a, 0), max(x.b, 0)]),
    "abs": abs,
    "softplus": lambda x: iv.log(1 + iv.exp(x)),
    "silu": lambda x: x / (1 + iv.exp(-x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_tanh": lambda x: _clipped(x, iv.mpf(-1), iv.mpf(1)),
    "max": lambda x, y: iv.mpf([max(x.a, y.a), max(x.b, y.b)]),
    "min": lambda x, y: iv.mpf([min(x.a, y.a), min(x.b, y.b)]),
}


class _Run:
    """Both cells on the numbers of one counterexample."""

    def __init__(self, claim: Claim, example: Counterexample) -> None:
        self.claim, self.example = claim, example
        self.known: dict[tuple[str, str, int], Vector] = {}
        self.names: Mapping[str, Callable[..., Any]] = _FUNCTIONS | {
            name: self._instance(text) for name, text in example.instances.items()
        }

    def _instance(self, text: str) -> Callable[[Any], Any]:
        expr = parse(text)

        def function(value: Any) -> Any:
            return self._plain(expr, value)

        return function

    def _plain(self, expr: Expr, value: Any) -> Any:
        match expr:
            case Number(number):
                return _exact(Fraction(repr(number)))
            case Name():
                return value
            case Negate(operand):
                return -self._plain(operand, value)
            case Call(name, (argument,)):
                return _FUNCTIONS[name](self._plain(argument, value))
            case Binary(sign, left, right):
                return _arithmetic(sign, self._plain(left, value), self._plain(right, value))
        raise TypeError(expr)

    def numbers(self, name: str, length: int) -> Vector:
        found = self.example.vectors.get(name)
        return [_exact(q) for q in found] if found else [iv.mpf(0)] * length

    def matrix(self, name: str, dims: Sequence[str]) -> Matrix:
        rows = self.example.matrices.get(name)
        if rows is None:
            height, width = (self.size(dim) for dim in dims)
            return ((iv.mpf(0),) * width,) * height
        return tuple(tuple(_exact(q) for q in row) for row in rows)

    def size(self, dim: str) -> int:
        return self.example.sizes.get(dim, 1)

    def claimed(self, expr: Expr, step: int) -> Any:
        return self.value(expr, lambda name: self.in_claim(name, step), "", None)

    def in_claim(self, name: str, step: int) -> Any:
        reference = read_reference(name)
        if isinstance(reference, str) or (not reference.cell and reference.shift is None):
            symbol = self.claim.symbols[name]
            if len(symbol.dims) == 2:
                return self.matrix(name, symbol.dims)
            return self.numbers(name, self.size("hidden") if symbol.dims else 1)
        if reference.shift is None:
            return self.parameter(self.claim.side(reference.cell), reference.name)
        side = self.claim.side(reference.cell) if reference.cell else self.claim.left
        return self.at(side, reference.name, step + reference.shift)

    def parameter(self, side: Side, name: str) -> Any:
        given = self.claim.parameters.get((side.alias, name))
        declared = next((p for p in side.cell.parameters if p.name == name), None)
        if given is not None and declared is not None:
            found = self.claimed(given, 0)
            if len(declared.dims) == 2 and isinstance(found, list):
                return self.matrix("", declared.dims)  # the number 0 for a matrix
            return found
        if declared is None:
            constant = next(c for c in side.cell.constants if c.name == name)
            return [_exact(Fraction(repr(constant.value)))]
        full = f"{side.alias}.{name}"
        if len(declared.dims) == 2:
            return self.matrix(full, declared.dims)
        return self.numbers(full, self.size(declared.dims[0]) if declared.dims else 1)

    def at(self, side: Side, name: str, step: int) -> Vector:
        key = (side.alias, name, step)
        if key not in self.known:
            self.known[key] = self._at(side, name, step)
        return self.known[key]

    def _at(self, side: Side, name: str, step: int) -> Vector:
        cell, alias = side.cell, side.alias
        for variable in cell.inputs:
            if variable.name == name:
                return self.numbers(f"{name}[{step}]", self.size(variable.dims[0]))
        dims = next((s.dims for s in cell.states if s.name == name), None)
        if dims is not None and step <= 0:
            if self.claim.initial == "related":
                mapped = self.claim.states.get((alias, name))
                if mapped is not None:
                    return self.full(self.claimed(mapped, step), dims[0])
                return self.numbers(f"{alias}.{name}[{step}]", self.size(dims[0]))
            return [iv.mpf(0)] * self.size(dims[0])
        target = f"{name}'" if dims is not None else name
        equation = next(e for e in cell.equations if e.target == target)
        dim = equation.dims[0] if equation.dims else "hidden"
        if (alias, name) in self.claim.sequences:
            return self.numbers(f"{alias}.{name}[{step}]", self.size(dim))
        if (alias, name) in self.claim.ties:
            return self.full(self.claimed(self.claim.ties[alias, name], step), dim)

        def read(word: str) -> Any:
            bare = word.removesuffix("'")
            if word.endswith("'"):
                return self.at(side, bare, step)
            if any(state.name == word for state in cell.states):
                return self.at(side, word, step - 1)
            if any(e.target == word for e in cell.equations) or any(
                each.name == word for each in cell.inputs
            ):
                return self.at(side, word, step)
            return self.parameter(side, word)

        found = self.value(equation.expr, read, name, side)
        return self.full(found, dim) if equation.dims else list(found)

    def full(self, value: Vector, dim: str) -> Vector:
        return value * self.size(dim) if len(value) == 1 else value

    def value(
        self, expr: Expr, read: Callable[[str], Any], equation: str, side: Side | None
    ) -> Any:
        """Return a vector as a list of intervals, or a matrix as a tuple of rows."""
        match expr:
            case Number(number):
                return [_exact(Fraction(repr(number)))]
            case Name(name):
                return read(name)
            case Negate(operand):
                return _combined("*", [iv.mpf(-1)], self.value(operand, read, equation, side))
            case Call("diag", (argument,)):
                entries = self.full(self.value(argument, read, equation, side), "hidden")
                return tuple(
                    tuple(e if i == j else iv.mpf(0) for j in range(len(entries)))
                    for i, e in enumerate(entries)
                )
            case Call("inv", (Name(name),)):
                return self.matrix(f"{name}^-1", self.claim.symbols[name].dims)
            case Call(name, arguments):
                if side is not None:
                    name = side.functions.get((equation, name), name)
                parts = [self.value(a, read, equation, side) for a in arguments]
                length = max(len(part) for part in parts)
                columns = [part * length if len(part) == 1 else part for part in parts]
                return [self.names[name](*each) for each in zip(*columns, strict=True)]
            case Binary(sign, left, right):
                one = self.value(left, read, equation, side)
                return _combined(sign, one, self.value(right, read, equation, side))
        raise TypeError(expr)


def _arithmetic(sign: str, left: Any, right: Any) -> Any:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case _:
            # Equations have numbers as exponents; one that is not whole takes a positive base.
            whole = int(right.a)
            return left**whole if right.a == right.b == whole else iv.exp(right * iv.log(left))


def _combined(sign: str, left: Any, right: Any) -> Any:
    if sign == "@":
        if isinstance(right, tuple):
            columns = list(zip(*right, strict=True))
            return tuple(tuple(_dot(row, column) for column in columns) for row in left)
        full = right * len(left[0]) if len(right) == 1 else right
        return [_dot(row, full) for row in left]
    if isinstance(left, tuple) and isinstance(right, tuple):
        return tuple(
            tuple(_arithmetic(sign, a, b) for a, b in zip(one, other, strict=True))
            for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, tuple):
        return tuple(tuple(_arithmetic(sign, a, right[0]) for a in row) for row in left)
    if isinstance(right, tuple):
        return tuple(tuple(_arithmetic(sign, left[0], b) for b in row) for row in right)
    length = max(len(left), len(right))
    one = left * length if len(left) == 1 else left
    other = right * length if len(right) == 1 else right
    return [_arithmetic(sign, a, b) for a, b in zip(one, other, strict=True)]


def _dot(row: Sequence[Any], column: Sequence[Any]) -> Any:
    return sum((a * b for a, b in zip(row, column, strict=True)), iv.mpf(0))
