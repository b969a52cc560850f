"""Job -> Curve: the loop that trains every example.

Adam, gradients of a norm up to 1, and no schedule: what differs between two runs is the cell.

Why `loss` and `show` take the model: another model can then be trained at the same job, on the
same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gatewright.examples.curve import Curve, Point
from gatewright.runtime.processors import processors
from gatewright.runtime.validate import ArgumentError

Batch = tuple[Tensor, ...]
LARGEST_NORM = 1.0
POINTS = 20


@dataclass(frozen=True)
class Size:
    """How large a job is; `length` is that of its sequences, in the words of each example."""

    hidden: int
    batch: int
    length: int
    steps: int
    rate: float


@dataclass(frozen=True)
class Job:
    """A model and what it is to learn.

    `batch(k)` are the tensors of step k, the same whenever it is asked; `loss(model, *batch)` is
    in `unit`; `baseline` is the loss of the answer that `baseline_is` describes, without a memory.
    `show(model)` lets a trained model speak for itself.
    """

    model: nn.Module
    size: Size
    batch: Callable[[int], Batch]
    held_out: Batch
    loss: Callable[..., Tensor]
    show: Callable[[Any], str]
    unit: str
    baseline: float
    baseline_is: str


class Trainer:
    """A model in training: one optimiser, one step at a time."""

    def __init__(self, job: Job) -> None:
        self.job = job
        # Of the implementations of Adam, the one that is fastest on a CPU.
        self.optimizer = torch.optim.Adam(job.model.parameters(), lr=job.size.rate, fused=True)

    def step(self, k: int) -> float:
        """Take step k and return the loss before it."""
        self.optimizer.zero_grad()
        loss = self.job.loss(self.job.model, *self.job.batch(k))
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.job.model.parameters(), LARGEST_NORM)
        self.optimizer.step()
        return loss.item()

    def held_out(self) -> float:
        """Return the loss on what is never trained on."""
        with evaluating(self.job.model):
            return self.job.loss(self.job.model, *self.job.held_out).item()


def train(job: Job, done: Callable[[], None] = lambda: None) -> Curve:
    """Train the model of a job and return its curve; `done` is called after every step."""
    trainer = Trainer(job)
    every = max(1, job.size.steps // POINTS)
    points = [Point(0, None, trainer.held_out())]
    losses: list[float] = []
    for k in range(job.size.steps):
        losses.append(trainer.step(k))
        if (k + 1) % every == 0 or k + 1 == job.size.steps:
            points.append(Point(k + 1, sum(losses) / len(losses), trainer.held_out()))
            losses.clear()
        done()
    return Curve(tuple(points))


def check_length(name: str, length: int, above: int, below: int) -> None:
    """Raise ArgumentError unless the length of sequences is between what a job can use."""
    if length <= above:
        raise ArgumentError(f"`length` of {name} must be above {above}; got {length}")
    if length >= below:
        raise ArgumentError(f"`length` of {name} must be below {below}; got {length}")


def limit_threads(count: int) -> None:
    """Let PyTorch itself use up to so many threads; a layer is told so by its own option.

    Never more than there are processors: PyTorch begins as many as it is told, and may hang.
    """
    torch.set_num_threads(min(count, processors()))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model as it is used: without gradients and dropout."""
    before = model.training
    model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(before)


def stream(*seed: int) -> torch.Generator:
    """Return random numbers of their own for a batch."""
    mixed = 0
    for each in seed:
        mixed = (mixed * 1_000_003 + each + 1) % 2**63
    return torch.Generator().manual_seed(mixed)
