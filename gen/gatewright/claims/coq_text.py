"""Names and polynomials -> Coq: how normal forms are written in a certificate.

A vector is a function from places to real numbers, so a polynomial is written at a place `i`.

Why one Context for a whole certificate: its parts are written by several writers, and what each of
them mentions has to be declared once, at the top.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gatewright.claims.atoms import Applied, Exponential, Mapped, Reciprocal, Variable
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.polynomial import Monomial, Number, Polynomial
from gatewright.claims.terms import INVERSE, base
from gatewright.claims.theory import SCALARS, Quality

FUNCTIONS = {"tanh": "tanh_", "ramp": "relu"}
CONCRETE = frozenset({"sigmoid", "tanh", "relu", "ramp", "exp", "silu"})


class UnsupportedError(Exception):
    """A proof that uses something the certificates cannot say yet."""


@dataclass
class Context:
    """What a certificate mentions: vectors, matrices and functions, and what is known of them."""

    qualities: Mapping[str, Quality]
    vectors: set[str] = field(default_factory=set)
    matrices: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)

    def declarations(self) -> list[str]:
        """Declare functions, parameters and matrices: what is the same in every step."""
        found = [f"Variable {name} : R -> R." for name in sorted(self.functions)]
        for name in sorted(each for each in self.vectors if not in_step(each)):
            found += self.vector(name)
        for name in sorted({base(each) for each in self.matrices}):
            found += self._matrix(name)
        return found

    def vector(self, name: str) -> list[str]:
        """Declare a vector or scalar and what is known of it."""
        coq, known = coq_name(name), self.known(name)
        kind = "R" if self.qualities.get(name) in SCALARS else "V"
        found = [f"Variable {coq} : {kind}."]
        if known:
            found += [f"Hypothesis H_{coq} : {known}.", f"Hint Resolve H_{coq} : core."]
        return found

    def known(self, name: str) -> str:
        """Say in Coq what is known of a vector or scalar; empty if nothing."""
        coq = coq_name(name)
        return {
            Quality.NONZERO_SCALAR: f"{coq} <> 0",
            Quality.NONZERO: f"forall i, {coq} i <> 0",
            Quality.POSITIVE: f"forall i, 0 < {coq} i",
            Quality.NONNEGATIVE: f"forall i, 0 <= {coq} i",
            Quality.SIGN: f"forall i, {coq} i * {coq} i = 1",
        }.get(self.qualities.get(name, Quality.FREE), "")

    def _matrix(self, name: str) -> list[str]:
        quality, coq = self.qualities.get(name, Quality.FREE), coq_name(name)
        inverse = f"{coq}_inv"
        if quality is Quality.PERMUTATION:
            return [
                f"Variables p_{coq} p_{inverse} : nat -> nat.",
                f"Hypothesis c_{coq} : forall i, p_{coq} (p_{inverse} i) = i.",
                f"Hypothesis c_{inverse} : forall i, p_{inverse} (p_{coq} i) = i.",
                f"Definition {coq} (a : V) : V := fun i => a (p_{coq} i).",
                f"Definition {inverse} (a : V) : V := fun i => a (p_{inverse} i).",
            ]
        if quality is Quality.DIAGONAL:
            diagonal = coq_name(f"diag({name})")
            return [
                f"Variable {diagonal} : V.",
                f"Definition {coq} (a : V) : V := fun i => {diagonal} i * a i.",
            ]
        known = []
        for each in [coq, *([inverse] if quality is Quality.INVERTIBLE else [])]:
            known += [
                f"Variable {each} : V -> V.",
                f"Hypothesis {each}_add : additive {each}.",
                f"Hypothesis {each}_hom : homogeneous {each}.",
            ]
        if quality is Quality.INVERTIBLE:
            known += [
                f"Hypothesis c_{coq} : forall a, {coq} ({inverse} a) = a.",
                f"Hypothesis c_{inverse} : forall a, {inverse} ({coq} a) = a.",
            ]
        return known


def coq_name(name: str) -> str:
    """Return what a variable or matrix is called in Coq."""
    plus = name.replace("[t-", "_before").replace("[t+", "_after").replace("[t]", "_now")
    return "v_" + re.sub(r"\W", "_", plus.rstrip("]").replace(INVERSE, "_inv"))


def in_step(name: str) -> bool:
    """Tell whether a variable is one of a step: an input, a state or a given sequence."""
    return "[" in name


def comment(text: str) -> str:
    """Write a comment."""
    return f"(* {text.replace('*)', '* )').replace('(*', '( *')} *)"


class Notation:
    """Writes the polynomials of one normal form."""

    def __init__(self, form: NormalForm, context: Context) -> None:
        self.form, self.context = form, context

    def number(self, value: Number) -> str:
        """Write a rational number."""
        exact = Fraction(value)
        if exact.denominator == 1:
            return f"({exact.numerator})" if exact < 0 else str(exact.numerator)
        return f"({exact.numerator} / {exact.denominator})"

    def poly(self, poly: Polynomial, at: str = "i") -> str:
        """Write a polynomial at a place."""
        if not poly:
            return "0"
        return " + ".join(self.product(m, c, at) for m, c in sorted(poly.items()))

    def product(self, monomial: Monomial, value: Number, at: str = "i") -> str:
        """Write a number times a monomial at a place."""
        factors = [self.number(value)] if value != 1 or not monomial else []
        return " * ".join([*factors, *(self._power(a, p, at) for a, p in monomial)])

    def _power(self, atom: int, exponent: Number, at: str) -> str:
        if exponent != int(exponent):
            raise UnsupportedError("a fractional power")
        text = self.atom(atom, at)
        product = " * ".join([text] * abs(int(exponent)))
        return f"({product})" if exponent > 0 else f"/ ({product})"

    def atom(self, atom: int, at: str = "i") -> str:
        """Write an atom at a place."""
        match self.form.atoms[atom]:
            case Variable(name):
                if not name.startswith("diag("):
                    self.context.vectors.add(name)
                return coq_name(name) if self.form.scalar[atom] else f"{coq_name(name)} {at}"
            case Applied(function, argument):
                return f"{self.function(function)} ({self.poly(dict(argument), at)})"
            case Exponential(monomial):
                return f"exp ({self.product(monomial, 1, at)})"
            case Reciprocal(of):
                return f"/ ({self.poly(dict(of), at)})"
            case Mapped(matrix, monomial):
                coq = self.matrix(matrix)
                if self.kind(matrix) is Quality.PERMUTATION:
                    return self.product(monomial, 1, f"(p_{coq} {at})")
                return f"{coq} (fun i => {self.product(monomial, 1)}) {at}"

    def kind(self, matrix: str) -> Quality:
        """Return what is known of a matrix."""
        return self.context.qualities.get(base(matrix), Quality.FREE)

    def matrix(self, name: str) -> str:
        """Mention a matrix."""
        self.context.matrices.add(name)
        return coq_name(name)

    def function(self, name: str) -> str:
        """Mention a function."""
        if name not in CONCRETE:
            self.context.functions.add(f"f_{name}")
            return f"f_{name}"
        return FUNCTIONS.get(name, name)
