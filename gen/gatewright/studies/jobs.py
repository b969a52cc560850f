"""Names on the command line -> Jobs: which cell, which task, how many threads and which sizes.

`GRIDS` holds the sizes that are measured; `forward_operations` is the floor that every time is held
against: the multiplications and additions of the matrix products, and nothing else.

Why a Job is plain data: it crosses into the process that measures it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewright.language.cell import Cell
    from gatewright.loaded import LoadedCell

TASKS = ("inference", "training")


@dataclass(frozen=True)
class Subject:
    """A cell by its name or path, with the settings it is loaded with."""

    spec: str
    settings: tuple[tuple[str, str | float], ...] = ()

    def load(self) -> LoadedCell:
        """Return the cell; the same object every time. Raises SpecError."""
        return _load(self)

    def digest(self) -> str:
        """Return eight digits that change with the file that is generated for the cell."""
        return _digest(self)


@cache
def _load(subject: Subject) -> LoadedCell:
    from gatewright.loaded import load

    return load(subject.spec, **dict(subject.settings))


@cache
def _digest(subject: Subject) -> str:
    return hashlib.sha256(subject.load().source("cpu").encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Size:
    """Batch, hidden (and input) and time."""

    B: int
    H: int
    T: int

    def of(self, cell: Cell) -> dict[str, int]:
        """Return the size of every dimension of a cell: all are H."""
        return dict.fromkeys(cell.dims, self.H)


@dataclass(frozen=True)
class Job:
    """One point to measure."""

    subject: Subject
    task: str
    threads: int
    size: Size

    @property
    def key(self) -> tuple[str, str, int, int, int, int]:
        """Which point this is, as a row of a report says it."""
        cell, size = self.subject.load().cell, self.size
        return (cell.identifier, self.task, self.threads, size.B, size.H, size.T)

    def operations(self, cell: Cell) -> int:
        """Return the floating-point operations of one sequence; the reverse is two forwards."""
        return forward_operations(cell, self.size) * (3 if self.task == "training" else 1)


GRIDS: dict[str, tuple[Size, ...]] = {
    "small": tuple(Size(B, H, 32) for B in (1, 16) for H in (32, 128)),
    "full": tuple(
        Size(B, H, 50 if H == 1024 else 128)
        for B in (1, 16, 64, 128)
        for H in (128, 256, 512, 1024)
    ),
}


def forward_operations(cell: Cell, size: Size) -> int:
    """Return 2 T B times the numbers in all matrices of a cell."""
    sizes = size.of(cell)
    shapes = [[sizes[dim] for dim in each.dims] for each in cell.parameters]
    return 2 * size.T * size.B * sum(prod(shape) for shape in shapes if len(shape) == 2)


def jobs(
    subjects: Sequence[Subject], tasks: Sequence[str], threads: Sequence[int], sizes: Sequence[Size]
) -> Iterator[Job]:
    """Yield every combination, those of one number of threads together."""
    for count, subject, task, size in itertools.product(threads, subjects, tasks, sizes):
        yield Job(subject, task, count, size)
