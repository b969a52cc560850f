"""Text -> lines as the code formatter would break them.

Why not run the formatter: its version would then decide the bytes of `generated/`, and a user who
generates a cell would have to have it. These few shapes are all that generated code contains, and
a test holds them against the formatter itself.
"""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 100


def bracketed(head: str, items: Sequence[str], tail: str, indent: int) -> list[str]:
    """Return `head item, item tail` on one line, on three, or with one item per line."""
    pad = " " * indent
    inner = ", ".join(items)
    one = f"{pad}{head}{inner}{tail}"
    if len(one) <= WIDTH or not items:
        return [one]
    if len(pad) + 4 + len(inner) <= WIDTH:
        return [f"{pad}{head}", f"{pad}    {inner}", f"{pad}{tail}"]
    return [f"{pad}{head}", *(f"{pad}    {item}," for item in items), f"{pad}{tail}"]


def assignment(
    targets: Sequence[str], function: str, arguments: Sequence[str], indent: int
) -> list[str]:
    """Return `targets = function(arguments)`, broken on the right first and then on the left."""
    pad = " " * indent
    left = ", ".join(targets)
    if len(f"{pad}{left} = {function}(") <= WIDTH:
        return bracketed(f"{left} = {function}(", arguments, ")", indent)
    opened = [f"{pad}(", *(f"{pad}    {target}," for target in targets)]
    lines = bracketed(f") = {function}(", arguments, ")", indent)
    return [*opened, *lines]


def returned(values: Sequence[str], indent: int) -> list[str]:
    """Return a return statement, its tuple in parentheses where it needs several lines."""
    pad = " " * indent
    one = f"{pad}return {', '.join(values)}"
    if len(one) <= WIDTH:
        return [one]
    return [f"{pad}return (", *(f"{pad}    {value}," for value in values), f"{pad})"]


def chain(target: str, text: str, indent: int, sign: str = "=") -> list[str]:
    """Return `target = text`, a sum or product broken before its outermost operators if long."""
    pad = " " * indent
    one = f"{pad}{target} {sign} {text}"
    if len(one) <= WIDTH:
        return [one]
    inner = " " * (indent + 4)
    if len(inner) + len(text) <= WIDTH:
        return [f"{pad}{target} {sign} (", f"{inner}{text}", f"{pad})"]
    return [f"{pad}{target} {sign} (", *(inner + part for part in _operands(text)), f"{pad})"]


def _operands(text: str) -> list[str]:
    """Split at the loosest operators outside all brackets; each part begins with its operator."""
    for operators in (("+", "-"), ("*", "/")):
        depth, parts, start = 0, [], 0
        for at, char in enumerate(text):
            depth += (char in "([") - (char in ")]")
            spaced = text[at - 1 : at] == " " and text[at + 1 : at + 2] == " "
            if depth == 0 and char in operators and spaced:
                parts.append(text[start:at].rstrip())
                start = at
        if parts:
            return [*parts, text[start:]]
    return [text]


def imported(module: str, names: Sequence[str]) -> list[str]:
    """Return `from module import names`, one name per line where it is long."""
    one = f"from {module} import {', '.join(names)}"
    if len(one) <= WIDTH:
        return [one]
    return [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def literal(head: str, value: object, indent: int, tail: str = ",") -> list[str]:
    """Return `head value tail` for strings, numbers, tuples and dicts, broken where too long."""
    pad = " " * indent
    one = f"{pad}{head}{_one_line(value)}{tail}"
    if len(one) <= WIDTH or not isinstance(value, tuple | dict) or not value:
        return [one]
    opened, closed = ("{", "}") if isinstance(value, dict) else ("(", ")")
    lines = [f"{pad}{head}{opened}"]
    if isinstance(value, dict):
        for key, item in value.items():
            lines += literal(f"{_one_line(key)}: ", item, indent + 4)
    else:
        for item in value:
            lines += literal("", item, indent + 4)
    return [*lines, f"{pad}{closed}{tail}"]


def _one_line(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        inner = ", ".join(_one_line(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, dict):
        pairs = (f"{_one_line(key)}: {_one_line(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    return repr(value)
