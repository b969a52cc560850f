"""Cell, Cell -> the combinations that numbers do not exclude: the search behind `relate`.

Options are chosen equation by equation. Each next state is held, as soon as it can be computed,
against what the map of states wants of it; and an equation that only the next state in turn reads,
against what that state wants of the equation. Both are exact: enclosures with no number in common
are two different numbers, so what is excluded is excluded for good.

Why the second as well: it takes one division for the last choice before a state, not one evaluation
for every option of it.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from gatewright.claims.enclosures import Enclosure, apart
from gatewright.claims.options import Option, options
from gatewright.claims.scalar_model import Inversion, ScalarModel, inversion
from gatewright.language.cell import Cell, Equation
from gatewright.language.expression import Name, names, walk

MODELS = 3  # sets of numbers for one unit
FEW = 4  # values that are looked at one by one
Value = tuple[int, Enclosure]


@dataclass(frozen=True)
class Account:
    """How many combinations there are, and how many were decided in which way.

    The rest of `all` is undecided.
    """

    all: int = 0
    proved: int = 0
    excluded: int = 0
    meaningless: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def undecided(self) -> int:
        """How many combinations are neither proved nor excluded."""
        return self.all - self.proved - self.excluded - self.meaningless


NOTHING = Account()


@dataclass(frozen=True)
class Chosen:
    """One option per equation of the first cell, gates of the second that are fixed, and the map.

    `options` and `fixed` go by equation, `states` by state of the first cell.
    """

    options: Mapping[str, Option]
    states: Mapping[str, str]
    fixed: Mapping[str, float]


class Screen:
    """All combinations for two cells, with gates of the second fixed, screened with numbers."""

    def __init__(self, left: Cell, right: Cell, fixed: Mapping[str, float]) -> None:
        self.left, self.right, self.fixed = left, right, fixed
        self.models = [ScalarModel(right, fixed, seed) for seed in range(1, MODELS + 1)]
        gates = tuple(gate for gate in right.gates if gate not in fixed)
        self.options = options(left, right, gates)
        self.all = self.excluded = 0
        self.equations = _soonest(left)
        targets = [equation.target for equation in self.equations]
        # What the value of an equation depends on: those it reads, and what they depend on.
        self.reads: dict[str, list[str]] = {}
        for equation in self.equations:
            read = {each for each in names(equation.expr) if each in self.reads}
            read |= {each for name in read for each in self.reads[name]}
            self.reads[equation.target] = [each for each in targets if each in read]
        # What is chosen before an equation and read by it or a later one.
        self.open = [
            [t for t in targets[:k] if any(t in names(e.expr) for e in self.equations[k:])]
            for k in range(len(targets))
        ]
        self.inversions = dict(self._inversions())
        # How many ways there are to choose for an equation and all after it.
        self.ways = [1]
        for target in reversed(targets):
            self.ways.insert(0, self.ways[0] * len(self.options[target]))

    def _inversions(self) -> Iterator[tuple[str, list[Inversion]]]:
        """Yield equations that the next one reads once, a state, with how it is solved for each.

        There is one solution for every option of the state.
        """
        for equation, following in itertools.pairwise(self.equations):
            target, state = equation.target, following.target
            every = self.options[state]
            times = [each for each in walk(following.expr) if each == Name(target)]
            if not state.endswith("'") or len(times) != 1 or any(o.parameters for o in every):
                continue
            found = [inversion(following.expr, target, each.linear) for each in every]
            if all(found):
                yield target, [each for each in found if each is not None]

    def left_over(self) -> Iterator[Chosen]:
        """Yield the combinations that no numbers exclude, and count the others."""
        for states in self._state_maps():
            self.all += self.ways[0]
            descent = _Descent(self, states)
            for picked in descent.deeper(0):
                if all(self._agrees(model, states, picked) for model in self.models[1:]):
                    yield Chosen(picked, states, self.fixed)
                else:
                    self.excluded += 1

    def _state_maps(self) -> Iterator[dict[str, str]]:
        plain = [f"{state.name}[t]" for state in self.right.states]
        # Of the step before, a gate is known only where a cell keeps it as a state.
        gates = [f"{gate}[t+1]" for gate in self.right.gates if gate not in self.fixed]
        scaled = [f"{gate} * {state}" for gate in gates for state in plain]
        names = [state.name for state in self.left.states]
        emitted = self.left.output.removesuffix("'")
        for picked in itertools.product((*plain, "0", *scaled), repeat=len(names)):
            found = dict(zip(names, picked, strict=True))
            # A state of the second cell that stands nowhere is not related to anything.
            related = all(any(state == each for each in picked) for state in plain[:1])
            if related and found.get(emitted) != "0":
                yield found

    def _agrees(
        self, model: ScalarModel, states: Mapping[str, str], chosen: Mapping[str, Option]
    ) -> bool:
        """Tell whether a combination cannot be told from a relation at a model's numbers."""
        known = model.known(self.left, {n: model.mapped(text, -1) for n, text in states.items()})
        for equation in self.equations:
            value = model.option(chosen[equation.target], equation, known)
            if value is None:
                return True
            known[equation.target] = value
        return not any(
            apart(known[f"{name}'"], model.mapped(text, 0)) for name, text in states.items()
        )


class _Descent:
    """Depth-first over the options of the equations, for one map of states."""

    def __init__(self, screen: Screen, states: Mapping[str, str]) -> None:
        self.screen, self.model = screen, screen.models[0]
        before = {name: self.model.mapped(text, -1) for name, text in states.items()}
        self.after = {f"{n}'": self.model.mapped(text, 0) for n, text in states.items()}
        self.known = self.model.known(screen.left, before)
        self.chosen: dict[str, int] = {}
        self._kept: dict[tuple[str, tuple[int, ...]], _Values] = {}
        # From which equation on, and with which values, everything is excluded.
        self._dead: set[tuple[int, tuple[Enclosure, ...]]] = set()

    def deeper(self, index: int) -> Iterator[dict[str, Option]]:
        """Yield every way to choose for the equations from one on that numbers do not exclude."""
        screen = self.screen
        if index == len(screen.equations):
            yield {target: screen.options[target][k] for target, k in self.chosen.items()}
            return
        place = index, tuple([self.known[each] for each in screen.open[index]])
        if place in self._dead:
            screen.excluded += screen.ways[index]
            return
        excluded = screen.excluded
        target = screen.equations[index].target
        values = self._values(screen.equations[index])
        left = values.among(self._wanted(index))
        # An option without a value stays undecided.
        screen.excluded += screen.ways[index + 1] * (len(values.every) - len(left))
        for k, value in left:
            self.known[target], self.chosen[target] = value, k
            yield from self.deeper(index + 1)
        if screen.excluded - excluded == screen.ways[index]:
            self._dead.add(place)

    def _values(self, equation: Equation) -> _Values:
        """Return what an equation computes under its options, once for what was chosen before."""
        target = equation.target
        key = (target, tuple([self.chosen[each] for each in self.screen.reads[target]]))
        found = self._kept.get(key)
        if found is None:
            option = self.model.option
            every = enumerate(self.screen.options[target])
            found = _Values([(k, option(each, equation, self.known)) for k, each in every])
            if target not in self.after:
                self._kept[key] = found
        return found

    def _wanted(self, index: int) -> list[Enclosure] | None:
        """Return enclosures of which one holds the value of an equation in every relation.

        None where nothing is known of it.
        """
        target = self.screen.equations[index].target
        if target in self.after:
            return [self.after[target]]
        if target not in self.screen.inversions:
            return None
        wanted = self.after[self.screen.equations[index + 1].target]
        found = [solved(wanted, self.known) for solved in self.screen.inversions[target]]
        needs = [each for each in found if each is not None]
        return needs if len(needs) == len(found) else None


class _Values:
    """What an equation computes under its options, in order of size."""

    def __init__(self, values: Sequence[tuple[int, Enclosure | None]]) -> None:
        self.every: list[Value] = [(k, value) for k, value in values if value is not None]
        self.every.sort(key=lambda each: each[1][0])
        self.middles = [value[0] for _, value in self.every]
        self.error = max((value[1] for _, value in self.every), default=0.0)
        self.finite = all(map(math.isfinite, (*self.middles, self.error)))

    def among(self, wanted: Sequence[Enclosure] | None) -> list[Value]:
        """Return the values that may be one of those wanted, or all if nothing is known of them."""
        if wanted is None:
            return self.every
        if len(self.every) < FEW or not self.finite:
            return [v for v in self.every if not all(apart(v[1], each) for each in wanted)]
        found: dict[int, Value] = {}
        for each in wanted:
            if not math.isfinite(each[0] + each[1]):
                return self.every
            # Twice the room that there is between enclosures that meet; what is left is looked at.
            room = 2 * (each[1] + self.error)
            first = bisect_left(self.middles, each[0] - room)
            last = bisect_right(self.middles, each[0] + room)
            for k, value in self.every[first:last]:
                if not apart(value, each):
                    found[k] = (k, value)
        return list(found.values())


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
