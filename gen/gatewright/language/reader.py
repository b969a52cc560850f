"""File -> Spec: read a spec and report every mistake in its form.

The keys of a spec are the rows of `_FIELDS`; what each may hold is read in `fields`.

Why all mistakes at once: a mistake never makes a second one here, because what could not be read is
left out and the whole spec is refused at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gatewright.language import fields
from gatewright.language.diagnostics import (
    Diagnostic,
    Findings,
    Related,
    Span,
    SpecError,
    closest,
    did_you_mean,
    is_hidden,
    quoted,
)
from gatewright.language.fields import Context
from gatewright.language.scalar_places import Lines
from gatewright.language.source_text import check_text, hidden_character, read_text
from gatewright.language.spec import (
    ChoiceDeclared,
    Declared,
    EquationText,
    NumberDeclared,
    Spec,
    Text,
)
from gatewright.language.yaml_nodes import Listing, Mapping, Node, Scalar, compose

KEYS = (
    "cell",
    "title",
    "cite",
    "extends",
    "inputs",
    "states",
    "parameters",
    "constants",
    "equations",
    "output",
    "gates",
)
NEW_HELP = "start from `gatewright new my_cell`"
REQUIRED = ("cell",)
CELL_KEY = Scalar("cell", "", Span("", 1, 1, 1, 1), 0, 0)
# What a cell that extends another may take from it.
REQUIRED_ALONE = ("inputs", "states", "equations", "output")

_T = TypeVar("_T")


def read(path: str | Path, file: str = "") -> Spec:
    """Return the spec in a file; `file` is its name in messages. Raises SpecError."""
    file = file or str(path)
    return read_spec_text(read_text(path, file), file)


def read_spec_text(text: str, file: str = "spec.yaml") -> Spec:
    """Return the spec in a text. Raises SpecError with every mistake in its form."""
    text = check_text(text, file)
    top = document(text, file)
    found = Findings({file: text})
    for node in scalars(top):
        hidden = next((each for each in node.text if is_hidden(each)), "")
        if hidden:
            found.found.append(hidden_character(hidden, node.span))
    found.check()
    found_sections = _of_cell(top, found)
    spec = _Builder(Context(file, Lines(text), found), found_sections).spec(text)
    found.check()
    if spec is None:  # pragma: no cover - a missing name is always reported
        raise SpecError([Diagnostic("E0102", "the file is empty")], {file: text})
    return spec


def read_inline(context: Context, name: Scalar, body: Mapping) -> Spec | None:
    """Return the spec of a cell written inside another file, under its name.

    Mistakes go to the context; None stands for a cell that could not be read.
    """
    keyed = Mapping(((CELL_KEY, name), *body.pairs), body.span, body.flow, body.start, body.end)
    return _Builder(context, _of_cell(keyed, context.found)).spec(context.lines.text)


def document(text: str, file: str, help: str = NEW_HELP) -> Mapping:
    """Return the top-level mapping of a file's text; `help` says how to start one."""
    root = compose(text, file)
    if root is None or (isinstance(root, Scalar) and not root.text and not root.style):
        span = Span(file, 1, 1, 1, 2) if text.strip() else None
        raise SpecError([Diagnostic("E0102", "the file is empty", span, help)], {file: text})
    if not isinstance(root, Mapping):
        message = f"the top level must be a mapping, but is {fields.kind(root)}"
        span = Span(file, root.span.line, root.span.column, root.span.line, root.span.column + 1)
        raise SpecError([Diagnostic("E0103", message, span, help)], {file: text})
    return root


def scalars(node: Node) -> list[Scalar]:
    """Return every scalar below a node, in order."""
    match node:
        case Scalar():
            return [node]
        case Listing(items):
            return [scalar for item in items for scalar in scalars(item)]
        case Mapping(pairs):
            return [scalar for pair in pairs for item in pair for scalar in scalars(item)]


def sections(
    top: Mapping, keys: tuple[str, ...], what: str, found: Findings
) -> tuple[dict[str, tuple[Span, Node]], set[str]]:
    """Return the known keys of a mapping, and the keys that unknown ones were meant to be.

    Unknown and repeated keys are reported.
    """
    sections: dict[str, tuple[Span, Node]] = {}
    meant: set[str] = set()
    for key, value in top.pairs:
        if not isinstance(key, Scalar):
            found.add("E0108", f"a key of {what} must be plain text", key.span)
        elif key.text not in keys:
            meant.add(closest(key.text, keys))
            help = did_you_mean(key.text, keys, f"the keys are {', '.join(keys)}")
            found.add("E0110", f"unknown key {_code(key.text)}", key.span, help)
        elif key.text in sections:
            first = Related("first defined here", sections[key.text][0])
            message = f"duplicate key `{key.text}` in {what}"
            found.add("E0109", message, key.span, "", "defined again here", (first,))
        else:
            sections[key.text] = (key.span, value)
    return sections, meant


def _of_cell(top: Mapping, found: Findings) -> dict[str, tuple[Span, Node]]:
    """Return the sections of a cell; report missing ones."""
    result, meant = sections(top, KEYS, "the cell", found)
    required = REQUIRED if "extends" in result else (*REQUIRED, *REQUIRED_ALONE)
    for name in required:
        if name not in result and name not in meant:
            span = Span(top.span.file, top.span.line, top.span.column, top.span.line, 2)
            found.add("E0112", f"required key `{name}` is missing", span, _missing_help(name))
    return result


def _missing_help(name: str) -> str:
    examples = {
        "cell": "cell: my_cell",
        "inputs": "inputs: {x: input}",
        "states": "states: {h: hidden}",
        "equations": "equations:",
        "output": "output: h'",
    }
    return f"add a line `{examples[name]}`"


def _code(text: str) -> str:
    return f"`{text}`" if len(text) <= 60 and text.isprintable() else quoted(text)


@dataclass(frozen=True)
class _Builder:
    """The sections of one file, read into the parts of a Spec."""

    context: Context
    sections: dict[str, tuple[Span, Node]]

    def read(self, key: str, reader: Callable[[Context, Node], _T], default: _T) -> _T:
        """Read one section with its reader; a section that is not there has a default."""
        return reader(self.context, self.sections[key][1]) if key in self.sections else default

    def spec(self, source: str) -> Spec | None:
        """Return the spec, or None where it has no name."""
        none: tuple[Declared, ...] = ()
        constants: tuple[NumberDeclared | ChoiceDeclared, ...] = ()
        equations: tuple[EquationText, ...] = ()
        no_keys: tuple[str, ...] = ()
        no_text: Text | None = None
        no_gates: tuple[Text, ...] | None = None
        cell = self.read("cell", fields.cell_name, no_text)
        title = self.read("title", fields.title, "")
        cite = self.read("cite", fields.citations, no_keys)
        extends = self.read("extends", fields.cell_name, no_text)
        inputs = self.read("inputs", fields.inputs, none)
        states = self.read("states", fields.states, none)
        parameters = self.read("parameters", fields.parameters, none)
        constants = self.read("constants", fields.constants, constants)
        equations = self.read("equations", fields.equations, equations)
        output = self.read("output", fields.output, no_text)
        gates = self.read("gates", fields.gates, no_gates)
        if cell is None:
            return None
        return Spec(
            file=self.context.file,
            source=source,
            cell=cell,
            title=title or cell.value,
            cite=cite,
            extends=extends,
            inputs=inputs,
            states=states,
            parameters=parameters,
            constants=tuple(each for each in constants if isinstance(each, NumberDeclared)),
            choices=tuple(each for each in constants if isinstance(each, ChoiceDeclared)),
            equations=equations,
            output=output,
            gates=gates,
        )
