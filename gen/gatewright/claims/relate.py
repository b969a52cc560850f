"""Cell, Cell -> the ways in which one becomes the other: ties, constants, functions, maps, weights.

The space that is searched, all of it:
  a gate of the first cell       its own formula, 0, 1, or a gate of the second, or 1 minus it, of
                                 the same or the next step
  the parameters of an equation  all 0, or those of an equation of the second cell, times 1, -1, 2
                                 or 1/2; parameters without a counterpart are 0
  functions                      as they are, or the identity
  a gate of the second cell      as it is, or 1
  the states of the first cell   a state of the second, 0, or a state times a gate

A relation is a choice of these such that one step of the first cell, from mapped states, ends in
mapped states, whatever the states of the second cell were.

Every combination is accounted for. It is proved, as a claim; or excluded by exact numbers, at which
enclosures of the two sides have no point in common, or because its values cannot be computed; or
undecided, and then it is listed. So "none" is a proof that there is none in this space.

Why one unit first: what differs there differs, and a scalar step takes microseconds; what does not
is tried with two and three units, where matrices no longer commute with products.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace

from gatewright.claims.claim import Claim, Observed, Owned, Side
from gatewright.claims.enclosures import Enclosure, apart
from gatewright.claims.formulas import MeaningError
from gatewright.claims.named_like import named_like
from gatewright.claims.normal_form import NormalForm, TooLargeError
from gatewright.claims.options import Option, options
from gatewright.claims.prove import proof
from gatewright.claims.runs import random_steps
from gatewright.claims.scalar_model import ScalarModel
from gatewright.claims.terms import IDENTITY, Terms
from gatewright.claims.theory import Theory
from gatewright.claims.translation import cell_values
from gatewright.language.cell import Cell, Equation
from gatewright.language.equation import parse
from gatewright.language.expression import Expr, Number, names

MODELS = 3  # sets of numbers for one unit
RUNS = 9  # sets of numbers for one, two and three units
LISTED = 20
Values = list[tuple[Option, Enclosure | None]]


SPACE = (
    "a gate of FIRST: its own formula, 0, 1, or a gate of SECOND or 1 minus it, of this step or "
    "the next",
    "the parameters of an equation: 0, or those of an equation of SECOND times 1, -1, 2 or 1/2; "
    "those without a counterpart are 0",
    "functions that are no gate's: as they are, or the identity",
    "gates of SECOND: as they are, or one of them 1",
    "each state of FIRST: a state of SECOND, 0, or a gate of the next step times a state; the "
    "first state of SECOND stands in one of them",
    "a relation: from any states of SECOND, one step of FIRST from the mapped states ends in them",
)


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
class Account:
    """How many combinations there are, and how many were decided in which way.

    `nodes` counts partial combinations that were looked at. The rest of `all` is undecided.
    """

    all: int = 0
    proved: int = 0
    excluded: int = 0
    meaningless: int = 0
    nodes: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def undecided(self) -> int:
        """How many combinations are neither proved nor excluded."""
        return self.all - self.proved - self.excluded - self.meaningless


@dataclass(frozen=True)
class Related:
    """The relations found, cheapest first, and the account of the whole space.

    `undecided` says, for the first few combinations that are neither proved nor excluded, what
    they change. `left_out` says what is no part of the space for these two cells.
    """

    relations: tuple[Relation, ...]
    account: Account = Account()
    undecided: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def combinations(self) -> int:
        """How many partial combinations were looked at."""
        return self.account.nodes

    @property
    def complete(self) -> bool:
        """Whether every combination of the space is proved or excluded."""
        return self.account.undecided == 0


def relate(first: Cell, second: Cell, all_ways: bool = False) -> Related:
    """Return how the first cell becomes the second, within the space of the module's docstring.

    Without `all_ways`, relations that need more than the cheapest by more than one are left out.
    """
    first = named_like(first, second)
    if first.inputs != second.inputs:
        return Related((), left_out=("everything: the cells read different inputs",))
    left, right = Side("first", first, {}), Side("second", second, {})
    found: list[Relation] = []
    account = Account()
    undecided: list[str] = []
    left_out: list[str] = []
    for fixed in _fixed_gates(second):
        if _keeps_its_states(second, fixed):
            left_out.append(f"{second.name}.{next(iter(fixed))} = 1: the states are kept")
            continue
        search = _Search(left, right, fixed)
        found += search.relations()
        account += search.account()
        undecided += search.undecided
    found = sorted(dict.fromkeys(found), key=lambda each: (each.cost, each.changes))
    kept = [each for each in found if all_ways or each.cost <= found[0].cost + 1]
    return Related(tuple(kept), account, tuple(undecided[:LISTED]), tuple(left_out))


def _fixed_gates(cell: Cell) -> list[dict[str, float]]:
    return [{}, *({gate: 1.0} for gate in cell.gates)]


def _keeps_its_states(cell: Cell, fixed: Mapping[str, float]) -> bool:
    """Tell whether a cell with a gate fixed keeps its states: every cell that does becomes it."""
    equations = tuple(
        replace(each, expr=Number(fixed[each.target])) if each.target in fixed else each
        for each in cell.equations
    )
    terms = Terms()
    values = cell_values(terms, replace(cell, equations=equations))
    form = NormalForm()
    pairs = [(values[f"{s.name}'"], terms.variable(s.name)) for s in cell.states]
    return all(not form.difference(after, before) for after, before in pairs)


def _soonest(cell: Cell) -> tuple[Equation, ...]:
    """Return the equations so that every next state comes as soon as it can be computed.

    Only there can a choice be ruled out; a gate that is read later is chosen later.
    """
    by_target = {equation.target: equation for equation in cell.equations}
    needs: dict[str, set[str]] = {}
    for equation in cell.equations:
        read = [name for name in names(equation.expr) if name in by_target]
        needs[equation.target] = {equation.target}.union(*(needs[name] for name in read))
    found: dict[str, Equation] = {}
    states = [target for target in by_target if target.endswith("'")]
    while states:
        nearest = min(states, key=lambda target: len(needs[target] - found.keys()))
        states.remove(nearest)
        found |= {each: by_target[each] for each in by_target if each in needs[nearest]}
    return tuple({**found, **by_target}.values())


@dataclass(frozen=True)
class _Chosen:
    """One option per equation that has any, and the state map."""

    options: Mapping[str, Option]
    states: Mapping[str, str]


class _Search:
    """Depth-first over the options of the first cell's equations, screened with numbers."""

    def __init__(self, left: Side, right: Side, fixed: Mapping[str, float]) -> None:
        self.left, self.right, self.fixed = left, right, fixed
        self.models = [ScalarModel(right.cell, fixed, seed) for seed in range(1, MODELS + 1)]
        gates = tuple(gate for gate in right.cell.gates if gate not in fixed)
        self.options = options(left.cell, right.cell, gates)
        self.undecided: list[str] = []
        self.all = self.proved = self.excluded = self.meaningless = self.nodes = 0
        # How many ways there are to choose for an equation and all after it.
        self.ways = [1]
        self.equations = _soonest(left.cell)
        for equation in reversed(self.equations):
            self.ways.insert(0, self.ways[0] * len(self.options[equation.target]))

    def account(self) -> Account:
        """Return how many combinations were decided in which way."""
        return Account(self.all, self.proved, self.excluded, self.meaningless, self.nodes)

    def relations(self) -> list[Relation]:
        """Return what is proved; account for the rest."""
        found = []
        for states in self._state_maps():
            self.all += self.ways[0]
            for picked in self._agreeing(states):
                if not all(self._agrees(each, states, picked) for each in self.models[1:]):
                    self.excluded += 1
                    continue
                relation = self._proved(_Chosen(picked, states))
                if relation is not None:
                    self.proved += 1
                    found.append(relation)
        return found

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

    def _free_values(self, before: Mapping[str, Enclosure]) -> dict[str, Values]:
        """Return the values of the equations that read no other equation, once for all."""
        cell = self.left.cell
        targets = {equation.target for equation in cell.equations}
        found: dict[str, Values] = {}
        for equation in cell.equations:
            if not targets & set(names(equation.expr)):
                found[equation.target] = self._values(equation, before, {})
        return found

    def _values(
        self,
        equation: Equation,
        before: Mapping[str, Enclosure],
        values: Mapping[str, Enclosure],
    ) -> Values:
        model, cell = self.models[0], self.left.cell
        return [
            (option, model.option(option, equation, cell, before, values))
            for option in self.options[equation.target]
        ]

    def _deeper(
        self,
        index: int,
        values: dict[str, Enclosure],
        chosen: dict[str, Option],
        before: Mapping[str, Enclosure],
        after: Mapping[str, Enclosure],
        free: Mapping[str, Values],
    ) -> Iterator[dict[str, Option]]:
        if index == len(self.equations):
            yield dict(chosen)
            return
        equation = self.equations[index]
        target = equation.target
        wanted = after[target[:-1]] if target.endswith("'") else None
        known = free.get(target)
        for option, value in known if known is not None else self._values(equation, before, values):
            self.nodes += 1
            if value is None:
                continue  # Without a value there it stays undecided.
            if wanted is not None and apart(value, wanted):
                self.excluded += self.ways[index + 1]
                continue
            values[target], chosen[target] = value, option
            yield from self._deeper(index + 1, values, chosen, before, after, free)

    def _agrees(
        self, model: ScalarModel, states: Mapping[str, str], chosen: Mapping[str, Option]
    ) -> bool:
        """Tell whether a combination cannot be told from a relation at a model's numbers."""
        before = {name: model.mapped(text, -1) for name, text in states.items()}
        values: dict[str, Enclosure] = {}
        for equation in self.left.cell.equations:
            value = model.option(chosen[equation.target], equation, self.left.cell, before, values)
            if value is None:
                return True
            values[equation.target] = value
        return not any(
            apart(values[f"{name}'"], model.mapped(text, 0)) for name, text in states.items()
        )

    def _proved(self, chosen: _Chosen) -> Relation | None:
        claim = self._claim(chosen)
        try:
            found = proof(claim)
        except (MeaningError, ZeroDivisionError):
            self.meaningless += 1
            return None
        except TooLargeError:
            found = None
        if found is None and random_steps(claim, RUNS).disagreed:
            self.excluded += 1
            return None
        changes = [f"{self.right.cell.name}.{gate} = 1" for gate in self.fixed]
        changes += [o.text for o in chosen.options.values() if o.text]
        if found is None:
            self.undecided.append(", ".join(changes))
            return None
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
