"""Arithmetic of polynomials: sums of rational multiples of monomials in numbered atoms.

A monomial is a sorted tuple of (atom, exponent); exponents may be negative or, for exponentials,
rational. The zero polynomial is the empty dict, so equality of polynomials is equality of dicts.

Why plain dicts and functions: a proof is a few thousand of these operations, and SymPy's own
polynomials take a hundred times as long.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

Number = Any  # int or Fraction; arithmetic mixes them freely
Monomial = tuple[tuple[int, Number], ...]
Polynomial = dict[Monomial, Number]
Frozen = tuple[tuple[Monomial, Number], ...]

ONE: Monomial = ()


def tidy(value: Fraction) -> Number:
    """Return a rational as an int where it is one, which is faster to calculate with."""
    return value.numerator if value.denominator == 1 else value


def constant(value: Number) -> Polynomial:
    """Return a number as a polynomial."""
    return {ONE: value} if value else {}


def single(atom: int, exponent: Number = 1) -> Polynomial:
    """Return one atom as a polynomial."""
    return {((atom, exponent),): 1}


def add(left: Polynomial, right: Polynomial, factor: Number = 1) -> Polynomial:
    """Return `left + factor * right`."""
    result = dict(left)
    for monomial, coefficient in right.items():
        value = result.get(monomial, 0) + factor * coefficient
        if value:
            result[monomial] = value
        else:
            result.pop(monomial, None)
    return result


def scale(poly: Polynomial, factor: Number) -> Polynomial:
    """Return `factor * poly`."""
    return {monomial: value * factor for monomial, value in poly.items()} if factor else {}


def number_of(poly: Polynomial) -> Number | None:
    """Return the number a constant polynomial is, or None."""
    if not poly:
        return 0
    return poly[ONE] if len(poly) == 1 and ONE in poly else None


def freeze(poly: Polynomial) -> Frozen:
    """Return a polynomial as a key."""
    return tuple(sorted(poly.items()))


def leading(poly: Polynomial) -> Number:
    """Return the coefficient that decides a polynomial's sign and scale; 1 for zero."""
    return poly[min(poly, key=lambda monomial: (len(monomial), monomial))] if poly else 1
