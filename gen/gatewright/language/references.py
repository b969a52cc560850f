"""Names of a claim: a value of one of two cells at one step, or a parameter of one of them.

`gru.r[t]` is what `gru` computes for `r` in step t, `gru.h[t-1]` the state that step t begins with,
`gru.W_r` a parameter, `x[t]` the input that both cells read.

Why the step is written: `o = r` between a gate that is used in the step after and one that is used
at once is two statements, one true and one false, and leaving the index out is how they are
confused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatewright.language.alphabet import LETTERS, ascii_name

_NAME = rf"[{LETTERS}][0-9{LETTERS}]*"
# What is meant as a reference; whether its index is one is for `read_reference` to say.
MEANT = rf"{_NAME}\.{_NAME}'?(?:\[[^\]]*\]?)?|{_NAME}'?\[[^\]]*\]?"
_STEP = r"(?:\[\s*t\s*(?:([-+−])\s*([0-9]{1,2})\s*)?\])?"
_WHOLE = re.compile(rf"(?:({_NAME})\.)?({_NAME})('?){_STEP}")
INDEX_HELP = "a step is written [t], [t-1] or [t+1]"
PRIME_HELP = "in a claim the next value of a state is its value at step t: write `h[t]`"


@dataclass(frozen=True, slots=True)
class Reference:
    """A name taken apart: the cell it belongs to and its step relative to t, each if written."""

    cell: str
    name: str
    shift: int | None

    def __str__(self) -> str:
        owner = f"{self.cell}." if self.cell else ""
        return f"{owner}{self.name}{index_text(self.shift)}"

    def moved(self, steps: int) -> Reference:
        """Return the same value some steps later."""
        assert self.shift is not None
        return Reference(self.cell, self.name, self.shift + steps)


def index_text(shift: int | None) -> str:
    """Write a step relative to t."""
    if shift is None:
        return ""
    return f"[t{shift:+d}]" if shift else "[t]"


def read_reference(text: str) -> Reference | str:
    """Return the reference a text is, or a sentence that says why it is none."""
    match = _WHOLE.fullmatch(text)
    if match is None:
        return INDEX_HELP
    cell, name, prime, sign, steps = match.groups()
    if prime:
        return PRIME_HELP
    shift = None
    if "[" in text:
        shift = int(steps or 0) * (1 if sign in ("+", None) else -1)
    return Reference(ascii_name(cell or ""), ascii_name(name), shift)


def is_reference(text: str) -> bool:
    """Tell whether a name is that of a claim: it names its cell or its step."""
    return "." in text or "[" in text
