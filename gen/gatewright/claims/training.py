"""Claim -> what equality means for gradients and for training: two verdicts of their own.

Gradients: reverse mode over both sides of every observed equation, compared by normal forms. Two
sides that are one function have one gradient; where the normal form does not show it, the chain
rule still does, and that is said.

Training: gradient descent moves the parameters of the one cell; whether those of the other, by the
parameter map, move along depends on the map. A factor k needs a learning rate k squared times as
large; a parameter that stands for two, or a gate that is tied, is a constraint that training the
other cell freely does not keep.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.claims.claim import Claim
from gatewright.claims.differentiate import adjoints
from gatewright.claims.formulas import exact
from gatewright.claims.normal_form import NormalForm, TooLargeError
from gatewright.claims.obligations import inductive
from gatewright.claims.theory import Theory
from gatewright.claims.translation import same_outers
from gatewright.language.expression import Binary, Expr, Name, Negate, Number, names


@dataclass(frozen=True)
class Gradients:
    """How many gradients were compared, and which the normal form does not show to be equal."""

    compared: int
    unshown: tuple[str, ...]


def gradients(claim: Claim, theory: Theory) -> Gradients:
    """Compare the gradients of both sides of what a proved claim observes, in a theory."""
    world, obligations = inductive(claim)
    terms = world.terms
    form = NormalForm(theory, world.qualities)
    compared = 0
    unshown: list[str] = []
    for index, each in enumerate(obligations):
        if each.role != "observed":
            continue
        seed = terms.variable(f"ct{index}")
        left = adjoints(terms, [(each.left, seed)])
        right = adjoints(terms, [(each.right, seed)])
        for name in sorted(left.variables.keys() | right.variables.keys()):
            one = left.variables.get(name, terms.zero)
            other = right.variables.get(name, terms.zero)
            compared += 1
            if name != f"ct{index}" and not _same(form, [(one, terms.one)], [(other, terms.one)]):
                unshown.append(name)
        for name in sorted(left.matrices.keys() | right.matrices.keys()):
            compared += 1
            if not _same(form, left.matrices.get(name, []), right.matrices.get(name, [])):
                unshown.append(name)
    return Gradients(compared, tuple(dict.fromkeys(unshown)))


def _same(form: NormalForm, left: list, right: list) -> bool:  # type: ignore[type-arg]
    try:
        return same_outers(form, left, right)
    except (TooLargeError, ZeroDivisionError):
        return False


def training(claim: Claim) -> tuple[str, ...]:
    """Return what keeps gradient descent on one cell from being gradient descent on the other."""
    notes = []
    if claim.ties:
        tied = ", ".join(f"{alias}.{name}" for alias, name in claim.ties)
        notes.append(f"the ties of {tied} are imposed, not learned")
    users: dict[str, list[str]] = {}
    rates = []
    for (alias, name), expr in claim.parameters.items():
        full = f"{alias}.{name}"
        factor, source = _multiple(expr)
        if source:
            users.setdefault(source, []).append(full)
            if abs(factor) != 1:
                rates.append(f"{full} by {exact(factor) ** 2}")
        elif not names(expr):
            notes.append(f"{full} stays {expr}")
        else:
            notes.append(f"{full} = {expr} is another parametrisation")
    for source, given in users.items():
        if len(given) > 1:
            notes.append(f"{' and '.join(given)} share {source}: freely trained, they part")
    if rates:
        notes.append(f"gradient descent agrees with learning rates multiplied: {', '.join(rates)}")
    return tuple(notes) or ("gradient descent moves both cells alike",)


def _multiple(expr: Expr) -> tuple[float, str]:
    """Return k and the parameter if the expression is k times a parameter; else no parameter."""
    match expr:
        case Name(name):
            return 1.0, name
        case Negate(operand):
            factor, name = _multiple(operand)
            return -factor, name
        case Binary("*", Number(value), right):
            factor, name = _multiple(right)
            return value * factor, name
        case Binary("*", left, Number(value)):
            factor, name = _multiple(left)
            return value * factor, name
        case _:
            return 1.0, ""
