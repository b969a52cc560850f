"""A claim: a statement of how two cells relate, with every name, shape and step settled.

`ties` fix what an equation of one cell computes, `parameters` give parameters of one cell by those
of the other, `states` is the state map: what the states of one cell are in terms of the other's,
after step t. All are expressions over references such as `gru.r[t+1]`.

Why the state map has one direction: a proof steps both cells from states related by it, so one
side's states are free and the other's follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gatewright.claims.theory import Quality
from gatewright.language.cell import Cell, Dims
from gatewright.language.expression import Expr

Owned = tuple[str, str]  # the alias of a cell, and a name in it
Expectation = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True)
class Side:
    """A cell of a claim under the name that the claim gives it.

    `functions` says, by (equation, function), what stands in place of a function.
    """

    alias: str
    cell: Cell
    functions: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Symbol:
    """What a claim holds for all of: a function, a scalar, a vector or a matrix."""

    name: str
    kind: str
    dims: Dims
    quality: Quality


@dataclass(frozen=True)
class Observed:
    """Two expressions that a claim says are equal at every step."""

    left: Expr
    right: Expr
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Claim:
    """A statement about two cells; see the module's docstring.

    `candidates` are cells that may take the left one's place, by the assumptions they stand for.
    """

    name: str
    family: str
    statement: str
    left: Side
    right: Side
    symbols: Mapping[str, Symbol]
    sequences: frozenset[Owned]
    ties: Mapping[Owned, Expr]
    parameters: Mapping[Owned, Expr]
    qualities: Mapping[Owned, Quality]
    states: Mapping[Owned, Expr]
    observe: tuple[Observed, ...]
    initial: Literal["zero", "related"]
    expect: Expectation
    candidates: tuple[tuple[frozenset[str], Cell], ...] = ()
    links: tuple[str, ...] = ()
    told: str = ""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both cells, left first."""
        return self.left, self.right

    def side(self, alias: str) -> Side:
        """Return the side of an alias."""
        return self.left if alias == self.left.alias else self.right

    @property
    def mapped(self) -> str:
        """The alias of the side whose states the state map gives; empty without a map."""
        return next((alias for alias, _ in self.states), "")
