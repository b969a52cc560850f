"""Normal forms of square roots: sqrt(a)^2 = a, and 1 / sqrt(a) = sqrt(a) / a.

Why a rule on powers: with every power of a root written as the root to the power 0 or 1 times a
power of what is under it, equal products of roots are written equally.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING

from gatewright.claims import division
from gatewright.claims.atoms import Applied, Exponential, Reciprocal
from gatewright.claims.polynomial import Monomial, Polynomial, add, single

if TYPE_CHECKING:
    from gatewright.claims.normal_form import NormalForm


def root(form: NormalForm, argument: Polynomial) -> Polynomial | None:
    """Return the root of one monomial that is certainly a square, or 1 over the root of a sum."""
    if len(argument) != 1:
        return None
    ((monomial, coefficient),) = argument.items()
    number = _exact_root(Fraction(coefficient))
    if number is None:
        return None
    result: Polynomial = {(): number}
    for atom, power in monomial:
        match form.atoms[atom]:
            case Exponential():
                factor = single(atom, Fraction(power) / 2)
            case Reciprocal(of) if power == 1 and division.is_positive(form, dict(of)):
                under = form.atom(Applied("sqrt", of), form.scalar[atom])
                factor = division.inverse(form, single(under))
            case _:
                return None
        result = form.multiply(result, factor)
    form.rules["sqrt(a a) = a, a > 0"] += 1
    return result


def _exact_root(value: Fraction) -> Fraction | None:
    if value <= 0:
        return None
    found = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    return found if found * found == value else None


def settled(form: NormalForm, poly: Polynomial) -> Polynomial:
    """Write every power of a root as the root to the power 0 or 1 times what is under it."""
    result: Polynomial = {}
    for monomial, coefficient in poly.items():
        found = next((p for p in monomial if p[1] not in (0, 1) and _under(form, p[0])), None)
        if found is None:
            result = add(result, {monomial: coefficient})
            continue
        form.rules["sqrt(a) sqrt(a) = a"] += 1
        atom, power = found
        if not division.is_nonnegative(form, _under(form, atom)):
            form.conditions.add(atom)  # A negative number has no root to be squared.
        rest: Monomial = tuple(each for each in monomial if each != found)
        left = ((atom, 1),) if power % 2 else ()
        under = _under(form, atom)
        times = (power - power % 2) // 2
        factor = under if times > 0 else division.inverse(form, under)
        raised = form.power(factor, abs(times))
        result = add(result, form.multiply({form.times(rest, left): coefficient}, raised))
    return result


def _under(form: NormalForm, atom: int) -> Polynomial:
    found = form.atoms[atom]
    is_root = isinstance(found, Applied) and found.function == "sqrt"
    return dict(found.argument) if is_root and isinstance(found, Applied) else {}
