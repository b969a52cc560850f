"""Text -> Node: the tree of a YAML document with the place of every part. The only door to YAML.

Two passes over events and nodes; no value is ever constructed. The first pass refuses, in bounded
memory, what a spec never needs: anchors, aliases, tags, merge keys, a second document, deep nesting
and very many entries. The second builds the tree.

Why every scalar stays text: YAML turns `no` into False, `010` into 8 and `12:30` into 750; a spec's
fields say for themselves what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import yaml

from gatewright.language.diagnostics import Diagnostic, Related, Span, SpecError

MAX_DEPTH = 8
MAX_EVENTS = 20_000


@dataclass(frozen=True)
class Scalar:
    """A piece of text. `style` is YAML's: "" plain, ' and " quoted, | and > block.

    `start` and `end` are offsets into the file.
    """

    text: str
    style: str
    span: Span
    start: int
    end: int


@dataclass(frozen=True)
class Listing:
    """A YAML sequence."""

    items: tuple[Node, ...]
    span: Span
    flow: bool
    start: int
    end: int


@dataclass(frozen=True)
class Mapping:
    """A YAML mapping, with its keys in order and duplicates kept."""

    pairs: tuple[tuple[Node, Node], ...]
    span: Span
    flow: bool
    start: int
    end: int


Node = Scalar | Listing | Mapping


def compose(text: str, file: str) -> Node | None:
    """Return the tree of a document, or None if it is empty. Raises SpecError."""
    try:
        _guard(text, file)
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as problem:
        raise SpecError([_explained(problem, text, file)], {file: text}) from None
    except yaml.YAMLError as problem:
        message = f"this is not valid YAML: {str(problem).splitlines()[0]}"
        raise SpecError([Diagnostic("E0101", message)], {file: text}) from None
    except (ValueError, OverflowError):
        # PyYAML reads `"\U99999999"` with chr(), which has a limit of its own.
        message = "this is not valid YAML: an escape names no character"
        raise SpecError([Diagnostic("E0101", message)], {file: text}) from None
    return None if root is None else _node(root, file)


def _node(node: yaml.Node, file: str) -> Node:
    first, last = node.start_mark, node.end_mark
    span = Span(file, first.line + 1, first.column + 1, last.line + 1, last.column + 1)
    if isinstance(node, yaml.ScalarNode):
        return Scalar(str(node.value), node.style or "", span, first.index, last.index)
    flow = bool(getattr(node, "flow_style", False))
    if isinstance(node, yaml.SequenceNode):
        items = tuple(_node(item, file) for item in node.value)
        return Listing(items, span, flow, first.index, last.index)
    pairs = tuple((_node(key, file), _node(value, file)) for key, value in node.value)
    return Mapping(pairs, span, flow, first.index, last.index)


def _guard(text: str, file: str) -> None:
    depth = documents = 0
    for events, event in enumerate(yaml.parse(text, Loader=yaml.BaseLoader), start=1):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            _refuse(event, text, file, "E0104", message, "a spec is at most three levels deep")
        if events > MAX_EVENTS:
            help = f"a spec has at most {MAX_EVENTS} keys and values"
            _refuse(event, text, file, "E0104", "the file has too many entries", help)
        if documents > 1:
            message = "more than one YAML document in the file"
            _refuse(event, text, file, "E0105", message, "keep one cell per file")
        _check_plain(event, text, file)


def _check_plain(event: yaml.Event, text: str, file: str) -> None:
    if isinstance(event, yaml.AliasEvent):
        message = f"YAML alias `*{event.anchor}` is not allowed"
        help = "to start an equation with `*` is not possible; to reuse text, repeat it"
        _refuse(event, text, file, "E0106", message, help)
    if not isinstance(event, yaml.NodeEvent):
        return
    if event.anchor is not None:
        message = f"YAML anchor `&{event.anchor}` is not allowed"
        help = "quote the value if `&` was meant as text"
        _refuse(event, text, file, "E0106", message, help)
    tag = getattr(event, "tag", None)
    if tag is not None:
        message = f"YAML tag `{tag[:80]}` is not allowed"
        _refuse(event, text, file, "E0107", message, "quote the value if `!` was meant as text")
    if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and not event.style:
        help = "use `extends:` to build on another cell"
        _refuse(event, text, file, "E0106", "YAML merge key `<<` is not allowed", help)


def _refuse(
    event: yaml.Event, text: str, file: str, code: str, message: str, help: str
) -> NoReturn:
    raise SpecError([Diagnostic(code, message, _at(event.start_mark, file), help)], {file: text})


def _at(mark: object, file: str) -> Span:
    if not isinstance(mark, yaml.Mark):
        return Span(file, 1, 1, 1, 2)
    line, column = mark.line + 1, mark.column + 1
    return Span(file, line, column, line, column + 1)


def _explained(problem: yaml.MarkedYAMLError, text: str, file: str) -> Diagnostic:
    """Say in the author's words what YAML says in its own."""
    said = problem.problem or problem.context or "unreadable"
    mark = problem.problem_mark or problem.context_mark
    if mark is None:
        return Diagnostic("E0101", f"this is not valid YAML: {said}")
    opened = problem.context_mark
    lines = text.split("\n")
    message = f"this is not valid YAML: {said}"
    span = _at(mark, file)
    if said == "mapping values are not allowed here":
        return _stray_colon(mark, lines, message, file)
    if said == "could not find expected ':'" and opened is not None:
        start = opened.column + 1
        end = len(lines[opened.line]) + 1
        span = Span(file, opened.line + 1, start, opened.line + 1, max(end, start + 1))
        help = "every line of a spec is `name: value`; to go on with a value, indent it"
        return Diagnostic("E0101", "this is not valid YAML: a `:` is missing", span, help)
    related: tuple[Related, ...] = ()
    help = _yaml_help(said, problem)
    if opened is not None and opened.line != mark.line:
        related = (Related("belongs to what starts here", _at(opened, file)),)
    if said.startswith("expected <block end>") and "mapping start" in said and opened is not None:
        first = lines[opened.line].strip().split(":")[0]
        help = f"start it in column {opened.column + 1}, like `{first}` in line {opened.line + 1}"
    return Diagnostic("E0101", message, span, help, related=related)


def _stray_colon(mark: yaml.Mark, lines: list[str], message: str, file: str) -> Diagnostic:
    """A second `:` where one value stands: either it is text, or the line above has none."""
    above = mark.line - 1
    while above > 0 and not lines[above].strip():
        above -= 1
    line = lines[above] if above >= 0 else ""
    bare = line.split(" #")[0].rstrip()
    starts = len(line) - len(line.lstrip())
    if bare and ":" not in bare and not bare.lstrip().startswith("#"):
        span = Span(file, above + 1, starts + 1, above + 1, len(bare) + 1)
        help = f"a `:` is missing at the end of line {above + 1}"
        return Diagnostic("E0101", message, span, help)
    help = "quote the value: it contains `: `, which starts a new key"
    return Diagnostic("E0101", message, _at(mark, file), help)


def _yaml_help(said: str, problem: yaml.MarkedYAMLError) -> str:
    helps = (
        (r"character '\t'", "indent with spaces; YAML allows no tabs there"),
        ("that cannot start any token", "quote the value: it starts with {}, which YAML reserves"),
        ("indentation indicators", "a value starting with `|` or `>` must be quoted"),
        ("a comment or a line break", "a value starting with `|` or `>` must be quoted"),
        ("expected ',' or", "a `[` or `{{` opened earlier is not closed"),
        ("found '<scalar>'", "quote the whole value: a value in quotes ends at the next quote"),
        ("end of stream", "a quote opened earlier is not closed"),
        ("escape", "write the value in '…' instead of \"…\""),
        ("", "check the indentation of this line against the lines above"),
    )
    if "quoted scalar" in (problem.context or "") and "document separator" in said:
        return "a quote opened earlier is not closed"
    character = said.split("character ")[-1].split(" that")[0]
    return next(help for part, help in helps if part in said).format(character)
