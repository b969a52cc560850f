"""Claim -> Terms: what every value of both cells is at every step, under the claim's ties.

`induct`: one cell begins step t with free states, the other with the states that the map gives.
`unroll`: both cells run from their initial states, step 1 first.

Why values are looked up and not computed in order: a tie may read the other cell's gate of the step
after, so the two cells of a claim advance together, each as far as the other needs.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Literal

from gatewright.claims.claim import Claim, Side
from gatewright.claims.formulas import LinearMap, MeaningError, Scope, map_of, vector_of
from gatewright.claims.shapes import parameter_dims, value_dims
from gatewright.claims.terms import Term, Terms
from gatewright.claims.theory import Quality
from gatewright.language.cell import Dims, Equation
from gatewright.language.expression import Expr
from gatewright.language.references import Reference, is_reference, read_reference

Mode = Literal["induct", "unroll"]
BEFORE = -1  # the step whose states step t begins with, where proofs call step t number 0
LONGEST_CHAIN = 40  # steps through which one name may lead to itself at another step


class World:
    """Both cells of a claim, and the terms of their values as far as they were asked for."""

    def __init__(self, claim: Claim, mode: Mode, terms: Terms | None = None) -> None:
        self.claim = claim
        self.mode = mode
        self.terms = terms or Terms()
        self.qualities: dict[str, Quality] = {}
        self.dims: dict[str, Dims] = {}
        self.lookahead = 0
        self._values: dict[tuple[str, str, int], Term] = {}
        self._open: set[tuple[str, str, int]] = set()
        self._chains: Counter[tuple[str, str]] = Counter()
        self._sides = {side.alias: side for side in claim.sides}
        self._equations: dict[str, dict[str, Equation]] = {
            side.alias: {each.target: each for each in side.cell.equations} for side in claim.sides
        }

    def value(self, alias: str, name: str, step: int) -> Term:
        """Return an equation, a state after a step, or an input of a cell at a step."""
        key = (alias, name, step)
        if key in self._values:
            return self._values[key]
        if key in self._open:
            raise MeaningError(f"`{alias}.{name}` at one step is defined by itself", (alias, name))
        if self._chains[alias, name] == LONGEST_CHAIN:
            message = f"`{alias}.{name}` is defined by itself at other steps, without end"
            raise MeaningError(message, (alias, name))
        self._open.add(key)
        self._chains[alias, name] += 1
        try:
            found = self._value(self._sides[alias], name, step)
        finally:
            self._open.discard(key)
            self._chains[alias, name] -= 1
        self._values[key] = found
        return found

    def _value(self, side: Side, name: str, step: int) -> Term:
        alias = side.alias
        if any(each.name == name for each in side.cell.inputs):
            return self.free(Reference("", name, step), value_dims(side, name) or ())
        is_state = any(each.name == name for each in side.cell.states)
        if is_state and step <= (BEFORE if self.mode == "induct" else 0):
            return self._state(side, name, step)
        if (alias, name) in self.claim.sequences:
            reference = Reference(alias, name, step)
            return self.free(reference, value_dims(side, name) or (), Quality.UNIT)
        if (alias, name) in self.claim.ties:
            return self.formula(self.claim.ties[alias, name], step)
        if step < (0 if self.mode == "induct" else 1):
            raise MeaningError(
                f"`{alias}.{name}` is read at a step before the first that is computed",
                (alias, name),
            )
        equation = self._equations[alias][f"{name}'" if is_state else name]
        return self._in_cell(equation.expr, side, equation.target.removesuffix("'"), step)

    def _state(self, side: Side, name: str, step: int) -> Term:
        alias = side.alias
        related = self.mode == "induct" or self.claim.initial == "related"
        if related and (alias, name) in self.claim.states:
            return self.formula(self.claim.states[alias, name], step)
        if step < (BEFORE if self.mode == "induct" else 0):
            raise MeaningError(
                f"`{alias}.{name}` is read before the state that a proof begins with",
                (alias, name),
            )
        if not related:
            return self.terms.zero
        quality = self.claim.qualities.get((alias, name), Quality.FREE)
        return self.free(Reference(alias, name, step), value_dims(side, name) or (), quality)

    def set_state(self, alias: str, name: str, step: int, term: Term) -> None:
        """Give a state a value instead of a free variable."""
        self._values[alias, name, step] = term

    def free(self, reference: Reference, dims: Dims, quality: Quality = Quality.FREE) -> Term:
        """Return the variable of a value that nothing defines."""
        name = str(reference)
        if self.mode == "unroll" and reference.shift is not None:
            owner = f"{reference.cell}." if reference.cell else ""
            name = f"{owner}{reference.name}[{reference.shift}]"
        return self._variable(name, dims, quality)

    def _variable(self, name: str, dims: Dims, quality: Quality) -> Term:
        self.dims[name] = dims
        if quality is not Quality.FREE:
            self.qualities[name] = quality
        elif not dims:
            self.qualities[name] = Quality.SCALAR
        return self.terms.variable(name)

    def formula(self, expr: Expr, step: int) -> Term:
        """Return a vector formula of the claim at a step."""
        return vector_of(self.terms, expr, _ClaimScope(self, step))

    def _in_cell(self, expr: Expr, side: Side, equation: str, step: int) -> Term:
        return vector_of(self.terms, expr, _CellScope(self, side, equation, step))

    def parameter(self, side: Side, name: str) -> Term:
        """Return a parameter or constant that is a vector or a scalar."""
        given = self.claim.parameters.get((side.alias, name))
        if given is not None:
            return self.formula(given, 0)
        for constant in side.cell.constants:
            if constant.name == name:
                return self.terms.number(Fraction(repr(constant.value)))
        dims = parameter_dims(side, name) or ()
        quality = self.claim.qualities.get((side.alias, name), Quality.FREE)
        return self._variable(f"{side.alias}.{name}", dims, quality)

    def matrix_parameter(self, side: Side, name: str) -> LinearMap:
        """Return a parameter that is a matrix."""
        given = self.claim.parameters.get((side.alias, name))
        if given is not None:
            return map_of(self.terms, given, _ClaimScope(self, 0))
        quality = self.claim.qualities.get((side.alias, name), Quality.FREE)
        return self.matrix_variable(
            f"{side.alias}.{name}", parameter_dims(side, name) or (), quality
        )

    def matrix_variable(self, name: str, dims: Dims, quality: Quality) -> LinearMap:
        """Return a free matrix."""
        self.dims[name] = dims
        if quality is not Quality.FREE:
            self.qualities[name] = quality
        return lambda v: self.terms.map(name, v)

    def side(self, alias: str) -> Side:
        """Return the side of an alias."""
        return self._sides[alias]


class _CellScope(Scope):
    """Inside an equation of a cell, in the computation of one step."""

    def __init__(self, world: World, side: Side, equation: str, step: int) -> None:
        self.world, self.side, self.equation, self.step = world, side, equation, step

    def vector(self, name: str) -> Term:
        cell, alias = self.side.cell, self.side.alias
        if name.endswith("'"):
            return self.world.value(alias, name[:-1], self.step)
        if any(state.name == name for state in cell.states):
            return self.world.value(alias, name, self.step - 1)
        if parameter_dims(self.side, name) is not None:
            return self.world.parameter(self.side, name)
        return self.world.value(alias, name, self.step)

    def matrix(self, name: str) -> LinearMap:
        return self.world.matrix_parameter(self.side, name)

    def is_matrix_name(self, name: str) -> bool:
        return len(parameter_dims(self.side, name) or ()) == 2

    def function(self, name: str) -> str:
        return self.side.functions.get((self.equation, name), name)


class _ClaimScope(Scope):
    """Inside a formula of the claim, read at one step."""

    def __init__(self, world: World, step: int) -> None:
        self.world, self.step = world, step

    def vector(self, name: str) -> Term:
        world = self.world
        if not is_reference(name):
            symbol = world.claim.symbols[name]
            return world._variable(name, symbol.dims, symbol.quality)
        reference = read_reference(name)
        assert isinstance(reference, Reference)
        if reference.shift is None:
            return world.parameter(world.side(reference.cell), reference.name)
        step = self.step + reference.shift
        alias = reference.cell or world.claim.left.alias
        return world.value(alias, reference.name, step)

    def inverse(self, terms: Terms, name: str) -> LinearMap:
        self.matrix(name)
        return super().inverse(terms, name)

    def matrix(self, name: str) -> LinearMap:
        world = self.world
        if not is_reference(name):
            symbol = world.claim.symbols[name]
            return world.matrix_variable(name, symbol.dims, symbol.quality)
        reference = read_reference(name)
        assert isinstance(reference, Reference)
        return world.matrix_parameter(world.side(reference.cell), reference.name)

    def is_matrix_name(self, name: str) -> bool:
        if not is_reference(name):
            return len(self.world.claim.symbols[name].dims) == 2
        reference = read_reference(name)
        assert isinstance(reference, Reference)
        if not reference.cell:
            return False
        side = self.world.side(reference.cell)
        return len(parameter_dims(side, reference.name) or ()) == 2


__all__ = ["BEFORE", "MeaningError", "Mode", "World"]
