"""Claim -> what keeps gradient descent on one cell from being gradient descent on the other.

Gradient descent moves the parameters of the one cell; whether those of the other, by the parameter
map, move along depends on the map. A factor k needs a learning rate k squared times as large; a
parameter that stands for two, or a gate that is tied, is a constraint that training the other cell
freely does not keep.

Why apart from gradients: two cells with equal gradients train alike only if the map between their
parameters is one that a step of gradient descent keeps.
"""

from __future__ import annotations

from gatewright.claims.claim import Claim
from gatewright.claims.formulas import exact
from gatewright.language.expression import Binary, Expr, Name, Negate, Number, names


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
