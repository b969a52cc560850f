"""Claim -> residual: by how much one step parts the two cells, factored, and when it would not.

The residual is the difference of a failed obligation, from states that are still related. SymPy
factors it for display; nothing is decided here.

Why the condition is only sometimes given: `A (f(B) - f(C))` with f strictly monotone vanishes where
A is not 0 exactly if B = C; of other shapes nothing so short can be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import ModuleType
from typing import Any

from gatewright.claims.atoms import Applied, Mapped, Variable
from gatewright.claims.claim import Claim
from gatewright.claims.division import is_never_zero
from gatewright.claims.normal_form import NormalForm, TooLargeError
from gatewright.claims.obligations import inductive
from gatewright.claims.polynomial import (
    ONE,
    Monomial,
    Polynomial,
    add,
    freeze,
    leading,
    number_of,
    scale,
    single,
    tidy,
)
from gatewright.claims.show import show
from gatewright.claims.theory import INJECTIVE, Quality, Theory
from gatewright.claims.world import MeaningError, World

LARGEST = 60
LARGEST_TO_SPLIT = 12


def residuals(claim: Claim) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return (what, by how much) of every failed obligation, and when each would hold, or ""."""
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
    names = names_of(claim, world, form)
    shown = tuple((what, factored(form, poly, names)) for what, poly in failed)
    return shown, tuple(condition(form, poly, names) for _, poly in failed)


def names_of(claim: Claim, world: World, form: NormalForm) -> dict[int, str]:
    """Return what atoms are called that are values of the two cells, such as a gate in step t."""
    names: dict[int, str] = {}
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
                names[monomial[0][0]] = f"{side.alias}.{equation.target}[t]"
    return names


def factored(form: NormalForm, poly: Polynomial, names: Mapping[int, str]) -> str:
    """Return a polynomial as a product, or as a sum of two that each have one cause."""
    whole = _product(form, poly, names)
    if whole is not None:
        return whole
    parts = _by_causes(form, poly, names)
    return parts if parts is not None else show(form, poly, names)


def _product(form: NormalForm, poly: Polynomial, names: Mapping[int, str]) -> str | None:
    """Return a polynomial as a product, if it is one."""
    odd = any(power != int(power) or power < 0 for monomial in poly for _, power in monomial)
    if not poly or len(poly) > LARGEST or odd:
        return None
    import sympy

    number, found = sympy.factor_list(_for_sympy(sympy, poly))
    factors = [(_from_sympy(base), int(power)) for base, power in found]
    sums = [k for k, (factor, _) in enumerate(factors) if len(factor) > 1]
    if len(sums) == 1 and len(factors) == 1 and factors[0][1] == 1:
        return show(form, poly, names) if len(poly) <= 2 else None
    number = Fraction(int(number.p), int(number.q))
    for k in reversed(sums):
        # A difference is turned around rather than given a sign.
        if number < 0 and factors[k][1] % 2:
            factors[k] = (scale(factors[k][0], -1), factors[k][1])
            number = -number
    factors.sort(key=lambda each: (len(each[0]), sorted(each[0])))
    texts = [_factor(form, factor, power, names) for factor, power in factors]
    if abs(number) != 1 or not texts:
        texts.insert(0, str(abs(number)) if number.denominator == 1 else f"({abs(number)})")
    return f"{'-' if number < 0 else ''}{' * '.join(texts)}"


def _factor(form: NormalForm, poly: Polynomial, power: int, names: Mapping[int, str]) -> str:
    text = show(form, poly, names)
    text = f"({text})" if len(poly) > 1 else text
    return text if power == 1 else f"{text}^{power}"


def _by_causes(form: NormalForm, poly: Polynomial, names: Mapping[int, str]) -> str | None:
    """Split a polynomial in two products by exchanging one value of a cell for one of the other.

    `i * g - z * n` is `(i - z) * g`, zero if i = z, plus `z * (g - n)`, zero if g = n.
    """
    if len(poly) > LARGEST_TO_SPLIT:
        return None
    atoms = sorted({atom for monomial in poly for atom, _ in monomial if atom in names})
    for first in atoms:
        for second in atoms:
            one, other = form.atoms[first], form.atoms[second]
            if not (isinstance(one, Applied) and isinstance(other, Applied)) or first == second:
                continue
            if one.function != other.function:
                continue
            rest: Polynomial = {}
            for monomial, value in poly.items():
                exchanged: Polynomial = {ONE: value}
                for atom, power in monomial:
                    factor = single(second if atom == first else atom, power)
                    exchanged = form.multiply(exchanged, factor)
                rest = add(rest, exchanged)
            parts = [_product(form, each, names) for each in (add(poly, rest, -1), rest) if each]
            if len(parts) == 2 and all(parts):
                return " + ".join(map(str, parts)).replace("+ -", "- ")
    return None


def _for_sympy(sympy: ModuleType, poly: Polynomial) -> Any:
    atoms = sorted({atom for monomial in poly for atom, _ in monomial})
    symbols = {atom: sympy.Symbol(f"a{atom}") for atom in atoms}
    total = sympy.Integer(0)
    for monomial, value in poly.items():
        exact = Fraction(value)
        term = sympy.Rational(exact.numerator, exact.denominator)
        for atom, power in monomial:
            term *= symbols[atom] ** int(power)
        total += term
    return total


def _from_sympy(expr: Any) -> Polynomial:
    found = expr.as_poly()
    atoms = [int(symbol.name[1:]) for symbol in found.gens]
    result: Polynomial = {}
    for powers, value in found.terms():
        monomial = tuple(sorted((a, p) for a, p in zip(atoms, powers, strict=True) if p))
        result[monomial] = tidy(Fraction(int(value.p), int(value.q)))
    return result


def condition(form: NormalForm, poly: Polynomial, names: Mapping[int, str]) -> str:
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


def _condition(
    form: NormalForm, first: int, second: int, factor: Polynomial, names: Mapping[int, str]
) -> str:
    one, other = form.atoms[first], form.atoms[second]
    assert isinstance(one, Applied) and isinstance(other, Applied)
    difference = add(dict(one.argument), dict(other.argument), -1)
    zero = _zero(form, difference, names)
    text = "never zero" if zero == "never" else f"zero if and only if `{zero}`"
    if _never_zero(form, factor):
        return text
    return f"{text}, where `{factored(form, factor, names)}` is not 0"


def _zero(form: NormalForm, poly: Polynomial, names: Mapping[int, str]) -> str:
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
            return f"{factored(form, poly, names)} = 0"
        matrices.add(atom.matrix)
        inner[atom.monomial] = value
    if len(matrices) != 1:
        return f"{factored(form, poly, names)} = 0"
    return f"{matrices.pop()} @ ({factored(form, inner, names)}) = 0"


def _never_zero(form: NormalForm, factor: Polynomial) -> bool:
    if len(factor) != 1:
        return False
    monomial: Monomial = next(iter(factor))
    return all(
        is_never_zero(form, atom)
        or (isinstance(form.atoms[atom], Variable) and form.quality(atom) is Quality.UNIT)
        for atom, _ in monomial
    )
