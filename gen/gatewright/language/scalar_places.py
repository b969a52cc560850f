"""Scalar -> places: where each code point of a YAML value stands in the file.

Plain and quoted values may be folded over lines, blocks lose their indentation and double quotes
hold escapes, so an offset into the value is not an offset into the file.

Why walk both texts side by side: YAML's own marks stop at the start and end of a value, and a caret
under the wrong letter of an equation is worse than none.
"""

from __future__ import annotations

import bisect

from gatewright.language.yaml_nodes import Scalar

_ESCAPED_DIGITS = {"x": 2, "u": 4, "U": 8}


class Lines:
    """The line starts of a text; turns offsets into 1-based lines and columns."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0]
        self.starts += [index + 1 for index, each in enumerate(text) if each == "\n"]

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and column of an offset."""
        line = bisect.bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def rest(self, offset: int) -> str:
        """Return the rest of the line from an offset on."""
        end = self.text.find("\n", offset)
        return self.text[offset : end if end >= 0 else len(self.text)]


def places(scalar: Scalar, lines: Lines) -> tuple[tuple[int, int], ...]:
    """Return the line and column of each code point of a value, and of its end."""
    position = scalar.start
    if scalar.style in ("|", ">"):
        header = lines.text.find("\n", scalar.start)
        position = header + 1 if header >= 0 else len(lines.text)
    elif scalar.style:
        position += 1
    result = []
    for character in scalar.text:
        if character.isspace() and scalar.style != '"':
            result.append(lines.place(min(position, scalar.end)))
            if position < scalar.end and lines.text[position].isspace():
                position += 1
            continue
        position = _skip_folds(lines.text, position, scalar, character)
        result.append(lines.place(min(position, scalar.end)))
        position = _next(lines.text, position, scalar.style)
    return (*result, lines.place(min(position, scalar.end)))


def _skip_folds(text: str, position: int, scalar: Scalar, character: str) -> int:
    """Step over the spaces, line ends and continuation marks that the value does not hold."""
    while position < scalar.end:
        each = text[position]
        if scalar.style == '"' and text[position : position + 2] == "\\\n":
            position += 2
        elif each.isspace() and each != character:
            position += 1
            if character == " ":
                break
        else:
            break
    return position


def _next(text: str, position: int, style: str) -> int:
    """Return where the code point after the one at `position` begins."""
    if style == "'" and text[position : position + 2] == "''":
        return position + 2
    if style == '"' and text[position : position + 1] == "\\":
        kind = text[position + 1 : position + 2]
        return position + 2 + _ESCAPED_DIGITS.get(kind, 0)
    return position + 1


def comment_after(scalar: Scalar, lines: Lines) -> str:
    """Return the comment on the line where a value ends (for a block: where it begins)."""
    rest = lines.rest(scalar.start if scalar.style in ("|", ">") else scalar.end)
    before, mark, comment = rest.partition("#")
    return comment.strip() if mark and (not before or before[-1].isspace()) else ""
