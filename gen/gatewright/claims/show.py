"""Polynomial -> text: normal forms in the language of claims, so that they can be read back.

`t` is the step of the proof; matrices stand left of what they are applied to, `@`, and products of
vectors are `*`.

Why not SymPy's printer: it would sort and merge what the normal form keeps apart, such as a matrix
applied to a product.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from gatewright.claims.atoms import Applied, Exponential, Mapped, Reciprocal, Variable
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.polynomial import Monomial, Number, Polynomial
from gatewright.claims.terms import INVERSE


def show(form: NormalForm, poly: Polynomial, names: Mapping[int, str] | None = None) -> str:
    """Write a polynomial; `names` are what atoms are called instead of written out."""
    return _Writer(form, names or {}).poly(poly)


class _Writer:
    """Writes polynomials of one normal form."""

    def __init__(self, form: NormalForm, names: Mapping[int, str]) -> None:
        self.form, self.names = form, names

    def poly(self, poly: Polynomial) -> str:
        if not poly:
            return "0"
        terms = sorted(poly.items(), key=lambda item: (len(item[0]), item[0]))
        # A sum begins with what is added, if anything is.
        first = next((k for k, (_, value) in enumerate(terms) if value > 0), 0)
        parts = []
        for monomial, value in [terms[first], *terms[:first], *terms[first + 1 :]]:
            sign = "-" if value < 0 else "+"
            parts.append(f"{sign} {self.term(monomial, abs(value))}")
        text = " ".join(parts)
        return text[2:] if text.startswith("+ ") else "-" + text[2:]

    def term(self, monomial: Monomial, value: Number) -> str:
        above = [self.power(atom, exponent) for atom, exponent in monomial if exponent > 0]
        below = [self.power(atom, -exponent) for atom, exponent in monomial if exponent < 0]
        number = Fraction(value)
        if number != 1 or not above:
            above.insert(0, str(number) if number.denominator == 1 else f"({number})")
        text = " * ".join(above)
        if not below:
            return text
        return f"{text} / {below[0] if len(below) == 1 else f'({self._times(below)})'}"

    def _times(self, factors: list[str]) -> str:
        return " * ".join(factors)

    def power(self, atom: int, exponent: Number) -> str:
        found = self.form.atoms[atom]
        if isinstance(found, Exponential) and exponent != 1:
            return f"exp({self.poly({found.monomial: exponent})})"
        text = self.atom(atom)
        if exponent == 1:
            return text
        return f"{text if _is_one_word(text) else f'({text})'}^{exponent}"

    def atom(self, atom: int) -> str:
        if atom in self.names:
            return self.names[atom]
        match self.form.atoms[atom]:
            case Variable(name):
                return name
            case Applied(function, argument):
                return f"{function}({self.poly(dict(argument))})"
            case Exponential(monomial):
                return f"exp({self.poly({monomial: 1})})"
            case Reciprocal(of):
                return f"(1 / ({self.poly(dict(of))}))"
            case Mapped(matrix, monomial):
                inner = self.poly({monomial: 1})
                one = len(monomial) == 1 and monomial[0][1] == 1
                name = matrix.removesuffix(INVERSE)
                name = name if name == matrix else f"inv({name})"
                return f"{name} @ {inner if one and _is_one_word(inner) else f'({inner})'}"


def _is_one_word(text: str) -> bool:
    """Tell whether a text stands as one factor: a name, or a function of something."""
    if text.endswith(")"):
        depth = 0
        for place, letter in enumerate(text):
            depth += {"(": 1, ")": -1}.get(letter, 0)
            if depth == 0 and letter == ")":
                return place == len(text) - 1
    return " " not in text
