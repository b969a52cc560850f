"""The copying problem: a few letters, a long pause, a signal, and then the same letters again.

Hochreiter and Schmidhuber (1997), in the form of Arjovsky, Shah and Bengio (2016). Who has no
memory is right in the pause and guesses the letters, which costs log(letters) for each of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

import gatewright.torch
from gatewright.examples.training import Batch, Job, Size, stream

# `length` is that of the pause.
SIZES = {
    "small": Size(hidden=48, batch=32, length=4, steps=800, rate=0.01),
    "full": Size(hidden=128, batch=64, length=50, steps=6000, rate=0.002),
}
LETTERS, COPIED = 4, 4
BLANK, SIGNAL = LETTERS, LETTERS + 1


class Copier(nn.Module):
    """A layer of the cell on letters, and a linear map of all its outputs."""

    def __init__(self, cell: Any, hidden: int, **options: Any) -> None:
        super().__init__()
        self.recurrent = gatewright.torch.layer(cell, SIGNAL + 1, hidden, **options)
        self.readout = nn.Linear(hidden, BLANK + 1)

    def forward(self, letters: Tensor) -> Tensor:
        """Return logits [T, B, letters and the blank] for letters [T, B]."""
        y, _ = self.recurrent(nn.functional.one_hot(letters, SIGNAL + 1).float())
        logits: Tensor = self.readout(y)
        return logits


def draw(size: Size, *seed: int) -> Batch:
    """Return what is read and what is wanted, both [letters + pause + letters, B]."""
    word = torch.randint(LETTERS, (COPIED, size.batch), generator=stream(*seed))
    read = torch.full((2 * COPIED + size.length, size.batch), BLANK)
    wanted = read.clone()
    read[:COPIED] = word
    read[-COPIED - 1] = SIGNAL
    wanted[-COPIED:] = word
    return read, wanted


def job(cell: Any, size: Size, seed: int = 0, **options: Any) -> Job:
    """Return the job for a cell; `options` are those of `gatewright.torch.layer`."""
    held_out = draw(size, seed, 0)

    def show(model: Copier) -> str:
        right = model(held_out[0]).argmax(-1)[-COPIED:] == held_out[1][-COPIED:]
        return f"{100 * right.float().mean():.0f} % of the letters are right, 25 % by chance"

    return Job(
        model=Copier(cell, size.hidden, **options),
        size=size,
        batch=lambda k: draw(size, seed, 1, k),
        held_out=held_out,
        loss=lambda model, read, wanted: nn.functional.cross_entropy(
            model(read).flatten(0, 1), wanted.flatten()
        ),
        show=show,
        unit="nats",
        baseline=COPIED * math.log(LETTERS) / (2 * COPIED + size.length),
        baseline_is="guessing the letters",
    )
