"""Normal forms of functions: the identities of sigmoid, tanh, relu and exp, theory by theory.

Each rewrite makes one of several equal spellings the normal one: the argument's leading sign
becomes positive, its scale moves out of relu, and in the stronger theories tanh and sigmoid become
exponentials.

Why rewriting and not a list of axioms for a solver: every identity here has a direction that ends,
so a proof takes a millisecond and a failure to prove is a normal form to look at.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gatewright.claims import division, roots
from gatewright.claims.atoms import Applied, Exponential, Reciprocal
from gatewright.claims.polynomial import (
    Monomial,
    Number,
    Polynomial,
    add,
    constant,
    freeze,
    leading,
    number_of,
    scale,
    single,
)
from gatewright.claims.theory import AT_ZERO, ODD, Quality, Theory

if TYPE_CHECKING:
    from gatewright.claims.normal_form import NormalForm

HALF = Fraction(1, 2)


def applied(form: NormalForm, function: str, argument: Polynomial) -> Polynomial:
    """Return the normal form of a function of a normal form."""
    if function == "ramp":
        function = "relu"
    if form.theory >= Theory.TANH_SIGMOID:
        argument = division.combined(form, argument)
    result: Polynomial | None = None
    if form.theory >= Theory.PARITY:
        result = _by_symmetry(form, function, argument)
    if result is None and form.theory >= Theory.TANH_SIGMOID:
        result = _by_exponentials(form, function, argument)
    if result is None and form.theory >= Theory.EXP and function == "sigmoid":
        form.rules["sigmoid(a) = 1 / (1 + exp(-a))"] += 1
        below = add(constant(1), applied(form, "exp", scale(argument, -1)))
        result = division.inverse(form, below)
    if result is None and form.theory >= Theory.EXP:
        result = _by_definition(form, function, argument)
    if result is None:
        result = single(form.atom(Applied(function, freeze(argument)), form.is_scalar(argument)))
    return result


def _by_definition(form: NormalForm, function: str, argument: Polynomial) -> Polynomial | None:
    """Write a function by simpler ones, as the function table defines it."""
    if function == "softplus":
        form.rules["softplus(a) = log(1 + exp(a))"] += 1
        return applied(form, "log", add(constant(1), applied(form, "exp", argument)))
    if function == "hard_tanh":
        form.rules["hard_tanh(a) = relu(a + 1) - relu(a - 1) - 1"] += 1
        above = applied(form, "relu", add(argument, constant(1), -1))
        below = add(applied(form, "relu", add(argument, constant(1))), constant(1), -1)
        return add(below, above, -1)
    return None


def _by_symmetry(form: NormalForm, function: str, argument: Polynomial) -> Polynomial | None:
    if not argument and function in AT_ZERO:
        form.rules[f"{function}(0) = {AT_ZERO[function]}"] += 1
        return constant(AT_ZERO[function])
    if function == "sigmoid":
        return _sigmoid(form, argument)
    if function in ODD:
        return _odd(form, function, argument)
    if function == "relu":
        return _relu(form, argument)
    if function in ("half", "sign", "positive"):
        return _jump(form, function, argument)
    if leading(argument) < 0 and function in ("cos", "softplus", "silu"):
        form.rules[f"{function}(-a) by {function}(a)"] += 1
        even = applied(form, function, scale(argument, -1))
        # softplus(-a) = softplus(a) - a; silu(-a) = silu(a) - a.
        return even if function == "cos" else add(even, argument)
    return None


def _sigmoid(form: NormalForm, argument: Polynomial) -> Polynomial | None:
    if not argument:
        form.rules["sigmoid(0) = 1/2"] += 1
        return constant(HALF)
    sign = sign_of_all(form, argument)
    if sign is not None:
        form.rules["sigmoid(s a) = 1/2 + s (sigmoid(a) - 1/2), s s = 1"] += 1
        plain = applied(form, "sigmoid", form.multiply(single(sign), argument))
        centred = form.multiply(single(sign), add(plain, constant(HALF), -1))
        return add(constant(HALF), centred)
    if leading(argument) < 0:
        form.rules["sigmoid(-a) = 1 - sigmoid(a)"] += 1
        return add(constant(1), applied(form, "sigmoid", scale(argument, -1)), -1)
    return None


def _odd(form: NormalForm, function: str, argument: Polynomial) -> Polynomial | None:
    if function == "tanh" and form.theory >= Theory.TANH_SIGMOID:
        return None
    if leading(argument) < 0:
        form.rules[f"{function}(-a) = -{function}(a)"] += 1
        return scale(applied(form, function, scale(argument, -1)), -1)
    sign = sign_of_all(form, argument)
    if sign is not None:
        form.rules[f"{function}(s a) = s {function}(a), s s = 1"] += 1
        plain = applied(form, function, form.multiply(single(sign), argument))
        return form.multiply(single(sign), plain)
    return None


def _relu(form: NormalForm, argument: Polynomial) -> Polynomial | None:
    value = number_of(argument)
    if value is not None:
        form.rules["relu of a number"] += 1
        return constant(max(value, 0))
    if division.is_nonnegative(form, argument):
        form.rules["relu(a) = a, a >= 0"] += 1
        return argument
    unit, rest = division.positive_unit(form, argument)
    if not unit:
        unit, rest = positive_factor(form, argument)
    if unit:
        form.rules["relu(k a) = k relu(a), k > 0"] += 1
        return form.multiply({unit: 1}, applied(form, "relu", rest))
    first = leading(argument)
    if first < 0:
        form.rules["relu(-a) = relu(a) - a"] += 1
        return add(applied(form, "relu", scale(argument, -1)), argument)
    if first != 1:
        form.rules["relu(k a) = k relu(a), k > 0"] += 1
        return scale(applied(form, "relu", scale(argument, Fraction(1) / first)), first)
    return None


def _jump(form: NormalForm, function: str, argument: Polynomial) -> Polynomial | None:
    """The functions that derivatives of max, abs and relu read; constant but for a jump at 0."""
    first = leading(argument)
    if function == "sign":
        form.rules["sign(a) = 2 half(a) - 1"] += 1
        return add(scale(applied(form, "half", argument), 2), constant(1), -1)
    if function == "half" and not argument:
        return constant(HALF)
    if function == "half" and first < 0:
        form.rules["half(-a) = 1 - half(a)"] += 1
        return add(constant(1), applied(form, "half", scale(argument, -1)), -1)
    if first > 0 and first != 1:
        return applied(form, function, scale(argument, Fraction(1) / first))
    return None


def _by_exponentials(form: NormalForm, function: str, argument: Polynomial) -> Polynomial | None:
    if function == "tanh":
        form.rules["tanh(a) = 2 sigmoid(2a) - 1"] += 1
        return add(scale(applied(form, "sigmoid", scale(argument, 2)), 2), constant(1), -1)
    if function == "silu":
        form.rules["silu(a) = a sigmoid(a)"] += 1
        return form.multiply(argument, applied(form, "sigmoid", argument))
    if function == "log":
        return _log(form, argument)
    if function == "sqrt":
        return roots.root(form, argument)
    return _exp(form, argument) if function == "exp" else None


def _exp(form: NormalForm, argument: Polynomial) -> Polynomial:
    if len(argument) != 1:
        form.rules["exp(a + b) = exp(a) exp(b)"] += 1
    result = constant(1)
    for monomial, coefficient in argument.items():
        inner = _under_log(form, monomial)
        if inner and coefficient == int(coefficient):
            form.rules["exp(log(a)) = a, a > 0"] += 1
            factor = inner if coefficient > 0 else division.inverse(form, inner)
            result = form.multiply(result, form.power(factor, abs(int(coefficient))))
            continue
        scalar = all(form.scalar[atom] for atom, _ in monomial)
        atom = form.atom(Exponential(monomial), scalar)
        result = form.multiply(result, single(atom, coefficient))
    return result


def _under_log(form: NormalForm, monomial: Monomial) -> Polynomial:
    """Return a if the monomial is log(a) with a certainly positive, else nothing."""
    if len(monomial) == 1 and monomial[0][1] == 1:
        found = form.atoms[monomial[0][0]]
        if isinstance(found, Applied) and found.function == "log":
            inner = dict(found.argument)
            return inner if division.is_positive(form, inner) else {}
    return {}


def _log(form: NormalForm, argument: Polynomial) -> Polynomial | None:
    """Take a product of exponentials out of a logarithm; log-sum-exp is written one way by it."""
    number = number_of(argument)
    if number == 1:
        form.rules["log(1) = 0"] += 1
        return {}
    if number is not None and number > 0 and Fraction(number).denominator != 1:
        form.rules["log(a / b) = log(a) - log(b), b > 0"] += 1
        over, under = Fraction(number).as_integer_ratio()
        below = applied(form, "log", constant(under))
        return add(applied(form, "log", constant(over)), below, -1)
    unit, rest = division.positive_unit(form, argument)
    divisors: Monomial = ()
    if len(rest) == 1:
        ((monomial, coefficient),) = rest.items()
        divisors = tuple(
            each for each in monomial if division.is_positive_reciprocal(form, each[0])
        )
        rest = {tuple(each for each in monomial if each not in divisors): coefficient}
    if not unit and not divisors:
        return None
    form.rules["log(exp(a) b / c) = a + log(b) - log(c), c > 0"] += 1
    result = applied(form, "log", rest)
    for atom, power in (*unit, *divisors):
        match form.atoms[atom]:
            case Exponential(inner):
                result = add(result, {inner: power})
            case Reciprocal(of):
                result = add(result, applied(form, "log", dict(of)), -power)
    return result


def positive_factor(form: NormalForm, argument: Polynomial) -> tuple[Monomial, Polynomial]:
    """Split off the variables declared positive, with the least power that all monomials have."""
    unit: list[tuple[int, Number]] = []
    for atom in sorted({atom for monomial in argument for atom, _ in monomial}):
        if form.quality(atom) is Quality.POSITIVE:
            least = min(dict(monomial).get(atom, 0) for monomial in argument)
            if least:
                unit.append((atom, least))
    below = tuple((atom, -power) for atom, power in unit)
    rest = {form.times(monomial, below): value for monomial, value in argument.items()}
    return tuple(unit), rest


def sign_of_all(form: NormalForm, argument: Polynomial) -> int | None:
    """Return a sign vector that is a factor of every monomial, if there is one."""
    if not argument or Quality.SIGN not in form.qualities.values():
        return None
    common = set.intersection(
        *(
            {atom for atom, _ in monomial if form.quality(atom) is Quality.SIGN}
            for monomial in argument
        )
    )
    return min(common, default=None)
