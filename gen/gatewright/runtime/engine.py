"""How the routines of a generated file are run: what becomes of matrices, and who calls.

Every target gives its generated files an engine. The plain one hands arrays through and calls a
routine once, in the calling thread.

Why an object and not a branch on the target's name: packing and threads belong to the CPU's own
folder, and the code that runs a sequence is the same for all targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Work:
    """What an engine may base its plan on: sizes, and the matrix products of one step.

    `multiplied` counts the numbers of all matrices that a step multiplies with, `products` the
    products of a step that must follow one another.
    """

    T: int
    B: int
    units: int
    multiplied: int
    products: int
    itemsize: int


class Engine(Protocol):
    """How the routines of one target are run."""

    def matrix(self, array: Any, transposed: bool) -> Any:
        """Return a matrix as the routines of one direction want it."""

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], work: Work) -> None:
        """Call a routine that runs all time steps at once."""

    def run_steps(self, routine: Callable[..., Any], arguments: Sequence[Any], work: Work) -> None:
        """Call the routine that runs one time step after the other."""


class PlainEngine:
    """Hands matrices through and calls routines in the calling thread."""

    def matrix(self, array: Any, transposed: bool) -> Any:
        """Return the matrix itself."""
        return array

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], work: Work) -> None:
        """Call the routine."""
        routine(*arguments)

    def run_steps(self, routine: Callable[..., Any], arguments: Sequence[Any], work: Work) -> None:
        """Call the routine."""
        routine(*arguments)
