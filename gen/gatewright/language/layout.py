"""Parts of a spec -> lines: the one house style, for the formatter and the writer alike.

Why align: `W_i, W_f: [hidden, input]` under each other show at a glance which arrays share a shape,
and that is what an author checks first.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 100
INDENT = "  "
# Text that YAML reads back as it stands, in block and in flow style.
_PLAIN = re.compile(r"[A-Za-z0-9(](?:[^\[\]{},#:&*!|>%@`\"\\\t\n]|:(?=[^\s,\[\]{}]))*")
# Only the flow style ends a value at a comma.
_PLAIN_LINE = re.compile(r"[A-Za-z0-9(](?:[^\[\]{}#:&*!|>%@`\"\\\t\n]|:(?=[^\s,\[\]{}]))*")
_SIGN = re.compile(r" [+-] ")


@dataclass(frozen=True)
class Line:
    """A line of a spec and the comment at its end; a comment of its own is all `text`."""

    text: str
    comment: str = ""


def scalar(text: str) -> str:
    """Write a value so that YAML reads the same text back: plain if it can be, else quoted."""
    if _PLAIN.fullmatch(text) and text == text.strip():
        return text
    return json.dumps(text, ensure_ascii=False)


def line(text: str) -> str:
    """Write a value that has its line to itself."""
    return text if _PLAIN_LINE.fullmatch(text) and text == text.strip() else scalar(text)


def listing(items: Iterable[str]) -> str:
    """Write a list on one line."""
    return f"[{', '.join(map(scalar, items))}]"


def mapping(pairs: Iterable[tuple[str, str]]) -> str:
    """Write a mapping on one line; values are written already."""
    return f"{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}"


def equation(target: str, text: str) -> str:
    """Write an equation of a spec, over several lines where it is long."""
    head = f"{INDENT}{target}: "
    if len(head) + len(text) <= WIDTH:
        return head + text
    lines = [head]
    for part in _terms(text):
        if lines[-1].strip() and len(lines[-1]) + len(part) > WIDTH and lines[-1] != head:
            lines.append(INDENT * 3 + part.lstrip())
        else:
            lines[-1] += part
    return "\n".join(lines)


def _terms(text: str) -> list[str]:
    """Cut an equation before each sum or difference."""
    cuts = [0, *(match.start() for match in _SIGN.finditer(text)), len(text)]
    return [text[first:last] for first, last in itertools.pairwise(cuts)]


def aligned(lines: list[Line]) -> list[str]:
    """Put the comments at the ends of lines under each other."""
    ends = [len(line.text.split("\n")[-1]) for line in lines if line.comment]
    column = max(ends, default=0)
    result = []
    for line in lines:
        if not line.comment:
            result.append(line.text)
            continue
        last = line.text.split("\n")[-1]
        mark = "#" if line.comment.startswith("#") else "# "
        result.append(f"{line.text}{' ' * (column - len(last) + 2)}{mark}{line.comment}")
    return result


def shaped(rows: list[tuple[str, str, str]]) -> list[Line]:
    """Write declarations, `(names, shape, comment)` each, with their shapes under each other.

    A row without a shape is a comment or an empty line of its own.
    """
    width = max((len(names) for names, shape, _ in rows if shape), default=0)
    return [
        Line(f"{INDENT}{f'{names}:':<{width + 1}} {shape}", comment) if shape else Line(names)
        for names, shape, comment in rows
    ]
