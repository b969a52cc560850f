"""The base claim file of these tests, and the reader of `rejected.txt`."""

from __future__ import annotations

from pathlib import Path

from gatewright.claims.claim import Claim
from gatewright.claims.family import read_family_text
from gatewright.claims.resolve import resolve_family
from gatewright.language.diagnostics import SpecError

from ..refusals import Case, cases, replaced

BASE = """\
family: mine
cells:
  keep:
    extends: gru
    equations:
      h': z * h + (1 - z) * n
claims:
  negated:
    statement: The update gate may keep instead of write.
    left: keep
    right: gru
    for_all: {phi: function, rho: nonzero vector, P: permutation}
    activations: {keep.n: phi, gru.n: phi}
    ties:
      keep.r[t]: gru.r[t]
    parameters:
      keep.*: gru.*
      keep.*_z: -gru.*_z
    states:
      keep.h[t]: gru.h[t]
    observe:
      - keep.h[t] = gru.h[t]
    expect: proved
"""


def edited(**lines: str) -> str:
    """Return the base file with lines replaced: `edited(l15="      keep.r: gru.r")`."""
    return replaced(BASE, lines)


def claims(text: str) -> tuple[Claim, ...]:
    return resolve_family(read_family_text(text))


def refusal(text: str) -> SpecError:
    try:
        claims(text)
    except SpecError as error:
        return error
    raise AssertionError("accepted")


def rejected() -> list[Case]:
    return cases(Path(__file__).with_name("rejected.txt"), BASE)
