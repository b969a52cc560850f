"""Files of refused texts -> cases, for the tests of specs and of claims.

An entry begins with `== ` and a name. Its first lines replace lines of a base text by number (`-`
drops one, `+` appends) or are the whole text (`*`); the indented rest is what is to be reported.
In them `\\n` stands for the end of a line, `\\uXXXX` for a character that an editor would not show,
and `\\\\` for a backslash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gatewright.language.diagnostics import SpecError


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    expected: str


def replaced(base: str, lines: dict[str, str]) -> str:
    """Return a text with lines replaced, given as {"l10": "  z: h"}."""
    text = base.split("\n")
    for key, line in lines.items():
        text[int(key[1:]) - 1] = line
    return "\n".join(text)


def shown(error: SpecError) -> str:
    """Return an error as entries show it: the place, the code, the message and the help."""
    lines = []
    for item in error.diagnostics:
        place = f"{item.span.line}:{item.span.column}" if item.span else "-"
        lines.append(f"  {place} {item.code} {item.message}")
        lines += [f"    {item.help}"] if item.help else []
    return "\n".join(lines)


def cases(path: Path, base: str) -> list[Case]:
    """Return the cases of a file."""
    entries = path.read_text(encoding="utf-8").split("\n== ")[1:]
    return [_case(entry, base) for entry in entries]


def _character(match: re.Match[str]) -> str:
    known = {"\\": "\\", "n": "\n"}
    return known.get(match[1]) or chr(int(match[1][1:], 16))


def _plain(text: str) -> str:
    return re.sub(r"\\(\\|n|u[0-9a-f]{4})", _character, text)


def _case(entry: str, base: str) -> Case:
    name, *lines = entry.rstrip("\n").split("\n")
    expected = [line for line in lines if line.startswith("  ")]
    text: list[str | None] = list(base.split("\n"))
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
