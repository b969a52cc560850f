"""YAML -> ClaimText: one claim as its author typed it, with the place of every part.

Why formulas keep the place of every code point: a mistake in one is shown under what it is in, also
when it stands in a folded line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gatewright.language import fields
from gatewright.language.alphabet import ascii_name
from gatewright.language.diagnostics import Findings, Span, did_you_mean
from gatewright.language.equation import EquationError, parse
from gatewright.language.expression import Expr
from gatewright.language.fields import Context
from gatewright.language.reader import sections
from gatewright.language.scalar_places import places
from gatewright.language.spec import Text, located
from gatewright.language.yaml_nodes import Mapping, Node, Scalar

CLAIM_KEYS = (
    "statement",
    "left",
    "right",
    "for_all",
    "activations",
    "sequences",
    "ties",
    "parameters",
    "assume",
    "states",
    "observe",
    "initial",
    "candidates",
    "links",
    "told",
    "expect",
)
REQUIRED = {
    "statement": "say in a sentence what is claimed: `statement: …`",
    "left": "name a cell: `left: lstm`",
    "right": "name a cell: `right: gru`",
    "observe": "write `observe:` and under it, for example, `- lstm.h[t] = gru.h[t]`",
    "expect": "write `expect: proved` or `expect: refuted`; the file is then a regression test",
}
OBSERVED_WHY = (
    "a claim must say what is observed: two cells can agree in one state and emit different outputs"
)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Formula:
    """An expression of a claim and its place; `places` has one entry per code point."""

    expr: Expr
    text: str
    where: Span
    places: tuple[tuple[int, int], ...]

    def span(self, start: int, end: int) -> Span:
        """Return the place of a part of the text."""
        return located(self.places, start, end, self.where.file) if self.places else self.where


@dataclass(frozen=True)
class CellText:
    """The cell of one side: its name, its alias, and the settings of choices and constants."""

    cell: Text
    alias: Text
    settings: tuple[tuple[Text, Text], ...]


@dataclass(frozen=True)
class ClaimText:
    """One claim as it was typed."""

    name: Text
    statement: str
    left: CellText
    right: CellText
    for_all: tuple[tuple[Text, Text], ...]
    activations: tuple[tuple[Text, Text], ...]
    sequences: tuple[Text, ...]
    ties: tuple[tuple[Text, Formula], ...]
    parameters: tuple[tuple[Text, Text, Formula | None], ...]
    assume: tuple[tuple[Text, Text], ...]
    states: tuple[tuple[Text, Formula], ...]
    observe: tuple[tuple[Formula, Formula, str], ...]
    initial: Text | None
    candidates: tuple[tuple[Text, Text], ...]
    links: tuple[str, ...]
    told: str
    expect: Text


def read_claim(context: Context, name: Text, body: Mapping) -> ClaimText | None:
    """Return the claim under a name in a file; None after reporting what is wrong with it."""
    return _Reader(context, name, body).claim()


class _Reader:
    """The sections of one claim, read into its parts."""

    def __init__(self, context: Context, name: Text, body: Mapping) -> None:
        self.context = context
        self.name = name
        self.parts, meant = sections(body, CLAIM_KEYS, f"claim `{name}`", context.found)
        for key, help in REQUIRED.items():
            if key in self.parts or key in meant:
                continue
            code = "E0605" if key == "observe" else "E0112"
            message = f"claim `{name}` has no `{key}`"
            if key == "observe":
                message += f": {OBSERVED_WHY}"
            context.found.add(code, message, name.span, help)

    def read(self, key: str, reader: Callable[[Node], _T], default: _T) -> _T:
        return reader(self.parts[key][1]) if key in self.parts else default

    def claim(self) -> ClaimText | None:
        before = len(self.context.found.found)
        no_text: Text | None = None
        no_cell: CellText | None = None
        no_words: tuple[Text, ...] = ()
        left = self.read("left", lambda node: self.cell(node, "left"), no_cell)
        right = self.read("right", lambda node: self.cell(node, "right"), no_cell)
        expect = self.read("expect", lambda node: self.single(node, "expect"), no_text)
        statement = self.read("statement", lambda node: self.single(node, "statement"), no_text)
        told = self.read("told", lambda node: self.single(node, "told"), no_text)
        claim = ClaimText(
            name=self.name,
            statement=" ".join(statement.value.split()) if statement else "",
            left=left or _NO_CELL,
            right=right or _NO_CELL,
            for_all=self.read("for_all", lambda node: self.words(node, "for_all"), ()),
            activations=self.read("activations", lambda node: self.words(node, "activations"), ()),
            sequences=self.read("sequences", lambda node: self.listed(node, "sequences"), ()),
            ties=self.read("ties", lambda node: self.formulas(node, "ties"), ()),
            parameters=self.read("parameters", self.parameters, ()),
            assume=self.read("assume", lambda node: self.words(node, "assume"), ()),
            states=self.read("states", lambda node: self.formulas(node, "states"), ()),
            observe=self.read("observe", self.observed, ()),
            initial=self.read("initial", lambda node: self.single(node, "initial"), no_text),
            candidates=self.read("candidates", lambda node: self.words(node, "candidates"), ()),
            links=tuple(each.value for each in self.read("links", self.links, no_words)),
            told=" ".join(told.value.split()) if told else "",
            expect=expect or Text("", self.name.span),
        )
        return claim if len(self.context.found.found) == before else None

    def single(self, node: Node, key: str) -> Text | None:
        return fields.single(self.context, node, key)

    def listed(self, node: Node, key: str) -> tuple[Text, ...]:
        found = fields.items(self.context, node, key)
        return tuple(Text(ascii_name(item.text), item.span) for item in found)

    def links(self, node: Node) -> tuple[Text, ...]:
        return tuple(
            Text(item.text, item.span) for item in fields.items(self.context, node, "links")
        )

    def words(self, node: Node, key: str) -> tuple[tuple[Text, Text], ...]:
        result = []
        for name, value in fields.pairs(self.context, node, key):
            if isinstance(value, Scalar) and not value.text:
                message = f"`{fields.short(name.text)}` of `{key}` has no value"
                self.context.found.add("E0111", message, name.span, "write one after the colon")
                continue
            text = fields.single(self.context, value, name.text)
            if text is not None:
                word = Text(" ".join(ascii_name(text.value).split()), text.span)
                result.append((Text(ascii_name(name.text), name.span), word))
        return tuple(result)

    def cell(self, node: Node, key: str) -> CellText | None:
        if isinstance(node, Scalar):
            text = fields.single(self.context, node, key)
            return CellText(text, text, ()) if text else None
        given = dict(self.words(node, key))
        cell = next((value for name, value in given.items() if name.value == "cell"), None)
        if cell is None:
            help = f"write `{key}: lstm` or `{key}: {{cell: lstm, as: other}}`"
            self.context.found.add("E0112", f"`{key}` names no cell", node.span, help)
            return None
        alias = next((value for name, value in given.items() if name.value == "as"), cell)
        rest = tuple(pair for pair in given.items() if pair[0].value not in ("cell", "as"))
        return CellText(cell, alias, rest)

    def formulas(self, node: Node, key: str) -> tuple[tuple[Text, Formula], ...]:
        result = []
        for name, value in fields.pairs(self.context, node, key):
            formula = self.formula(value, f"`{key}`")
            if formula is not None:
                result.append((Text(name.text, name.span), formula))
        return tuple(result)

    def parameters(self, node: Node) -> tuple[tuple[Text, Text, Formula | None], ...]:
        """Read the parameter map; an entry whose key has a `*` stays text until names are known."""
        result: list[tuple[Text, Text, Formula | None]] = []
        for name, value in fields.pairs(self.context, node, "parameters"):
            key = Text(name.text, name.span)
            if "*" in name.text:
                text = fields.single(self.context, value, name.text)
                if text is not None:
                    result.append((key, text, None))
                continue
            formula = self.formula(value, "`parameters`")
            if formula is not None:
                result.append((key, Text(formula.text, formula.where), formula))
        return tuple(result)

    def observed(self, node: Node) -> tuple[tuple[Formula, Formula, str], ...]:
        result = []
        for item in fields.items(self.context, node, "observe"):
            sides = item.text.split("=")
            if len(sides) != 2:
                message = f"`{fields.short(item.text)}` does not say what is equal"
                help = "write one equation, such as `lstm.h[t] = gru.h[t]`"
                self.context.found.add("E0610", message, item.span, help)
                continue
            where = places(item, self.context.lines)
            cut = len(sides[0]) + 1
            left = self.parsed(sides[0], item.span, where[: len(sides[0]) + 1], "`observe`")
            right = self.parsed(sides[1], item.span, where[cut:], "`observe`")
            if left is not None and right is not None:
                result.append((left, right, f"{left.expr} = {right.expr}"))
        if not result and not self.context.found.found:
            help = REQUIRED["observe"]
            message = f"`observe` is empty: {OBSERVED_WHY}"
            self.context.found.add("E0605", message, node.span, help)
        return tuple(result)

    def formula(self, value: Node, what: str) -> Formula | None:
        if not isinstance(value, Scalar):
            message = f"an entry of {what} must be text, but is {fields.kind(value)}"
            self.context.found.add("E0111", message, value.span, "quote the formula")
            return None
        return self.parsed(value.text, value.span, places(value, self.context.lines), what)

    def parsed(
        self, text: str, where: Span, at: tuple[tuple[int, int], ...], what: str
    ) -> Formula | None:
        try:
            return Formula(parse(text, references=True), text, where, at)
        except EquationError as problem:
            span = located(at, problem.start, problem.end, where.file)
            message = f"{problem.message} in {what}"
            self.context.found.add(problem.code, message, span, problem.help, problem.label)
            return None


_NO_WORD = Text("", Span("", 1, 1, 1, 1))
_NO_CELL = CellText(_NO_WORD, _NO_WORD, ())
STAR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z0-9_]*)\*([A-Za-z0-9_]*)")


def unknown_word(word: Text, known: tuple[str, ...], what: str, found: Findings) -> None:
    """Report a word that is not one of the known ones."""
    listed = f"one of {', '.join(known)}"
    found.add(
        "E0611", f"{what} cannot be `{word}`", word.span, did_you_mean(word.value, known, listed)
    )
