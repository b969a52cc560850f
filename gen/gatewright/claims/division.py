"""Normal forms of quotients: reciprocals as atoms, cleared when two normal forms are compared.

A reciprocal of one monomial is a monomial with negative exponents; of a sum, an atom that is
normalised up to its leading number and up to factors exp(u), which are never zero.

Why cleared at the end: 1/(a + b) has no normal form as a sum, but a difference of two quotients is
zero exactly when its numerator is, provided that no divisor is.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gatewright.claims.atoms import Applied, Exponential, Reciprocal
from gatewright.claims.polynomial import (
    Frozen,
    Monomial,
    Polynomial,
    add,
    constant,
    freeze,
    leading,
    scale,
    single,
    tidy,
)
from gatewright.claims.theory import NEVER_ZERO, POSITIVE_FUNCTIONS, Quality, Theory

if TYPE_CHECKING:
    from gatewright.claims.normal_form import NormalForm


def inverse(form: NormalForm, poly: Polynomial) -> Polynomial:
    """Return 1 / poly; note the condition that it is not zero unless that is certain.

    Raises ZeroDivisionError for the zero polynomial.
    """
    if not poly:
        raise ZeroDivisionError("division by zero")
    unit, rest = positive_unit(form, poly)
    if len(rest) == 1:
        ((monomial, coefficient),) = rest.items()
        for atom, _ in monomial:
            if not is_never_zero(form, atom):
                form.conditions.add(atom)
        whole = form.times(unit, monomial)
        found = {tuple((atom, -power) for atom, power in whole): Fraction(1) / coefficient}
        return form.multiply(found, constant(1))
    first = leading(rest)
    rest = scale(rest, Fraction(1) / first)
    atom = form.atom(Reciprocal(freeze(rest)), form.is_scalar(rest))
    if not is_positive(form, rest):
        form.conditions.add(atom)
    outside = {tuple((each, -power) for each, power in unit): Fraction(1) / first}
    return form.multiply(outside, single(atom))


def cleared(form: NormalForm, poly: Polynomial) -> Polynomial:
    """Multiply a polynomial by its divisors until none is left at the top level."""
    while True:
        divisor = next(
            (a for monomial in poly for a, power in monomial if power > 0 and _of(form, a)), None
        )
        if divisor is None:
            return poly
        most = max(dict(monomial).get(divisor, 0) for monomial in poly)
        factor = _of(form, divisor)
        result: Polynomial = {}
        for monomial, coefficient in poly.items():
            power = dict(monomial).get(divisor, 0)
            rest = tuple(each for each in monomial if each[0] != divisor)
            raised = form.power(factor, most - power)
            result = add(result, form.multiply({rest: coefficient}, raised))
        poly = result


def combined(form: NormalForm, poly: Polynomial) -> Polynomial:
    """Return a polynomial over one common divisor, so that equal fractions are written equally."""
    powers: dict[int, int] = {}
    for monomial in poly:
        for atom, power in monomial:
            if _of(form, atom):
                powers[atom] = max(powers.get(atom, 0), power)
    if not powers:
        return poly
    over = cleared(form, poly)
    for atom in sorted(powers):
        while powers[atom] and (smaller := _divided(over, _of(form, atom))) is not None:
            over, powers[atom] = smaller, powers[atom] - 1
    below = tuple((atom, power) for atom, power in sorted(powers.items()) if power)
    return {form.times(each, below): value for each, value in over.items()}


def _divided(poly: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """Return poly / divisor if it is a polynomial, by long division; None if it is not."""
    if any(power < 0 for each in (poly, divisor) for monomial in each for _, power in monomial):
        return None
    head = _first(divisor)
    result: Polynomial = {}
    while poly:
        whole = _first(poly)
        exponents = dict(whole)
        for atom, power in head:
            exponents[atom] = exponents.get(atom, 0) - power
        if any(power < 0 for power in exponents.values()):
            return None
        quotient = tuple(sorted((atom, power) for atom, power in exponents.items() if power))
        factor = Fraction(poly[whole]) / divisor[head]
        result[quotient] = tidy(factor)
        taken = {_product(quotient, each): value for each, value in divisor.items()}
        poly = add(poly, taken, -factor)
    return result


def _first(poly: Polynomial) -> Monomial:
    """Return the monomial that is first in the order of exponents, atom by atom."""
    atoms = sorted({atom for monomial in poly for atom, _ in monomial})
    return max(poly, key=lambda monomial: [dict(monomial).get(atom, 0) for atom in atoms])


def _product(left: Monomial, right: Monomial) -> Monomial:
    exponents = dict(left)
    for atom, power in right:
        exponents[atom] = exponents.get(atom, 0) + power
    return tuple(sorted(exponents.items()))


def positive_unit(form: NormalForm, poly: Polynomial) -> tuple[Monomial, Polynomial]:
    """Split a polynomial into a product of exponentials and the rest.

    Polynomials that differ by such a product have the same rest.
    """
    if form.theory < Theory.TANH_SIGMOID or not any(
        isinstance(form.atoms[atom], Exponential) for monomial in poly for atom, _ in monomial
    ):
        return (), poly
    best: tuple[Frozen, Polynomial, Monomial] | None = None
    for monomial in poly:
        unit = tuple(
            (atom, -power) for atom, power in monomial if isinstance(form.atoms[atom], Exponential)
        )
        rest = {form.times(each, unit): value for each, value in poly.items()}
        # A factor of the whole must not change the choice.
        key = freeze(scale(rest, Fraction(1) / leading(rest)))
        if best is None or key < best[0]:
            best = (key, rest, unit)
    assert best is not None
    return tuple((atom, -power) for atom, power in best[2]), best[1]


def is_positive(form: NormalForm, poly: Polynomial) -> bool:
    """Tell whether a sum is certainly positive: no term negative and one positive."""
    return is_nonnegative(form, poly) and any(
        coefficient > 0 and all(_is_positive_atom(form, atom) for atom, _ in monomial)
        for monomial, coefficient in poly.items()
    )


def is_nonnegative(form: NormalForm, poly: Polynomial) -> bool:
    """Tell whether a sum is certainly not negative, by the signs of its terms."""
    return all(
        coefficient > 0
        and all(
            _is_nonnegative_atom(form, atom) or (power == int(power) and power % 2 == 0)
            for atom, power in monomial
        )
        for monomial, coefficient in poly.items()
    )


def is_never_zero(form: NormalForm, atom: int) -> bool:
    """Tell whether an atom is certainly not zero in any element."""
    return _is_positive_atom(form, atom) or form.quality(atom) in NEVER_ZERO


def is_positive_reciprocal(form: NormalForm, atom: int) -> bool:
    """Tell whether an atom is 1 over a sum that is certainly positive."""
    return bool(_of(form, atom)) and _is_positive_atom(form, atom)


def _of(form: NormalForm, atom: int) -> Polynomial:
    found = form.atoms[atom]
    return dict(found.of) if isinstance(found, Reciprocal) else {}


def _is_positive_atom(form: NormalForm, atom: int) -> bool:
    match form.atoms[atom]:
        case Exponential():
            return True
        case Applied("sqrt", argument):
            return is_positive(form, dict(argument))
        case Applied(function, _):
            return function in POSITIVE_FUNCTIONS
        case Reciprocal(of):
            return is_positive(form, dict(of))
        case _:
            return form.quality(atom) is Quality.POSITIVE


def _is_nonnegative_atom(form: NormalForm, atom: int) -> bool:
    found = form.atoms[atom]
    if isinstance(found, Applied) and found.function == "relu":
        return True
    return _is_positive_atom(form, atom) or form.quality(atom) is Quality.NONNEGATIVE
