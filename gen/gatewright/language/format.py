"""Text -> text and Cell -> text: the formatter of specs, and the writer of full specs.

The formatter keeps every comment, the order of keys and the author's choice between one line and
several; it changes spelling, spacing and alignment. It never changes what a spec means.

Why on YAML's own places: a formatter that printed the tree would lose the comments, and they are
where the catalogue cites its papers.
"""

from __future__ import annotations

from itertools import groupby

from gatewright.language import layout
from gatewright.language.alphabet import ascii_name
from gatewright.language.cell import Cell, Variable
from gatewright.language.diagnostics import InternalError
from gatewright.language.equation import parse
from gatewright.language.expression import number_text, render
from gatewright.language.layout import Line
from gatewright.language.reader import document, read_spec_text
from gatewright.language.scalar_places import Lines, comment_after
from gatewright.language.yaml_nodes import Listing, Mapping, Node, Scalar


def format_spec(text: str, file: str = "spec.yaml") -> str:
    """Return a spec in house style. Raises SpecError if the text is not a spec."""
    spec = read_spec_text(text, file)
    result = _Formatter(spec.source, document(spec.source, file)).formatted()
    if str(read_spec_text(result, file)) != str(spec):
        raise InternalError(f"formatting {file} would change its meaning")
    return result


class _Formatter:
    """One walk down the top level; `line` is the first source line not yet written."""

    def __init__(self, text: str, top: Mapping) -> None:
        self.top = top
        self.lines = Lines(text)
        self.source = text.split("\n")
        self.line = 1
        self.result: list[str] = []

    def formatted(self) -> str:
        for key, value in self.top.pairs:
            assert isinstance(key, Scalar)
            self.result += [line.text for line in self.comments(key.span.line)]
            self.result += self.section(key, value)
        self.result += [line.text for line in self.comments(len(self.source) + 1)]
        return _tidy(self.result)

    def comments(self, until: int) -> list[Line]:
        """Return the comments and empty lines before line `until`, and step there."""
        found = []
        for line in self.source[self.line - 1 : until - 1]:
            text = line.strip()
            if text.startswith(("---", "...", "%")):
                text = text[text.find("#") :] if " #" in text else ""
                if not text:
                    continue
            if text.startswith("#"):
                indent = layout.INDENT if line[:1].isspace() else ""
                found.append(Line(indent + text))
            elif not text:
                found.append(Line(""))
        self.line = max(self.line, until)
        return found

    def section(self, key: Scalar, value: Node) -> list[str]:
        head = f"{key.text}:"
        if isinstance(value, Scalar):
            before = self.inner(key, value)
            text = layout.line(_words(key.text, value.text))
            return before + layout.aligned([Line(f"{head} {text}", self.ending(value))])
        if value.flow:
            before = self.inner(key, value)
            text = f"{head} {self.flow(value, key.text == 'constants')}"
            return before + layout.aligned([Line(text, self.ending(value))])
        opening = Line(head, _comment(self.lines.rest(key.end).partition(":")[2]))
        self.line = key.span.line + 1
        block = self.listing(value) if isinstance(value, Listing) else self.block(key.text, value)
        return layout.aligned([opening]) + layout.aligned(block)

    def inner(self, key: Scalar, value: Node) -> list[str]:
        """Return the comments between a key and its value on a later line, and inside a list."""
        between = self.lines.text[key.end : value.start]
        found = [part.strip() for part in between.split("\n") if part.strip().startswith("#")]
        first = _comment(between.split("\n")[0].partition(":")[2])
        if first and "\n" in between:
            found.insert(0, f"# {first}")
        if not isinstance(value, Scalar):
            inside = self.lines.text[value.start : value.end].split("\n")
            found += [f"# {_comment(part)}" for part in inside[:-1] if _comment(part)]
        return found

    def ending(self, value: Node) -> str:
        """Step behind a value and return the comment on its last line."""
        # YAML counts the empty lines after a block as part of it.
        written = self.lines.text[value.start : value.end].rstrip()
        self.line = value.span.line + written.count("\n") + 1
        if isinstance(value, Scalar):
            return comment_after(value, self.lines)
        return _comment(self.lines.rest(value.end))

    def flow(self, value: Node, as_numbers: bool = False) -> str:
        match value:
            case Scalar(text):
                return text if as_numbers else layout.scalar(ascii_name(text))
            case Listing(items):
                return f"[{', '.join(self.flow(item) for item in items)}]"
            case Mapping(pairs):
                written = [(self.flow(key), self.flow(item, as_numbers)) for key, item in pairs]
                return layout.mapping(written)

    def listing(self, value: Listing) -> list[Line]:
        result = []
        for item in value.items:
            result += self.comments(item.span.line)
            text = item.text if isinstance(item, Scalar) else ""
            result.append(Line(f"{layout.INDENT}- {layout.scalar(text)}", self.ending(item)))
        return result

    def block(self, section: str, value: Mapping) -> list[Line]:
        rows: list[tuple[str, str, str]] = []
        lines: list[Line] = []
        for key, item in value.pairs:
            assert isinstance(key, Scalar)
            between = [*self.comments(key.span.line)]
            between += [Line(layout.INDENT + text) for text in self.inner(key, item)]
            if section == "equations" and isinstance(item, Scalar):
                text = layout.equation(ascii_name(key.text), render(parse(item.text)))
                lines += [*between, Line(text, self.ending(item))]
                continue
            rows += [(line.text, "", "") for line in between]
            names = ", ".join(ascii_name(part.strip()) for part in key.text.split(","))
            shape = self.flow(item, section == "constants")
            rows.append((names, shape, self.ending(item)))
        return lines or layout.shaped(rows)


def _words(key: str, text: str) -> str:
    if key == "title":
        return " ".join(text.split())
    return ascii_name(text)


def _comment(rest: str) -> str:
    """Return the comment in the rest of a line after a value."""
    start = 0 if rest.startswith("#") else rest.find(" #") + 1
    return rest[start + 1 :].strip() if rest[start : start + 1] == "#" else ""


def _tidy(lines: list[str]) -> str:
    """Drop empty lines at both ends and keep at most one between two others."""
    kept = [line for line, before in zip(lines, ["", *lines], strict=False) if line or before]
    return "\n".join(kept).strip("\n") + "\n"


def write_spec(cell: Cell) -> str:
    """Return a cell as a full spec, without `extends:`; reading it gives the same cell.

    A variant is written as a cell of its own, with what it chose as the default.
    """
    lines = [f"cell: {cell.identifier}", f"title: {layout.line(cell.title)}"]
    if cell.cite:
        lines.append(f"cite: {layout.listing(cell.cite)}")
    lines.append(f"inputs: {_vectors(cell.inputs)}")
    lines.append(f"states: {_vectors(cell.states)}")
    if cell.parameters:
        rows = []
        for (_, dims), group in groupby(cell.parameters, lambda each: (_stem(each), each.dims)):
            names = ", ".join(each.name for each in group)
            rows.append((names, layout.listing(dims), ""))
        lines += ["parameters:", *layout.aligned(layout.shaped(rows))]
    constants = [(each.name, number_text(each.value)) for each in cell.constants]
    for choice in cell.choices:
        others = (option for option in choice.options if option != choice.chosen)
        constants.append((choice.name, layout.listing((choice.chosen, *others))))
    if constants:
        lines.append("constants:")
        lines += layout.aligned(layout.shaped([(name, text, "") for name, text in constants]))
    equations = [
        Line(layout.equation(each.target, each.text), each.comment) for each in cell.equations
    ]
    lines += ["equations:", *layout.aligned(equations), f"output: {cell.output}"]
    if cell.gates:
        lines.append(f"gates: {layout.listing(cell.gates)}")
    return "\n".join(lines) + "\n"


def _vectors(variables: tuple[Variable, ...]) -> str:
    return layout.mapping((each.name, each.dims[0]) for each in variables)


def _stem(variable: Variable) -> str:
    return variable.name.split("_")[0]
