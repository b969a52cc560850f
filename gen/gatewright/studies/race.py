"""Job -> Race: one job trained by our layer and by others, in turn, from the same weights.

Everything of a training step is timed: drawing the batch, forward, loss, backward, clipping and the
optimiser. All take the same steps on the same batches, so the losses before the first of them can
be held against each other, step by step, and a time is compared only if they agree.

Why only the first: a difference of rounding grows with every step, and where a job is learned all
at once, such as copying, it has become a difference of losses within a hundred.

The project's targets for training are those of

    gatewright example char_lm --size full --cell lstm --cell gru_reset_after --cell lstm_peephole
        --against torch.nn --against loop

faster than `nn.LSTM`, twice as fast as `nn.GRU`, ten times as fast as a loop over a cell that
PyTorch does not have.

With them the step without its recurrent layers is timed, for the ratio that kernels at the peak of
our own product would reach: what is above that nobody can promise.

Each takes a few steps at a time, after a pause, another one first in every round; the first step of
a turn is not counted, as caches are cold and threads asleep. A time is the median of those counted.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gatewright.examples.training import Job, Trainer
from gatewright.studies.process import peak
from gatewright.studies.race_floor import operations, without_layers
from gatewright.studies.race_peers import PEERS, replaced

OURS, REST = "gatewright", "all but the layers"
TURN, PAUSE = 6, 0.06
# In single precision the five jobs stay below 2e-4 for so many steps.
COMPARED, TOLERANCE = 50, 0.001


@dataclass(frozen=True)
class Runner:
    """One way of training: its median seconds for a step, and the loss before every step."""

    name: str
    seconds: float
    losses: tuple[float, ...]

    def apart(self, other: Runner) -> float:
        """Return the largest difference of early losses, in parts of this one's.

        Infinite if any loss, early or late, is not finite.
        """
        pairs = list(zip(self.losses, other.losses, strict=True))
        if not all(math.isfinite(each) for pair in pairs for each in pair):
            return math.inf
        return max(abs(a - b) / abs(a) for a, b in pairs[:COMPARED])


@dataclass(frozen=True)
class Race:
    """Our layer and the others at one job; `least` are the seconds that no kernels can save."""

    cell: str
    ours: Runner
    others: tuple[Runner, ...]
    least: float

    def ratio(self, other: Runner) -> float | None:
        """Return another's time divided by ours; None if it trained something else."""
        agrees = self.ours.apart(other) <= TOLERANCE
        return other.seconds / self.ours.seconds if agrees else None

    def ceiling(self, other: Runner) -> float | None:
        """Return the ratio of kernels that multiply at the peak and do nothing else."""
        return None if self.ratio(other) is None else other.seconds / self.least

    def rows(self, threads: int) -> list[dict[str, Any]]:
        """Return what a file of results says of each runner; None stands for what is no number."""
        apart = {each.name: self.ours.apart(each) for each in self.others}
        return [
            {
                "cell": self.cell,
                "threads": threads,
                "trained_by": each.name,
                "seconds": each.seconds,
                "ratio": self.ratio(each) if each.name in apart else None,
                "ceiling": self.ceiling(each) if each.name in apart else None,
                "first_losses_apart": _finite(apart.get(each.name, math.inf)),
                "first_loss": _finite(each.losses[0]),
                "last_loss": _finite(each.losses[-1]),
            }
            for each in (self.ours, *self.others)
        ]

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Who trained something else, and by how much."""
        return tuple(
            f"{each.name} trained something else than {self.cell}: in the first {COMPARED} steps, "
            f"losses differ by {100 * self.ours.apart(each):.1f} %"
            for each in self.others
            if self.ratio(each) is None
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def runners(job: Job, names: Sequence[str]) -> dict[str, Job]:
    """Return the job as it is and for the peers of these names that have the cell."""
    found = {OURS: job}
    for name in dict.fromkeys(names):
        model = replaced(job.model, PEERS[name])
        if model is not None:
            found[name] = dataclasses.replace(job, model=model)
    return found


def race(
    cell: str,
    job: Job,
    names: Sequence[str],
    threads: int,
    done: Callable[[], None] = lambda: None,
) -> Race:
    """Train a job by our layer and the peers of these names that have the cell.

    PyTorch and our kernels have as many threads; `done` is called after every step of any.
    """
    torch.set_num_threads(threads)
    jobs = runners(job, names) | {REST: without_layers(job)}
    trainers = {name: Trainer(each) for name, each in jobs.items()}
    times: dict[str, list[float]] = {name: [] for name in trainers}
    losses: dict[str, list[float]] = {name: [] for name in trainers}
    order = list(trainers)
    for first in range(0, job.size.steps, TURN):
        for name in order:
            time.sleep(PAUSE)
            for k in range(first, min(first + TURN, job.size.steps)):
                start = time.perf_counter()
                losses[name].append(trainers[name].step(k))
                taken = time.perf_counter() - start
                if k > first:
                    times[name].append(taken)
                done()
        order.append(order.pop(0))
    seconds = {name: statistics.median(each) for name, each in times.items()}
    least = seconds.pop(REST) + operations(job) / (1e9 * peak(threads).gflops)
    found = [Runner(name, each, tuple(losses[name])) for name, each in seconds.items()]
    return Race(cell, found[0], tuple(found[1:]), least)
