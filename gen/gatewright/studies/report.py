"""Rows -> Report: what a run of the benchmark found.

A ratio is the peer's time divided by ours: above 1, ours is faster. Peers that did not agree have
no ratio. Times are microseconds per time step of the whole batch.

Why rows are kept in one order, by cell, task, threads and size: a file of results then changes only
where a figure did.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str, int, int, int, int]
Group = tuple[str, str, int]
PEER_ORDER = ("torch.nn", "torch loop", "jax scan", "onnxruntime")
ALL_CELLS = "all"
# What other processes may use of the processors while a point is measured.
QUIET_PERCENT = 5.0


@dataclass(frozen=True)
class Comparison:
    """A peer at one point, its `ratio` its time divided by ours.

    `error` is the worst disagreement as a part of the array's scale, None if it is not finite;
    `where` names that array if the peer does not agree, and there is then no time and no ratio.
    """

    peer: str
    agrees: bool
    error: float | None
    where: str
    us_per_step: float | None
    ratio: float | None
    repetitions: int


@dataclass(frozen=True)
class Row:
    """One point: our time, and how the peers compare.

    `kernels` is a digest of the generated file that was measured. `percent_of_peak` counts the
    operations of the matrix products and is relative to the report's peak of so many threads.
    `others_percent` is what other processes used of all processors meanwhile, or how much slower
    the machine was than at its peak if that was too much, None if unknown.
    """

    cell: str
    kernels: str
    task: str
    threads: int
    B: int
    H: int
    T: int
    us_per_step: float
    percent_of_peak: float
    repetitions: int
    others_percent: float | None
    peers: tuple[Comparison, ...]

    @property
    def key(self) -> Key:
        """Which point this is; rows are ordered by it."""
        return (self.cell, self.task, self.threads, self.B, self.H, self.T)

    @property
    def group(self) -> Group:
        """The cell, the task and the number of threads: what one geometric mean is over."""
        return (self.cell, self.task, self.threads)

    @property
    def disturbed(self) -> bool:
        """Whether others took too much of the machine for the times to be trusted."""
        return (self.others_percent or 0.0) > QUIET_PERCENT

    def peer(self, name: str) -> Comparison | None:
        """Return the comparison with a peer, if there is one."""
        return next((each for each in self.peers if each.peer == name), None)


@dataclass(frozen=True)
class Peak:
    """The speed of a large matrix product, in 10^9 operations per second, and what computed it."""

    threads: int
    gflops: float
    source: str


@dataclass(frozen=True)
class Mean:
    """The geometric mean of a peer's ratios over some points; `cell` may be `all`."""

    cell: str
    task: str
    threads: int
    peer: str
    ratio: float
    points: int


@dataclass(frozen=True)
class Report:
    """A run: where it ran, how, and what was found; `notes` say what was left out."""

    machine: Mapping[str, Any]
    protocol: Mapping[str, Any]
    notes: tuple[str, ...]
    peaks: tuple[Peak, ...]
    rows: tuple[Row, ...]

    @property
    def peers(self) -> tuple[str, ...]:
        """Every peer that appears; those of this project always in the same order."""
        found = dict.fromkeys(each.peer for row in self.rows for each in row.peers)
        return (*(n for n in PEER_ORDER if n in found), *(n for n in found if n not in PEER_ORDER))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The notes, and how many points other processes disturbed."""
        disturbed = sum(row.disturbed for row in self.rows)
        if not disturbed:
            return self.notes
        return (
            *self.notes,
            f"{disturbed} of {len(self.rows)} points (marked ~) were measured while other "
            f"processes used more than {QUIET_PERCENT:g}% of the machine, or its processors shared "
            "cores: their ratios are in no mean",
        )

    def groups(self) -> dict[Group, tuple[Row, ...]]:
        """Return the rows of every cell, task and number of threads."""
        found: dict[Group, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.group, []).append(row)
        return {group: tuple(rows) for group, rows in found.items()}

    @property
    def disagreements(self) -> tuple[str, ...]:
        """A sentence for every peer that computed something else."""
        found = []
        for row in self.rows:
            for each in row.peers:
                if not each.agrees:
                    error = "not finite" if each.error is None else f"off by {each.error:.1e}"
                    found.append(
                        f"{each.peer} disagrees on {row.cell}, {row.task}, "
                        f"B={row.B} H={row.H} T={row.T}: {each.where} is {error}"
                    )
        return tuple(found)

    def means(self) -> tuple[Mean, ...]:
        """Return geometric means by cell, task, threads and peer, then those of all cells.

        Points that other processes disturbed are in none.
        """
        cells = tuple(dict.fromkeys(row.cell for row in self.rows))
        groups: list[tuple[str, tuple[str, ...]]] = [(cell, (cell,)) for cell in cells]
        groups += [(ALL_CELLS, cells)] if len(cells) > 1 else []
        return tuple(mean for name, among in groups for mean in self._means(name, among))

    def _means(self, name: str, cells: Sequence[str]) -> Iterator[Mean]:
        rows = [row for row in self.rows if row.cell in cells and not row.disturbed]
        for task, threads in dict.fromkeys((row.task, row.threads) for row in rows):
            chosen = [row for row in rows if (row.task, row.threads) == (task, threads)]
            for peer in self.peers:
                each = [found.ratio for row in chosen if (found := row.peer(peer))]
                ratios = [ratio for ratio in each if ratio is not None]
                if ratios:
                    ratio = rounded(geometric_mean(ratios))
                    yield Mean(name, task, threads, peer, ratio, len(ratios))


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def rounded(value: float, digits: int = 4) -> float:
    """Return a number with so many significant digits."""
    return float(f"{value:.{digits}g}")
