"""Claim -> residual: by how much one step parts the two cells, factored, and when it would not.

The residual is the difference of a failed obligation, from states that are still related. SymPy
factors it for display; nothing is decided here.

Why the condition is only sometimes given: `A (f(B) - f(C))` with f strictly monotone vanishes where
A is not 0 exactly if B = C; of other shapes nothing so short can be said.
"""

from __future__ import annotations

import re
from fractions import Fraction

from gatewright.claims.atoms import Applied, Mapped, Variable
from gatewright.claims.claim import Claim
from gatewright.claims.division import is_never_zero
from gatewright.claims.normal_form import NormalForm, TooLargeError
from gatewright.claims.obligations import inductive
from gatewright.claims.polynomial import (
    Monomial,
    Polynomial,
    add,
    freeze,
    leading,
    number_of,
    scale,
    single,
)
from gatewright.claims.show import latex, name_latex, show
from gatewright.claims.theory import INJECTIVE, Quality, Theory
from gatewright.claims.world import MeaningError, World

LARGEST = 60


def residuals(claim: Claim) -> tuple[tuple[tuple[str, str, str], ...], tuple[str, ...]]:
    """Return (what, text, LaTeX) of every failed obligation, and conditions for it to hold."""
    if not claim.states:
        return (), ()
    try:
        world, obligations = inductive(claim)
        form = NormalForm(Theory.PARITY, world.qualities)
        failed = [(o.what, form.difference(o.left, o.right)) for o in obligations]
    except (MeaningError, TooLargeError, ZeroDivisionError):
        return (), ()
    failed = [(what, poly) for what, poly in failed if poly]
    distinct = {
        freeze(scale(poly, Fraction(1) / leading(poly))): (what, poly)
        for what, poly in reversed(failed)
    }
    failed = list(reversed(distinct.values()))
    names = Names(claim, world, form)
    shown = tuple((what, *factored(form, poly, names)) for what, poly in failed)
    conditions = [condition(form, poly, names) for _, poly in failed]
    return shown, tuple(dict.fromkeys(each for each in conditions if each))


class Names:
    """What the values of the two cells are called where a residual reads them, text and LaTeX."""

    def __init__(self, claim: Claim, world: World, form: NormalForm) -> None:
        self.text: dict[int, str] = {}
        self.tex: dict[int, str] = {}
        # The side with free states comes last and keeps its names.
        for side in sorted(claim.sides, key=lambda each: each.alias != claim.mapped):
            for equation in side.cell.equations:
                if not equation.dims or equation.target.endswith("'"):
                    continue
                poly = form.of(world.value(side.alias, equation.target, 0))
                monomial, value = next(iter(poly.items()), ((), 0))
                if monomial and isinstance(form.atoms[monomial[0][0]], Variable):
                    continue
                if len(poly) == 1 and value == 1 and len(monomial) == 1 and monomial[0][1] == 1:
                    name = f"{side.alias}.{equation.target}[t]"
                    self.text[monomial[0][0]] = name
                    self.tex[monomial[0][0]] = name_latex(name)


def factored(form: NormalForm, poly: Polynomial, names: Names) -> tuple[str, str]:
    """Return a polynomial, factored if it is not long, as text and as LaTeX."""
    odd = any(power != int(power) for monomial in poly for _, power in monomial)
    if not poly or len(poly) > LARGEST or odd:
        return show(form, poly, names.text), latex(form, poly, names.tex)
    import sympy

    atoms = sorted({atom for monomial in poly for atom, _ in monomial})
    symbols = {atom: sympy.Symbol(f"a{atom}") for atom in atoms}
    total = sympy.Integer(0)
    for monomial, value in poly.items():
        exact = Fraction(value)
        term = sympy.Rational(exact.numerator, exact.denominator)
        for atom, power in monomial:
            term *= symbols[atom] ** int(power)
        total += term
    found = sympy.factor(total)
    text = re.sub(
        r"a(\d+)",
        lambda m: _bracketed(show(form, single(int(m[1])), names.text)),
        sympy.sstr(found),
    )
    tex = {symbol: latex(form, single(atom), names.tex) for atom, symbol in symbols.items()}
    return text, str(sympy.latex(found, symbol_names=tex, mul_symbol=r" \odot "))


def _bracketed(text: str) -> str:
    plain = re.fullmatch(r"[\w.]+(\[[^\]]*\])?|\w+\(.*\)", text)
    return text if plain else f"({text})"


def condition(form: NormalForm, poly: Polynomial, names: Names) -> str:
    """Return when `A (f(B) - f(C))` vanishes; empty if the polynomial is nothing of the kind."""
    for function in INJECTIVE:
        atoms = [
            atom
            for atom in sorted({a for monomial in poly for a, _ in monomial})
            if isinstance(form.atoms[atom], Applied) and form.atoms[atom].function == function  # type: ignore[union-attr]
        ]
        for k, first in enumerate(atoms):
            for second in atoms[k + 1 :]:
                factor = _common_factor(poly, first, second)
                if factor is not None:
                    return _condition(form, first, second, factor, names)
    return ""


def _common_factor(poly: Polynomial, first: int, second: int) -> Polynomial | None:
    """Return A if the polynomial is A times (first - second)."""
    left: Polynomial = {}
    right: Polynomial = {}
    for monomial, value in poly.items():
        powers = dict(monomial)
        rest = tuple(each for each in monomial if each[0] not in (first, second))
        if powers.get(first) == 1 and second not in powers:
            left[rest] = value
        elif powers.get(second) == 1 and first not in powers:
            right[rest] = value
        else:
            return None
    return left if left and not add(left, right) else None


def _condition(form: NormalForm, first: int, second: int, factor: Polynomial, names: Names) -> str:
    one, other = form.atoms[first], form.atoms[second]
    assert isinstance(one, Applied) and isinstance(other, Applied)
    difference = add(dict(one.argument), dict(other.argument), -1)
    zero = _zero(form, difference, names)
    text = "never zero" if zero == "never" else f"zero if and only if {zero}"
    if _never_zero(form, factor):
        return text
    return f"{text}, where {factored(form, factor, names)[0]} is not 0"


def _zero(form: NormalForm, poly: Polynomial, names: Names) -> str:
    """Write `poly = 0`, with one matrix pulled out if all monomials are under it.

    A number that is not 0 is `never`.
    """
    poly = scale(poly, Fraction(1) / leading(poly))
    if number_of(poly):
        return "never"
    matrices = set()
    inner: Polynomial = {}
    for monomial, value in poly.items():
        atom = form.atoms[monomial[0][0]] if len(monomial) == 1 else None
        if not isinstance(atom, Mapped) or monomial[0][1] != 1:
            return f"{factored(form, poly, names)[0]} = 0"
        matrices.add(atom.matrix)
        inner[atom.monomial] = value
    if len(matrices) != 1:
        return f"{factored(form, poly, names)[0]} = 0"
    return f"{matrices.pop()} @ ({factored(form, inner, names)[0]}) = 0"


def _never_zero(form: NormalForm, factor: Polynomial) -> bool:
    if len(factor) != 1:
        return False
    monomial: Monomial = next(iter(factor))
    return all(
        is_never_zero(form, atom)
        or (isinstance(form.atoms[atom], Variable) and form.quality(atom) is Quality.UNIT)
        for atom, _ in monomial
    )
