"""The base spec of the language tests, and the reader of `rejected.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gatewright.language.cell import Cell
from gatewright.language.diagnostics import SpecError
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve

BASE = """\
cell: gru
title: Gated recurrent unit
inputs: {x: input}
states: {h: hidden}
parameters:
  W_z, W_n: [hidden, input]
  U_z, U_n: [hidden, hidden]
  b_z, b_n: [hidden]
equations:
  z: sigmoid(W_z @ x + U_z @ h + b_z)
  n: tanh(W_n @ x + U_n @ (z * h) + b_n)
  h': (1 - z) * n + z * h
output: h'
gates: [z]
"""


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    expected: str


def edited(**lines: str) -> str:
    """Return the base spec with lines replaced: `edited(l10="  z: h")`."""
    text = BASE.split("\n")
    for key, line in lines.items():
        text[int(key[1:]) - 1] = line
    return "\n".join(text)


def equation(text: str) -> str:
    """Return the base spec with another equation for `z`, in line 10 from column 6 on."""
    return edited(l10=f"  z: {text}")


def cell(text: str, **options: dict[str, str]) -> Cell:
    return resolve(read_spec_text(text), **options)  # type: ignore[arg-type]


def refusal(text: str) -> SpecError:
    try:
        resolve(read_spec_text(text))
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


def _character(match: re.Match[str]) -> str:
    return "\\" if match[1] == "\\" else chr(int(match[1][1:], 16))


def _plain(text: str) -> str:
    return re.sub(r"\\(\\|u[0-9a-f]{4})", _character, text)


def _case(entry: str) -> Case:
    name, *lines = entry.rstrip("\n").split("\n")
    expected = [line for line in lines if line.startswith("  ")]
    text: list[str | None] = list(BASE.split("\n"))
    for line in lines[: len(lines) - len(expected)]:
        where, _, new = line.partition("|")
        if where == "*":
            text = [_plain(new)]
        elif where == "+":
            text[-1:] = [_plain(new), ""]
        elif where.endswith("-"):
            text[int(where[:-1]) - 1] = None
        else:
            text[int(where) - 1] = _plain(new)
    return Case(name, "\n".join(each for each in text if each is not None), "\n".join(expected))


def rejected() -> list[Case]:
    source = Path(__file__).with_name("rejected.txt").read_text(encoding="utf-8")
    return [_case(entry) for entry in source.split("\n== ")[1:]]
