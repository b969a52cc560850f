"""The atoms of normal forms: what a polynomial is a polynomial in.

Why a sum type: rewriting asks an atom what it is, and a tuple with a tag would let a typo pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.claims.polynomial import Frozen, Monomial


@dataclass(frozen=True, slots=True)
class Variable:
    """An atom that is free."""

    name: str


@dataclass(frozen=True, slots=True)
class Applied:
    """An atom that is a function of a polynomial."""

    function: str
    argument: Frozen


@dataclass(frozen=True, slots=True)
class Mapped:
    """An atom that is a matrix applied to one monomial."""

    matrix: str
    monomial: Monomial


@dataclass(frozen=True, slots=True)
class Exponential:
    """An atom that is exp of one monomial; its powers are exp of the multiples."""

    monomial: Monomial


@dataclass(frozen=True, slots=True)
class Reciprocal:
    """An atom that is 1 over a polynomial."""

    of: Frozen


Atom = Variable | Applied | Mapped | Exponential | Reciprocal
