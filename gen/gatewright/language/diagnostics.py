"""SpecError: the author's mistakes, each with its code, its place and a way out.

Places are 1-based lines and columns in code points; the end of a span is exclusive. The renderer
underlines by display width, so carets stay under `⊙`, wide letters and tabs.

Why plain text and no terminal library: the same words must read well in a log, in a test and in
`--json`, and a message that quotes a hostile file must not carry its control characters along.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_SHOWN = 20
MAX_LINE = 120
TAB = "    "


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of a file, from `line:column` up to and without `end_line:end_column`."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Related:
    """A second place that explains the first."""

    label: str
    span: Span


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: what is wrong, where, and what would fix it. `label` stands beside the caret."""

    code: str
    message: str
    span: Span | None = None
    help: str = ""
    label: str = ""
    related: tuple[Related, ...] = ()

    def __str__(self) -> str:
        place = f"{self.span}: " if self.span else ""
        return f"{place}{self.code} {self.message}"

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints for this mistake."""
        return {
            "code": self.code,
            "severity": "error",
            "message": self.message,
            "file": self.span.file if self.span else None,
            "range": _range(self.span) if self.span else None,
            "help": self.help or None,
            "related": [
                {"message": note.label, "file": note.span.file, "range": _range(note.span)}
                for note in self.related
            ],
        }


class SpecError(Exception):
    """The author's mistakes in one spec; `str` shows each with the line it stands on.

    `sources` maps the file of each span to its text.
    """

    def __init__(
        self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, str] | None = None
    ) -> None:
        found = tuple(dict.fromkeys(diagnostics))
        self.diagnostics = tuple(sorted(found[:MAX_SHOWN], key=_position))
        self.sources = dict(sources or {})
        super().__init__("; ".join(str(item) for item in self.diagnostics))

    def __str__(self) -> str:
        blocks = [render_diagnostic(item, self.sources) for item in self.diagnostics]
        if len(self.diagnostics) == MAX_SHOWN:
            blocks.append(f"only the first {MAX_SHOWN} mistakes are shown")
        return "\n\n".join(blocks)

    def to_json(self) -> list[dict[str, object]]:
        """Return every mistake as `--json` prints it."""
        return [item.to_json() for item in self.diagnostics]


class Findings:
    """The mistakes found so far in one spec."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources
        self.found: list[Diagnostic] = []

    def add(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        help: str = "",
        label: str = "",
        related: tuple[Related, ...] = (),
    ) -> None:
        """Note a mistake; raise SpecError when there are as many as can be shown."""
        self.found.append(Diagnostic(code, message, span, help, label, related))
        if len(self.found) >= MAX_SHOWN:
            self.check()

    def check(self) -> None:
        """Raise SpecError if a mistake was found."""
        if self.found:
            raise SpecError(self.found, self.sources)


class InternalError(Exception):
    """Our mistake, not the author's."""


def is_hidden(character: str) -> bool:
    """Tell whether a character is invisible or controls the display: never allowed in a spec."""
    return character not in "\t\n" and unicodedata.category(character) in {
        "Cc",
        "Cf",
        "Zl",
        "Zp",
        "Cs",
    }


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, or an empty string."""
    candidates = tuple(dict.fromkeys(known))
    for candidate in candidates:
        if candidate.lower() == name.lower():
            return candidate
    matches = difflib.get_close_matches(name[:80], candidates, n=1, cutoff=0.6)
    return matches[0] if matches else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the help line that offers the closest known name."""
    match = closest(name, known)
    return f"did you mean `{match}`?" if match else otherwise


def quoted(text: str) -> str:
    """Quote what an author wrote so that it fits on a line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def render_diagnostic(item: Diagnostic, sources: Mapping[str, str]) -> str:
    """Show a mistake: its message, its place, the line with its caret, and the help."""
    lines = [f"error[{item.code}]: {_visible(item.message)}"]
    if item.span is not None:
        places: list[tuple[Span, str, str]] = [(item.span, "^", item.label)]
        places += [(note.span, "-", note.label) for note in item.related]
        lines.append(f"    --> {_visible(str(item.span))}")
        own = sorted(place for place in places if place[0].file == item.span.file)
        lines += _excerpt(own, sources.get(item.span.file))
        for place in places:
            if place[0].file != item.span.file:
                lines.append(f"    --> {_visible(str(place[0]))}")
                lines += _excerpt([place], sources.get(place[0].file))
    if item.help:
        lines.append(f"     = help: {_visible(item.help)}")
    return "\n".join(lines)


def _excerpt(places: list[tuple[Span, str, str]], source: str | None) -> list[str]:
    if source is None:
        return []
    text = source.split("\n")
    result = ["     |"]
    shown = 0
    for span, mark, label in places:
        if not 1 <= span.line <= len(text):
            continue
        line = text[span.line - 1]
        start = span.column - 1
        end = span.end_column - 1 if span.end_line == span.line else len(line)
        line, start, end = _cropped(line, start, end)
        if span.line != shown:
            result.append(f"{span.line:>4} | {_visible(line)}".rstrip())
            shown = span.line
        underline = mark * max(1, _width(line[start:end]))
        result.append(f"     | {' ' * _width(line[:start])}{underline} {label}".rstrip())
    return result if len(result) > 1 else []


def _cropped(line: str, start: int, end: int) -> tuple[str, int, int]:
    """Cut a very long line to the part around its span."""
    if len(line) <= MAX_LINE:
        return line, start, end
    first = max(0, min(start - MAX_LINE // 2, len(line) - MAX_LINE))
    last = first + MAX_LINE
    before = "…" if first else ""
    after = "…" if last < len(line) else ""
    shift = len(before) - first
    return f"{before}{line[first:last]}{after}", start + shift, min(end, last) + shift


def _visible(text: str) -> str:
    text = text.replace("\t", TAB).replace("\n", " ")
    return "".join("\N{REPLACEMENT CHARACTER}" if is_hidden(each) else each for each in text)


def _width(text: str) -> int:
    """Count the terminal columns of text as `_visible` shows it."""
    columns = 0
    for character in text:
        if character == "\t":
            columns += len(TAB)
        elif unicodedata.combining(character):
            continue
        else:
            columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return columns


def _position(item: Diagnostic) -> tuple[int, int]:
    return (item.span.line, item.span.column) if item.span else (0, 0)


def _range(span: Span) -> dict[str, dict[str, int]]:
    return {
        "start": {"line": span.line, "column": span.column},
        "end": {"line": span.end_line, "column": span.end_column},
    }
