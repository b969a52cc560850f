"""Rows -> Report: what a run of the benchmark found, as a table, as JSON, and back from JSON.

A ratio is the peer's time divided by ours: above 1, ours is faster. Peers that did not agree have
no ratio. Times are microseconds per time step of the whole batch.

Why it reads its own JSON: a committed result is drawn and tabulated again without a new run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1
ALL_CELLS = "all"
# What other processes may use of the processors while a point is measured.
QUIET_PERCENT = 5.0


@dataclass(frozen=True)
class Comparison:
    """A peer at one point. `error` is the worst disagreement, None if it is not finite."""

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

    `others_percent` is what other processes used of all processors meanwhile, None if unknown.
    """

    cell: str
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
    def disturbed(self) -> bool:
        """Whether other processes were too busy for the times to be trusted."""
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
    """A run: where it ran, how, and what was found."""

    machine: Mapping[str, Any]
    protocol: Mapping[str, Any]
    notes: tuple[str, ...]
    peaks: tuple[Peak, ...]
    rows: tuple[Row, ...]

    @property
    def peers(self) -> tuple[str, ...]:
        """Every peer that appears, in order."""
        return tuple(dict.fromkeys(each.peer for row in self.rows for each in row.peers))

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

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON's types, without the version of its schema."""
        return {
            "machine": dict(self.machine),
            "protocol": dict(self.protocol),
            "notes": list(self.notes),
            "peaks": [asdict(each) for each in self.peaks],
            "geometric_means": [asdict(each) for each in self.means()],
            "rows": [asdict(each) for each in self.rows],
        }

    def file_text(self) -> str:
        """Return the text of a result file: JSON with one point per line."""
        parts = []
        for key, value in {"schema_version": SCHEMA_VERSION, **self.as_dict()}.items():
            text = json.dumps(value)
            if isinstance(value, list) and value:
                text = "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n]"
            parts.append(f"{json.dumps(key)}: {text}")
        return "{\n" + ",\n".join(parts) + "\n}\n"


def read_report(text: str) -> Report:
    """Return the report of a result file. Raises ValueError if it is none."""
    try:
        content = json.loads(text)
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {content['schema_version']}, not {SCHEMA_VERSION}")
        rows = [
            Row(**{**row, "peers": tuple(Comparison(**each) for each in row["peers"])})
            for row in content["rows"]
        ]
        peaks = tuple(Peak(**each) for each in content["peaks"])
        notes = tuple(content["notes"])
        return Report(content["machine"], content["protocol"], notes, peaks, tuple(rows))
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is not a result of the benchmark: {error}") from None


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def rounded(value: float, digits: int = 4) -> float:
    """Return a number with so many significant digits."""
    return float(f"{value:.{digits}g}")
