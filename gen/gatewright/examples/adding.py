"""The adding problem: of a sequence of numbers two are marked, and their sum is wanted.

Hochreiter and Schmidhuber (1997, experiment 4), in the form of Le, Jaitly and Hinton (2015): the
numbers are drawn evenly from 0 to 1, one of each half is marked, and the answer is due at the end.
Who has no memory answers 1, and is wrong by 1/6 in the mean square.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import gatewright.torch
from gatewright.examples.training import Batch, Job, Size, stream

SIZES = {
    "small": Size(hidden=32, batch=32, length=10, steps=400, rate=0.01),
    "full": Size(hidden=128, batch=64, length=100, steps=4000, rate=0.002),
}


class Adder(nn.Module):
    """A layer of the cell and a linear map of its last output."""

    def __init__(self, cell: Any, hidden: int, **options: Any) -> None:
        super().__init__()
        self.recurrent = gatewright.torch.layer(cell, 2, hidden, **options)
        self.readout = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one number [B] for each sequence x [T, B, 2] of numbers and marks."""
        y, _ = self.recurrent(x)
        answer: Tensor = self.readout(y[-1])
        return answer.squeeze(-1)


def draw(size: Size, *seed: int) -> Batch:
    """Return sequences [T, B, 2] and the sums [B] of the numbers that are marked."""
    rng, (T, B) = stream(*seed), (size.length, size.batch)
    numbers, marks = torch.rand(T, B, generator=rng), torch.zeros(T, B)
    rows = torch.arange(B)
    marks[torch.randint(T // 2, (B,), generator=rng), rows] = 1.0
    marks[torch.randint(T // 2, T, (B,), generator=rng), rows] = 1.0
    return torch.stack((numbers, marks), -1), (numbers * marks).sum(0)


def job(cell: Any, size: Size, seed: int = 0, **options: Any) -> Job:
    """Return the job for a cell; `options` are those of `gatewright.torch.layer`."""
    held_out = draw(size, seed, 0)

    def show(model: Adder) -> str:
        wanted = zip(model(held_out[0]), held_out[1], strict=True)
        return "\n".join(f"{found:.2f} for {sum_:.2f}" for found, sum_ in list(wanted)[:5])

    return Job(
        model=Adder(cell, size.hidden, **options),
        size=size,
        batch=lambda k: draw(size, seed, 1, k),
        held_out=held_out,
        loss=lambda model, x, sums: nn.functional.mse_loss(model(x), sums),
        show=show,
        unit="mean squared error",
        baseline=1 / 6,
        baseline_is="always answering 1",
    )
