"""Mutants of proved claims that are not refuted, and why.

Nearly all change what nothing reads: the formula of a gate that is tied, weights of a gate that is
multiplied by 0. That is decided by machine. The reasons of the others stand in `survivors.txt`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gatewright.claims.claim import Claim
from gatewright.claims.mutate import mutants
from gatewright.claims.obligations import inductive
from gatewright.claims.prove import decide
from gatewright.claims.terms import Terms
from gatewright.claims.verdict import Verdict

LISTED = Path(__file__).with_name("survivors.txt")


def explained() -> dict[tuple[str, str], str]:
    """Return the reasons that are written down, by claim and change."""
    rows = [line.split(" | ") for line in LISTED.read_text().splitlines() if " | " in line]
    return {(claim, what): why for claim, what, why in rows}


@dataclass(frozen=True)
class Survivor:
    """A mutant that is not refuted: what was changed, and which of several such changes it is."""

    what: str
    mutant: Claim
    found: Verdict


def survivors(claim: Claim) -> Iterator[Survivor]:
    """Yield every mutant of a proved claim that is not refuted."""
    seen: Counter[str] = Counter()
    for what, mutant in mutants(claim):
        seen[what] += 1
        found = decide(mutant, explain=False)
        if found.word != "refuted":
            yield Survivor(f"{what} ({seen[what]})", mutant, found)


def is_unread(claim: Claim, mutant: Claim) -> bool:
    """Tell whether what is compared in a mutant is, term by term, what is compared in the claim."""
    terms = Terms()
    _, before = inductive(claim, terms)
    _, after = inductive(mutant, terms)
    return [(each.left, each.right) for each in before] == [
        (each.left, each.right) for each in after
    ]
