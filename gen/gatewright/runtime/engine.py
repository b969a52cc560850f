"""How the routines of a generated file are run: what becomes of matrices, and who calls.

Every target gives its generated files an engine. The plain one hands matrices through and calls a
routine once, in the calling thread, with the whole sequence as its only chunk.

Why an object and not a branch on the target's name: packing and threads belong to the CPU's own
folder, and the code that runs a sequence is the same for all targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Work:
    """What an engine may base its plan on: sizes, and the matrix products of one direction.

    Numbers are counted per row (one batch element at one time step): `units` of the widest state,
    `stepped` and `at_once` the numbers of the matrices that a step and a chunk multiply with,
    `width` the numbers that one row leaves in the arrays of a chunk. `barriers` are the products of
    a step that must follow one another.
    """

    T: int
    B: int
    units: int
    stepped: int
    at_once: int
    barriers: int
    width: int
    itemsize: int


@dataclass(frozen=True)
class Plan:
    """How a direction is run: on how many threads, split by units or rows, in chunks of steps."""

    threads: int
    by_units: bool
    chunk: int
    why: str


class Engine(Protocol):
    """How the routines of one target are run."""

    def matrices(self, arrays: Mapping[str, Any], transposed: bool) -> Mapping[str, Any]:
        """Return matrices as the routines of one direction want them."""

    def plan(self, work: Work) -> Plan:
        """Return how a direction is to be run."""

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], plan: Plan) -> None:
        """Call a routine, as planned."""


class PlainEngine:
    """Hands matrices through and calls routines in the calling thread."""

    def matrices(self, arrays: Mapping[str, Any], transposed: bool) -> Mapping[str, Any]:
        """Return the matrices themselves."""
        return arrays

    def plan(self, work: Work) -> Plan:
        """Return the plan that splits nothing."""
        return Plan(1, False, max(work.T, 1), "the whole sequence at once")

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], plan: Plan) -> None:
        """Call the routine."""
        routine(*arguments)
