"""Claim -> Claims: the state maps that are tried where the author gives none.

A state of one cell may be a state of the other, that state times a gate of the same or the next
step, or zero; both directions are tried.

Why so few: an inductive map must be preserved by a step, so what a cell multiplies its states with
is nearly all that can stand in one; the search says what it tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from gatewright.claims.claim import Claim, Side
from gatewright.language.equation import parse
from gatewright.language.expression import Expr

LARGEST = 400


def candidates(claim: Claim) -> Iterator[Claim]:
    """Yield the claim with each state map to try, simplest first."""
    count = 0
    for mapped, base in ((claim.left, claim.right), (claim.right, claim.left)):
        options = _options(base)
        names = [state.name for state in mapped.cell.states]
        ordered = sorted(
            itertools.product(range(len(options)), repeat=len(names)), key=lambda each: sum(each)
        )
        for picked in ordered:
            count += 1
            if count > LARGEST:
                return
            states = {
                (mapped.alias, name): options[k] for name, k in zip(names, picked, strict=True)
            }
            yield replace(claim, states=states)


def _options(base: Side) -> list[Expr]:
    alias = base.alias
    plain = [f"{alias}.{state.name}[t]" for state in base.cell.states]
    gates = [f"{alias}.{gate}[t{when}]" for gate in base.cell.gates for when in ("", "+1")]
    scaled = [f"{gate} * {state}" for gate in gates for state in plain]
    return [parse(text, references=True) for text in (*plain, "0", *scaled)]
