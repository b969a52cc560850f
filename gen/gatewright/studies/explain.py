"""Jobs -> Explanations: how the threads of every point would share its work, and why, in words.

Nothing is measured and nothing compiled: a plan follows from the sizes alone.

Why the kernels are asked: what a direction is made of is theirs to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gatewright.studies.jobs import Job


@dataclass(frozen=True)
class Explanation:
    """The plan of one direction at one point; `split` is what each thread has a slice of."""

    cell: str
    direction: str
    threads: int
    B: int
    H: int
    T: int
    used: int
    split: str
    why: str


def explain(jobs: Sequence[Job]) -> Iterator[Explanation]:
    """Yield the plans of every point: that of `forward`, and of `backward` if it is trained."""
    tasks: dict[tuple[Any, ...], set[str]] = {}
    for job in jobs:
        tasks.setdefault((job.subject, job.threads, job.size), set()).add(job.task)
    for (subject, threads, size), wanted in tasks.items():
        loaded = subject.load()
        kernels = loaded.compile(target="cpu", dtype="float32", threads=threads)
        found = kernels.plans({**size.of(loaded.cell), "B": size.B, "T": size.T})
        for direction, plan in found.items():
            if direction == "backward" and "training" not in wanted:
                continue
            split = "-" if plan.threads == 1 else "units" if plan.by_units else "rows"
            yield Explanation(
                cell=loaded.cell.identifier,
                direction=direction,
                threads=threads,
                B=size.B,
                H=size.H,
                T=size.T,
                used=plan.threads,
                split=split,
                why=plan.why,
            )
