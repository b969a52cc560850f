"""Polynomial -> text or LaTeX: normal forms in the notation of the papers.

`t` is the step of the proof; matrices stand left of what they are applied to, products of vectors
are ⊙ in LaTeX and `*` in text.

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
from gatewright.language.alphabet import GREEK
from gatewright.language.references import Reference, is_reference, read_reference

_LETTERS = frozenset(GREEK.values())
_FUNCTIONS = {"sigmoid": r"\sigma", "tanh": r"\tanh", "exp": r"\exp"}


def show(form: NormalForm, poly: Polynomial, names: Mapping[int, str] | None = None) -> str:
    """Write a polynomial as text; `names` are what atoms are called instead of written out."""
    return _Writer(form, names or {}, False).poly(poly)


def latex(form: NormalForm, poly: Polynomial, names: Mapping[int, str] | None = None) -> str:
    """Write a polynomial as LaTeX."""
    return _Writer(form, names or {}, True).poly(poly)


def name_latex(name: str) -> str:
    """Write a variable, matrix or function in LaTeX; the cell's name is left out."""
    bare, step = name, ""
    if is_reference(name):
        reference = read_reference(name)
        if isinstance(reference, Reference):
            bare = reference.name
            if reference.shift is not None:
                step = f"t{reference.shift:+d}" if reference.shift else "t"
        else:
            owner, _, rest = name.partition(".")
            bare, _, step = (rest or owner).rstrip("]").partition("[")
    if bare.startswith("diag("):
        return name_latex(bare[5:-1])
    inverse = bare.endswith(INVERSE)
    stem, *subscripts = bare.removesuffix(INVERSE).split("_")
    text = f"\\{stem}" if stem in _LETTERS else stem
    if len(stem) > 1 and stem not in _LETTERS:
        text = rf"\mathrm{{{stem}}}"
    below = ",".join([*(s for s in subscripts if s), *([step] if step else [])])
    text += f"_{{{below}}}" if below else ""
    return f"{text}^{{-1}}" if inverse else text


class _Writer:
    """Writes polynomials of one normal form in one notation."""

    def __init__(self, form: NormalForm, names: Mapping[int, str], tex: bool) -> None:
        self.form, self.names, self.tex = form, names, tex

    def poly(self, poly: Polynomial) -> str:
        if not poly:
            return "0"
        parts = []
        for monomial, value in sorted(poly.items(), key=lambda item: (len(item[0]), item[0])):
            sign = "-" if value < 0 else "+"
            parts.append(f"{sign} {self.term(monomial, abs(value))}")
        text = " ".join(parts)
        return text[2:] if text.startswith("+ ") else "-" + text[2:]

    def term(self, monomial: Monomial, value: Number) -> str:
        factors = [self.power(atom, exponent) for atom, exponent in monomial]
        product = (r" \odot " if self.tex else " * ").join(factors)
        if value == 1 and product:
            return product
        number = self.number(Fraction(value))
        return f"{number}{' ' if self.tex else ' * '}{product}" if product else number

    def number(self, value: Fraction) -> str:
        if self.tex and value.denominator != 1:
            return rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"
        return str(value)

    def power(self, atom: int, exponent: Number) -> str:
        text = self.atom(atom)
        if exponent == 1:
            return text
        return f"{text}^{{{exponent}}}" if self.tex else f"{text}^{exponent}"

    def atom(self, atom: int) -> str:
        if atom in self.names:
            return self.names[atom]
        match self.form.atoms[atom]:
            case Variable(name):
                return name_latex(name) if self.tex else name
            case Applied(function, argument):
                name = _FUNCTIONS.get(function) or name_latex(function) if self.tex else function
                return f"{name}({self.poly(dict(argument))})"
            case Exponential(monomial):
                inner = self.poly({monomial: 1})
                return f"e^{{{inner}}}" if self.tex else f"exp({inner})"
            case Reciprocal(of):
                inner = self.poly(dict(of))
                return f"({inner})^{{-1}}" if self.tex else f"(1 / ({inner}))"
            case Mapped(matrix, monomial):
                inner = self.poly({monomial: 1})
                plain = len(monomial) == 1 and monomial[0][1] == 1
                if self.tex:
                    return f"{name_latex(matrix)} {inner if plain else f'({inner})'}"
                return f"{matrix} @ {inner if plain else f'({inner})'}"
