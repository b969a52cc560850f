"""Report -> Verdicts: how far each promise of this project about speed is kept.

A promise is about the full grid: a geometric mean over it and a worst point. It is looked at for
each cell, task and number of threads, and for all of them together. Percentages of the peak are
about large steps only (B of 64 and more, H of 256 and more) and have an arithmetic mean.

    reached   mean and worst point are, and no point is missing
    missed    a point is below the worst that is allowed, or the mean of all points is too low
    open      neither: points are missing, were disturbed, or the peer computed something else

`ceiling` is the mean that kernels at 100 % of the peak would reach: they multiply and do nothing
else. A promise above it cannot be kept by anybody, as the peer is too near the peak itself.

Why not `reached` on a part of the grid: small steps are harder than large ones, or the other way
round, and whoever picks the part picks the answer.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gatewright.studies.jobs import GRIDS, Size
from gatewright.studies.report import ALL_CELLS, Report, Row, geometric_mean, rounded

REACHED, MISSED, OPEN = "reached", "missed", "open"


@dataclass(frozen=True)
class Target:
    """What is promised: `mean` and `worst` ratio to a peer, or percent of the peak if it is empty.

    `cells` are the cells it is about, all of them if empty.
    """

    name: str
    peer: str
    cells: tuple[str, ...]
    mean: float
    worst: float

    def sizes(self) -> tuple[Size, ...]:
        """Return the points of the full grid that it is about."""
        every = GRIDS["full"]
        if self.peer:
            return every
        return tuple(size for size in every if size.B >= 64 and size.H >= 256)

    def concerns(self, cell: str) -> bool:
        """Tell whether the promise is about a cell."""
        return not self.cells or cell in self.cells

    def value(self, row: Row) -> float | None:
        """Return the ratio or the percentage of a point, None if it has none to be trusted."""
        if row.disturbed:
            return None
        if not self.peer:
            return row.percent_of_peak
        found = row.peer(self.peer)
        return found.ratio if found else None


ELMAN = ("elman", "elman_relu")
TARGETS = (
    Target("torch.nn.LSTM", "torch.nn", ("lstm",), 1.5, 1.0),
    Target("torch.nn.GRU and RNN", "torch.nn", ("gru_reset_after", *ELMAN), 3.0, 1.5),
    Target("jax.lax.scan", "jax scan", (), 2.5, 1.2),
    Target("PyTorch eager loop", "torch loop", (), 10.0, 3.0),
    Target("onnxruntime", "onnxruntime", (), 1.3, 1.0),
    Target("percent of the peak", "", (), 80.0, 65.0),
)


@dataclass(frozen=True)
class Verdict:
    """A promise and some points: mean and worst value, where the worst is, and what follows.

    `cell` and `task` may be `all`; `threads` are those that were looked at. `points` of `expected`
    points have a value; without any, `mean`, `ceiling`, `worst` and `where` are empty.
    """

    target: Target
    cell: str
    task: str
    threads: tuple[int, ...]
    mean: float | None
    ceiling: float | None
    worst: float | None
    where: str
    points: int
    expected: int
    verdict: str


def verdicts(report: Report) -> tuple[Verdict, ...]:
    """Return a verdict per promise and group of points, and one for all groups of each promise.

    A promise about a peer that appears nowhere in the report is not looked at.
    """
    return tuple(each for target in TARGETS for each in _of(target, report))


def _of(target: Target, report: Report) -> Iterator[Verdict]:
    groups = {
        group: rows
        for group, rows in report.groups().items()
        if target.concerns(group[0])
        and (not target.peer or any(row.peer(target.peer) for row in rows))
    }
    sizes = set(target.sizes())
    every: list[Row] = []
    for (cell, task, threads), rows in groups.items():
        chosen = [row for row in rows if Size(row.B, row.H, row.T) in sizes]
        every += chosen
        yield _verdict(target, cell, task, (threads,), chosen, len(sizes))
    if len(groups) > 1:
        counts = tuple(sorted({threads for _, _, threads in groups}))
        yield _verdict(target, ALL_CELLS, ALL_CELLS, counts, every, len(sizes) * len(groups))


def _verdict(
    target: Target,
    cell: str,
    task: str,
    threads: tuple[int, ...],
    rows: Sequence[Row],
    expected: int,
) -> Verdict:
    found = [(value, row) for row in rows if (value := target.value(row)) is not None]
    if not found:
        return Verdict(target, cell, task, threads, None, None, None, "", 0, expected, OPEN)
    values = [value for value, _ in found]
    mean = rounded(geometric_mean(values) if target.peer else statistics.fmean(values))
    ceiling = rounded(geometric_mean([v * 100 / row.percent_of_peak for v, row in found]))
    worst, at = min(found, key=lambda each: each[0])
    where = f"B={at.B} H={at.H}"
    if cell == ALL_CELLS:
        where += f", {at.cell}, {at.task}, {at.threads} thread{'' if at.threads == 1 else 's'}"
    whole = len(found) == expected
    if worst < target.worst or (whole and mean < target.mean):
        verdict = MISSED
    else:
        verdict = REACHED if whole else OPEN
    ceiling = ceiling if target.peer else 100.0
    return Verdict(
        target, cell, task, threads, mean, ceiling, worst, where, len(found), expected, verdict
    )
