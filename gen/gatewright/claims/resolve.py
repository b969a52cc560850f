"""Family -> Claims: settle every name, shape and step of the claims of a file.

Why the state map may mention only one side on the left: a proof steps one cell from free states
and gives the other's by the map; a map in both directions would be two claims.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gatewright.claims.cells import Cells
from gatewright.claims.claim import Claim, Expectation, Observed, Owned, Side
from gatewright.claims.claim_text import CellText, ClaimText, Formula, unknown_word
from gatewright.claims.declared import declared, with_functions
from gatewright.claims.family import Family
from gatewright.claims.obligations import inductive, unrolled
from gatewright.claims.parameter_map import ParameterMap
from gatewright.claims.shapes import ClaimShapes, Known
from gatewright.claims.theory import Quality
from gatewright.claims.world import MeaningError, World
from gatewright.language.cell import Cell
from gatewright.language.diagnostics import (
    Diagnostic,
    Findings,
    Span,
    SpecError,
)
from gatewright.language.expression import Expr, Name, names, substitute
from gatewright.language.fields import CELL_NAME
from gatewright.language.references import Reference, is_reference, read_reference
from gatewright.language.shelf import is_path
from gatewright.language.spec import Text

ASSUMPTIONS = {"diagonal": Quality.DIAGONAL, "nonnegative": Quality.NONNEGATIVE}
INDEX_WHY = "a gate that is used a step later than another makes a different claim"


def resolve_family(family: Family) -> tuple[Claim, ...]:
    """Return the claims of a file. Raises SpecError with every mistake in their meaning."""
    found = Findings({family.file: family.source})
    cells = Cells(family)
    claims = []
    for text in family.claims:
        try:
            claim = _Resolver(family, text, cells, found).claim()
            if claim is not None:
                _check_meaning(claim, text, found)
            claims.append(claim)
        except SpecError as problem:
            found.sources = {**found.sources, **problem.sources}
            found.found += problem.diagnostics
    found.check()
    return tuple(claim for claim in claims if claim is not None)


def _check_meaning(claim: Claim, text: ClaimText, found: Findings) -> None:
    """Report values that depend on themselves or on steps that are not there."""
    try:
        inductive(claim)
        unrolled(claim, 1, World(claim, "unroll"))
    except MeaningError as problem:
        help = "read each value from an earlier step, or from the other cell"
        message = f"claim `{claim.name}` cannot be computed: {problem}"
        found.add("E0616", message, _given(text, problem.value), help)
    except ZeroDivisionError:
        message = f"claim `{claim.name}` divides by zero, in its first step or in every one"
        help = "divide by what is declared nonzero under `for_all:`; states begin at zero unless"
        found.add("E0616", message, text.name.span, f"{help} `initial: related` is written")


def _given(text: ClaimText, value: Owned) -> Span:
    """Return the place where a claim says what a value is, or else that of its name."""
    for key, _ in (*text.ties, *text.states):
        reference = read_reference(key.value)
        if isinstance(reference, Reference) and (reference.cell, reference.name) == value:
            return key.span
    return text.name.span


@dataclass
class _Resolver:
    """One claim on its way from text to meaning."""

    family: Family
    text: ClaimText
    cells: Cells
    found: Findings

    def __post_init__(self) -> None:
        self.left, self.right = self._sides()

    def claim(self) -> Claim | None:
        before = len(self.found.found)
        text = self.text
        symbols = declared(text.for_all, self.found)
        self.shapes = ClaimShapes(Known(self.left, self.right, symbols), self.found)
        sides = self.left, self.right
        self.left, self.right = with_functions(sides, text.activations, symbols, self.found)
        sequences = frozenset(
            owned for word in text.sequences if (owned := self._gate(word)) is not None
        )
        ties = self._by_step(text.ties, "tie", self.shapes.equation)
        for alias, gate in sorted(sequences & ties.keys()):
            message = f"`{alias}.{gate}` is any sequence and is tied too"
            help = "keep it under `sequences:` or under `ties:`"
            self.found.add("E0609", message, _given(text, (alias, gate)), help)
        parameters = ParameterMap(self.shapes, self.found).of(text.parameters)
        states = self._by_step(text.states, "state map", self.shapes.state)
        aliases = {alias for alias, _ in states}
        if len(aliases) > 1:
            help = f"give the states of `{text.left.alias}` or of `{text.right.alias}`"
            self.found.add(
                "E0614", "the state map gives states of both cells", text.name.span, help
            )
        self._complete(states)
        observe = tuple(self._observed(*each) for each in text.observe)
        qualities = self._assumed({**parameters, **states})
        initial, expect = self._initial(), self._expected()
        if len(self.found.found) > before:
            return None
        return Claim(
            name=text.name.value,
            family=self.family.name,
            statement=text.statement,
            left=self.left,
            right=self.right,
            symbols=symbols,
            sequences=sequences,
            ties=ties,
            parameters=parameters,
            qualities=qualities,
            states=states,
            observe=observe,
            initial=initial,
            expect=expect,
            candidates=tuple(self._candidate(*each) for each in text.candidates),
            links=text.links,
            told=text.told,
        )

    def _sides(self) -> tuple[Side, Side]:
        left, right = self.text.left, self.text.right
        for side in (left, right):
            if not CELL_NAME.fullmatch(side.alias.value):
                message = f"`{side.alias}` is not a valid name for a cell of a claim"
                help = "lower-case letters, digits and `_`, starting with a letter"
                if side.alias is side.cell and is_path(side.cell.value):
                    help = f"name it: `{{cell: {side.cell}, as: mine}}`"
                raise SpecError([Diagnostic("E0114", message, side.alias.span, help)], self._source)
        if left.alias.value == right.alias.value:
            message = f"both cells of the claim are called `{left.alias}`"
            help = f"name one of them: `right: {{cell: {right.cell}, as: other}}`"
            raise SpecError([Diagnostic("E0612", message, right.alias.span, help)], self._source)
        one = Side(left.alias.value, self.cells.load(left), {})
        other = Side(right.alias.value, self.cells.load(right), {})
        if one.cell.inputs != other.cell.inputs:
            named = [", ".join(map(str, side.cell.inputs)) for side in (one, other)]
            message = f"the cells read different inputs: {named[0]} and {named[1]}"
            help = "both cells of a claim read one input; rename it in a cell under `cells:`"
            raise SpecError([Diagnostic("E0613", message, right.cell.span, help)], self._source)
        return one, other

    @property
    def _source(self) -> dict[str, str]:
        return {self.family.file: self.family.source}

    def _gate(self, word: Text) -> Owned | None:
        reference = read_reference(word.value)
        if isinstance(reference, Reference) and reference.shift is None:
            return self.shapes.equation(reference, word.span)
        message = f"`{word}` is not an equation of a cell"
        help = f"write it without a step, as in `{self.right.alias}.{_last(self.right)}`"
        self.found.add("E0601", message, word.span, help)
        return None

    def _by_step(
        self,
        entries: tuple[tuple[Text, Formula], ...],
        what: str,
        owner: Callable[[Reference, Span], Owned | None],
    ) -> dict[Owned, Expr]:
        """Read `cell.name[t]: formula` entries; one at `[t-1]` is moved to `[t]`."""
        result: dict[Owned, Expr] = {}
        for key, formula in entries:
            reference = read_reference(key.value)
            if isinstance(reference, str) or not reference.cell:
                message = f"`{key}` is not a value of a cell at a step"
                help = f"write it as `{self.left.alias}.{_last(self.left)}[t]`"
                self.found.add("E0604", message, key.span, help)
                continue
            if reference.shift is None:
                message = f"`{key}` has no time index: {INDEX_WHY}"
                if what != "tie":
                    message = f"`{key}` has no time index"
                help = f"write `{key}[t]`, or `{key}[t-1]` for the value of the step before"
                self.found.add("E0602", message, key.span, help)
                continue
            owned = owner(reference, key.span)
            dims = self.shapes.of(formula)
            if owned is None or dims is None:
                continue
            self.shapes.agree(owned, dims, formula)
            if owned in result:
                message = f"`{reference.cell}.{reference.name}` is given twice"
                self.found.add("E0609", message, key.span, "keep one of the entries")
            result[owned] = moved(formula.expr, -reference.shift)
        return result

    def _complete(self, states: Mapping[Owned, Expr]) -> None:
        """A state map that gives one state of a cell gives all of them."""
        for alias in dict.fromkeys(alias for alias, _ in states):
            side = self.left if alias == self.left.alias else self.right
            for state in side.cell.states:
                if (alias, state.name) not in states:
                    message = f"the state map does not give `{alias}.{state.name}`"
                    help = (
                        f"add `{alias}.{state.name}[t]: …`, or leave out `states:`: it is searched"
                    )
                    self.found.add("E0614", message, self.text.name.span, help)
        for owned, expr in states.items():
            for name in names(expr):
                reference = read_reference(name) if is_reference(name) else ""
                if isinstance(reference, Reference) and reference.cell == owned[0]:
                    message = (
                        f"the state map gives `{owned[0]}.{owned[1]}` by `{name}` of the same cell"
                    )
                    help = "give the states of one cell by those of the other"
                    self.found.add("E0614", message, self.text.name.span, help)

    def _observed(self, left: Formula, right: Formula, text: str) -> Observed:
        one, other = self.shapes.of(left), self.shapes.of(right)
        if one is not None and other is not None and one != other and one and other:
            message = f"shapes [{', '.join(one)}] and [{', '.join(other)}] are compared"
            self.found.add("E0608", message, right.where, "observe values of one shape")
        elif one is not None and other is not None and not (_values(left) or _values(right)):
            message = f"`{text}` reads no value of a cell"
            example = f"{self.left.alias}.{_last(self.left)}[t]"
            help = f"observe what a step computes, such as `{example}`"
            self.found.add("E0610", message, left.where, help)
        return Observed(left.expr, right.expr, text)

    def _assumed(self, given: Mapping[Owned, Expr]) -> dict[Owned, Quality]:
        result: dict[Owned, Quality] = {}
        for key, value in self.text.assume:
            if value.value not in ASSUMPTIONS:
                unknown_word(value, tuple(ASSUMPTIONS), f"the assumption on `{key}`", self.found)
                continue
            reference = read_reference(key.value)
            if not isinstance(reference, Reference):
                self.found.add("E0604", f"`{key}` is not a value of a cell", key.span, reference)
                continue
            of_matrix = ASSUMPTIONS[value.value] is Quality.DIAGONAL
            owner = self.shapes.matrix if of_matrix else self.shapes.state
            owned = owner(reference, key.span)
            if owned is None:
                continue
            if owned in given:
                message = f"`{key}` is given by `{given[owned]}`"
                help = "assume it of what it is given by"
                self.found.add("E0609", message, key.span, help)
            else:
                result[owned] = ASSUMPTIONS[value.value]
        return result

    def _candidate(self, labels: Text, cell: Text) -> tuple[frozenset[str], Cell]:
        """Read `read_time + gates: lstm_retimed`: what assuming both puts in the left's place."""
        found = frozenset(label.strip() for label in labels.value.split("+"))
        return found, self.cells.load(CellText(cell, cell, ()))

    def _initial(self) -> Literal["zero", "related"]:
        word = self.text.initial
        if word is None or word.value == "zero":
            return "zero"
        if word.value != "related":
            unknown_word(word, ("zero", "related"), "`initial`", self.found)
        elif not self.text.states:
            message = "`initial: related` does not say how the states are related"
            help = "write the state map under `states:`, or leave `initial:` out: zero states"
            self.found.add("E0614", message, word.span, help)
        return "related"

    def _expected(self) -> Expectation:
        verdicts: tuple[Expectation, ...] = ("proved", "refuted", "unknown")
        for verdict in verdicts:
            if self.text.expect.value == verdict:
                return verdict
        unknown_word(self.text.expect, ("proved", "refuted", "unknown"), "`expect`", self.found)
        return "unknown"


def _values(formula: Formula) -> bool:
    """Tell whether a formula reads a value that a cell computes at a step."""
    found = [read_reference(name) for name in names(formula.expr) if is_reference(name)]
    return any(isinstance(r, Reference) and r.cell and r.shift is not None for r in found)


def _last(side: Side) -> str:
    return side.cell.equations[-1].target.removesuffix("'")


def moved(expr: Expr, steps: int) -> Expr:
    """Return an expression with every value taken some steps later."""

    def later(name: Name) -> Name | None:
        if not is_reference(name.name):
            return None
        reference = read_reference(name.name)
        assert isinstance(reference, Reference)
        return None if reference.shift is None else Name(str(reference.moved(steps)))

    return substitute(expr, later) if steps else expr
