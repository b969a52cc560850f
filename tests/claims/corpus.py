"""The base claim file of these tests, and the reader of `rejected.txt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatewright.claims.claim import Claim
from gatewright.claims.family import read_family_text
from gatewright.claims.resolve import resolve_family
from gatewright.language.diagnostics import SpecError

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


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    expected: str


def edited(**lines: str) -> str:
    """Return the base file with lines replaced: `edited(l15="      keep.r: gru.r")`."""
    text = BASE.split("\n")
    for key, line in lines.items():
        text[int(key[1:]) - 1] = line
    return "\n".join(text)


def claims(text: str) -> tuple[Claim, ...]:
    return resolve_family(read_family_text(text))


def refusal(text: str) -> SpecError:
    try:
        claims(text)
    except SpecError as error:
        return error
    raise AssertionError("accepted")


def shown(error: SpecError) -> str:
    lines = []
    for item in error.diagnostics:
        place = f"{item.span.line}:{item.span.column}" if item.span else "-"
        lines.append(f"  {place} {item.code} {item.message}")
        lines += [f"    {item.help}"] if item.help else []
    return "\n".join(lines)


def _case(entry: str) -> Case:
    name, *lines = entry.rstrip("\n").split("\n")
    expected = [line for line in lines if line.startswith("  ")]
    text: list[str | None] = list(BASE.split("\n"))
    for line in lines[: len(lines) - len(expected)]:
        where, _, new = line.partition("|")
        if where == "*":
            text = [new.replace("\\n", "\n")]
        elif where.endswith("-"):
            text[int(where[:-1]) - 1] = None
        else:
            text[int(where) - 1] = new.replace("\\n", "\n")
    return Case(name, "\n".join(each for each in text if each is not None), "\n".join(expected))


def rejected() -> list[Case]:
    source = Path(__file__).with_name("rejected.txt").read_text(encoding="utf-8")
    return [_case(entry) for entry in source.split("\n== ")[1:]]
