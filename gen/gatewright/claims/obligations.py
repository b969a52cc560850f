"""Claim -> pairs of terms: what must be equal for a claim to hold for sequences of every length.

The proof rule: if the observed values agree in a step that begins with related states, and a step
takes related states to related states, then they agree at every step from related initial states.

Why one step is enough: claims are about all parameters and sizes, so a step is as general as any.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.claims.claim import Claim
from gatewright.claims.terms import Term, Terms, variables
from gatewright.claims.world import BEFORE, World
from gatewright.language.references import Reference, read_reference


@dataclass(frozen=True)
class Obligation:
    """Two terms that must be equal, and what that means. `role` is its part in the induction."""

    role: str  # "observed", "preserved" or "initial"
    what: str
    left: Term
    right: Term


def inductive(claim: Claim, terms: Terms | None = None) -> tuple[World, tuple[Obligation, ...]]:
    """Return the obligations that prove a claim by induction over the steps.

    Those of several claims can be compared if they are made of the same `terms`.
    """
    world = World(claim, "induct", terms)
    found = [
        Obligation("observed", each.text, world.formula(each.left, 0), world.formula(each.right, 0))
        for each in claim.observe
    ]
    for (alias, name), expr in claim.states.items():
        stepped, mapped = world.value(alias, name, 0), world.formula(expr, 0)
        found.append(Obligation("preserved", f"{alias}.{name}[t] = {expr}", stepped, mapped))
    if claim.initial == "zero" and claim.states:
        found += _initial(claim, world)
    return world, tuple(found)


def _initial(claim: Claim, world: World) -> list[Obligation]:
    """Zero states are related: the map of zero is zero."""
    base = next(side for side in claim.sides if side.alias != claim.mapped)
    start = World(claim, "induct", world.terms)
    for state in base.cell.states:
        start.set_state(base.alias, state.name, BEFORE, world.terms.zero)
    found = []
    for (alias, name), expr in claim.states.items():
        mapped = start.formula(expr, BEFORE)
        what = f"{alias}.{name}[0] = 0"
        found.append(Obligation("initial", what, world.terms.zero, mapped))
    world.dims |= start.dims
    world.qualities |= start.qualities
    return found


def unrolled(claim: Claim, step: int, world: World) -> tuple[Obligation, ...]:
    """Return the observed values at one step of the two cells run from their initial states."""
    return tuple(
        Obligation(
            "observed", each.text, world.formula(each.left, step), world.formula(each.right, step)
        )
        for each in claim.observe
    )


def lookahead(claim: Claim) -> dict[str, int]:
    """Return the ties that read a later step than the one they hold at, and how much later."""
    world = World(claim, "induct")
    found = {}
    for alias, name in claim.ties:
        read = variables([world.value(alias, name, 0)])
        shifts = [
            reference.shift
            for each in read
            if isinstance(reference := read_reference(each), Reference)
            and reference.shift is not None
        ]
        if max(shifts, default=0) > 0:
            found[f"{alias}.{name}"] = max(shifts)
    return found
