"""Cell, Cell -> the ways in which one becomes the other: ties, constants, functions, maps, weights.

The space that is searched, all of it:
  a gate of the first cell       its own formula, 0, 1, or a gate of the second, or 1 minus it, of
                                 the same or the next step
  the parameters of an equation  all 0, or those of an equation of the second cell, times 1, -1, 2
                                 or 1/2; parameters without a counterpart are 0
  functions                      as they are, or the identity
  a gate of the second cell      as it is, or 1
  the states of the first cell   a state of the second, 0, or a state times a gate

Candidates are screened with numbers for one hidden unit; what agrees is proved as a claim. What is
not proved differs at numbers, so "none" is about this space and nothing else.

Why one unit for screening: what differs there differs, and a scalar step takes microseconds.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gatewright.claims.claim import Claim, Observed, Owned, Side
from gatewright.claims.formulas import MeaningError
from gatewright.claims.normal_form import TooLargeError
from gatewright.claims.options import Option, options
from gatewright.claims.prove import proof
from gatewright.claims.scalar_model import ScalarModel
from gatewright.claims.terms import IDENTITY
from gatewright.claims.theory import Theory
from gatewright.language.cell import Cell, Equation
from gatewright.language.equation import parse
from gatewright.language.expression import Expr, Number, names

TOLERANCE = 1e-9
MOST = 300  # candidates proved per pair


@dataclass(frozen=True)
class Relation:
    """One way in which the first cell becomes the second; `cost` counts what had to be fixed.

    `output` says what the first cell then emits in terms of the second.
    """

    first: str
    second: str
    changes: tuple[str, ...]
    states: tuple[str, ...]
    output: str
    theory: Theory
    lookahead: bool
    cost: int


@dataclass(frozen=True)
class Related:
    """The relations found, cheapest first, and how many combinations were looked at."""

    relations: tuple[Relation, ...]
    combinations: int


def relate(first: Cell, second: Cell, all_ways: bool = False) -> Related:
    """Return how the first cell becomes the second, within the space of the module's docstring.

    Without `all_ways`, relations that need more than the cheapest by more than one are left out.
    """
    if first.inputs != second.inputs:
        return Related((), 0)
    left, right = Side("first", first, {}), Side("second", second, {})
    found: list[Relation] = []
    count = 0
    for fixed in _fixed_gates(second):
        search = _Search(left, right, fixed)
        if search.models[0].frozen:
            continue  # A cell that keeps its states is every cell that does.
        for relation in search.relations():
            found.append(relation)
        count += search.count
    found = sorted(dict.fromkeys(found), key=lambda each: (each.cost, each.changes))
    kept = [each for each in found if all_ways or each.cost <= found[0].cost + 1]
    return Related(tuple(kept), count)


def _fixed_gates(cell: Cell) -> list[dict[str, float]]:
    return [{}, *({gate: 1.0} for gate in cell.gates)]


@dataclass(frozen=True)
class _Chosen:
    """One option per equation that has any, and the state map."""

    options: Mapping[str, Option]
    states: Mapping[str, str]


class _Search:
    """Depth-first over the options of the first cell's equations, screened with numbers."""

    def __init__(self, left: Side, right: Side, fixed: Mapping[str, float]) -> None:
        self.left, self.right, self.fixed = left, right, fixed
        self.models = [ScalarModel(right.cell, fixed, seed) for seed in (1, 2, 3)]
        gates = tuple(gate for gate in right.cell.gates if gate not in fixed)
        self.options = options(left.cell, right.cell, gates)
        self.count = 0

    def relations(self) -> Iterator[Relation]:
        proved = 0
        for states in self._state_maps():
            for chosen in self._agreeing(states):
                if not all(self._agrees(each, states, chosen) for each in self.models[1:]):
                    continue
                if proved >= MOST:
                    return
                proved += 1
                relation = self._proved(_Chosen(chosen, states))
                if relation is not None:
                    yield relation

    def _state_maps(self) -> Iterator[dict[str, str]]:
        plain = [f"{state.name}[t]" for state in self.right.cell.states]
        # Of the step before, a gate is known only where a cell keeps it as a state.
        gates = [f"{gate}[t+1]" for gate in self.right.cell.gates if gate not in self.fixed]
        scaled = [f"{gate} * {state}" for gate in gates for state in plain]
        names = [state.name for state in self.left.cell.states]
        for picked in itertools.product((*plain, "0", *scaled), repeat=len(names)):
            # A state of the second cell that stands nowhere is not related to anything.
            if all(any(state == each for each in picked) for state in plain[:1]):
                yield dict(zip(names, picked, strict=True))

    def _agreeing(self, states: Mapping[str, str]) -> Iterator[dict[str, Option]]:
        model = self.models[0]
        before = {name: model.mapped(text, -1) for name, text in states.items()}
        after = {name: model.mapped(text, 0) for name, text in states.items()}
        free = self._free_values(before)
        yield from self._deeper(0, {}, {}, before, after, free)

    def _free_values(self, before: Mapping[str, float]) -> dict[str, list[tuple[Option, float]]]:
        """Return the values of the equations that read no other equation, once for all."""
        cell = self.left.cell
        targets = {equation.target for equation in cell.equations}
        found: dict[str, list[tuple[Option, float]]] = {}
        for equation in cell.equations:
            if not targets & set(names(equation.expr)):
                found[equation.target] = self._values(equation, before, {})
        return found

    def _values(
        self, equation: Equation, before: Mapping[str, float], values: Mapping[str, float]
    ) -> list[tuple[Option, float]]:
        model, cell = self.models[0], self.left.cell
        pairs = [
            (option, model.option(option, equation, cell, before, values))
            for option in self.options[equation.target]
        ]
        return [(option, value) for option, value in pairs if value is not None]

    def _deeper(
        self,
        index: int,
        values: dict[str, float],
        chosen: dict[str, Option],
        before: Mapping[str, float],
        after: Mapping[str, float],
        free: Mapping[str, list[tuple[Option, float]]],
    ) -> Iterator[dict[str, Option]]:
        equations = self.left.cell.equations
        if index == len(equations):
            yield dict(chosen)
            return
        equation = equations[index]
        target = equation.target
        known = free.get(target)
        for option, value in known if known is not None else self._values(equation, before, values):
            self.count += 1
            wanted = after[target[:-1]] if target.endswith("'") else value
            # Written so that a number that is none agrees with nothing.
            if not abs(value - wanted) <= TOLERANCE:
                continue
            values[target], chosen[target] = value, option
            yield from self._deeper(index + 1, values, chosen, before, after, free)

    def _agrees(
        self, model: ScalarModel, states: Mapping[str, str], chosen: Mapping[str, Option]
    ) -> bool:
        before = {name: model.mapped(text, -1) for name, text in states.items()}
        values: dict[str, float] = {}
        for equation in self.left.cell.equations:
            value = model.option(chosen[equation.target], equation, self.left.cell, before, values)
            if value is None:
                return False
            values[equation.target] = value
        return all(
            abs(values[f"{name}'"] - model.mapped(text, 0)) <= TOLERANCE
            for name, text in states.items()
        )

    def _proved(self, chosen: _Chosen) -> Relation | None:
        claim = self._claim(chosen)
        try:
            found = proof(claim)
        except (MeaningError, TooLargeError, ZeroDivisionError):
            return None
        if found is None:
            return None
        changes = [f"{self.right.cell.name}.{gate} = 1" for gate in self.fixed]
        changes += [o.text for o in chosen.options.values() if o.text]
        output = self.left.cell.output.removesuffix("'")
        emitted = chosen.states.get(output, "")
        same = self.right.cell.output.removesuffix("'")
        return Relation(
            self.left.cell.identifier,
            self.right.cell.identifier,
            tuple(changes),
            tuple(
                f"{self.left.cell.name}.{name}[t] = {text}" for name, text in chosen.states.items()
            ),
            "the same" if emitted == f"{same}[t]" else emitted or "another value",
            found.theory,
            bool(found.lookahead),
            sum(o.cost for o in chosen.options.values())
            + 2 * len(self.fixed)
            + 2 * (emitted != f"{same}[t]"),
        )

    def _claim(self, chosen: _Chosen) -> Claim:
        ties: dict[Owned, Expr] = {("second", g): Number(v) for g, v in self.fixed.items()}
        parameters: dict[Owned, Expr] = {}
        functions: dict[tuple[str, str], str] = {}
        for target, option in chosen.options.items():
            bare = target.removesuffix("'")
            if option.tie:
                ties["first", bare] = _in_second(option.tie)
            for name, text in option.parameters.items():
                parameters["first", name] = parse(text, references=True)
            for function in option.linear:
                functions[bare, function] = IDENTITY
        states = {("first", n): _in_second(text) for n, text in chosen.states.items()}
        observe = tuple(
            Observed(parse(f"first.{n}[t]", references=True), expr, f"first.{n}[t] = {expr}")
            for (_, n), expr in states.items()
        )
        left = replace(self.left, functions=functions)
        return Claim(
            name="relation",
            family="",
            statement="",
            left=left,
            right=self.right,
            symbols={},
            sequences=frozenset(),
            ties=ties,
            parameters=parameters,
            qualities={},
            states=states,
            observe=observe,
            initial="zero",
            expect="proved",
        )


def _in_second(text: str) -> Expr:
    """Read `1 - r[t+1]` as values of the second cell."""
    return parse(re.sub(r"\b([A-Za-z]\w*)\[", r"second.\1[", text), references=True)
