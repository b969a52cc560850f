"""Text -> Spec: what an author typed, with the place of every name.

A Spec is well-formed and nothing more: its keys are known, its equations parse, its names are
spelled as names. Whether they mean anything together is for `resolve` to say.

Why spans on everything: a shape error found two stages later still points at the author's own
line, also when that line stands in the parent of an `extends:`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.language.diagnostics import Span
from gatewright.language.expression import Expr, render


@dataclass(frozen=True)
class Text:
    """A word or sentence of the author and its place."""

    value: str
    span: Span

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Declared:
    """A declared array: an input, a state or a parameter."""

    name: Text
    dims: tuple[Text, ...]

    def __str__(self) -> str:
        return f"{self.name}: [{', '.join(map(str, self.dims))}]"


@dataclass(frozen=True)
class NumberDeclared:
    """A named number of `constants:`."""

    name: Text
    value: float

    def __str__(self) -> str:
        return f"{self.name}: {self.value!r}"


@dataclass(frozen=True)
class ChoiceDeclared:
    """A named choice of functions of `constants:`; the first option is the default."""

    name: Text
    options: tuple[Text, ...]

    def __str__(self) -> str:
        return f"{self.name}: [{', '.join(map(str, self.options))}]"


Declaration = Declared | NumberDeclared | ChoiceDeclared


@dataclass(frozen=True)
class EquationText:
    """One equation: its target, its tree, and where each code point of its text stands.

    `places` holds a line and a column per code point of the text, and one more for its end.
    """

    target: Text
    expr: Expr
    places: tuple[tuple[int, int], ...]
    comment: str = ""

    def span(self, start: int, end: int) -> Span:
        """Return the place in the file of a part of the equation's text."""
        return located(self.places, start, end, self.target.span.file)

    def __str__(self) -> str:
        return f"{self.target}: {render(self.expr)}"


@dataclass(frozen=True)
class Spec:
    """A spec as its author wrote it. `source` is the text of `file`, for messages."""

    file: str
    source: str
    cell: Text
    title: str
    cite: tuple[str, ...]
    extends: Text | None
    inputs: tuple[Declared, ...]
    states: tuple[Declared, ...]
    parameters: tuple[Declared, ...]
    constants: tuple[NumberDeclared, ...]
    choices: tuple[ChoiceDeclared, ...]
    equations: tuple[EquationText, ...]
    output: Text | None
    gates: tuple[Text, ...] | None

    @property
    def arrays(self) -> tuple[Declared, ...]:
        """Every declared array."""
        return (*self.inputs, *self.states, *self.parameters)

    @property
    def declared(self) -> tuple[Declaration, ...]:
        """Everything that is declared and not computed."""
        return (*self.arrays, *self.constants, *self.choices)

    def __str__(self) -> str:
        lines = [f"{self.cell} ({self.file}): {self.title}"]
        if self.extends is not None:
            lines.append(f"  extends {self.extends}")
        for part in (*self.inputs, *self.states, *self.parameters):
            lines.append(f"  {part}")
        for constant in (*self.constants, *self.choices):
            lines.append(f"  {constant}")
        lines += [f"  {equation}" for equation in self.equations]
        return "\n".join(lines)


def located(places: tuple[tuple[int, int], ...], start: int, end: int, file: str) -> Span:
    """Return the span of code points `start` to `end` of a text with these places."""
    last = len(places) - 1
    line, column = places[min(start, last)]
    end_line, end_column = places[max(0, min(end, last) - 1)]
    if (end_line, end_column) < (line, column):
        end_line, end_column = line, column
    return Span(file, line, column, end_line, end_column + 1)
