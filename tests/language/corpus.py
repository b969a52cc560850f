"""The base spec of the language tests, and the reader of `rejected.txt`."""

from __future__ import annotations

from pathlib import Path

from gatewright.language.cell import Cell
from gatewright.language.diagnostics import SpecError
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve

from ..refusals import Case, cases, replaced

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


def edited(**lines: str) -> str:
    """Return the base spec with lines replaced: `edited(l10="  z: h")`."""
    return replaced(BASE, lines)


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


def rejected() -> list[Case]:
    return cases(Path(__file__).with_name("rejected.txt"), BASE)
