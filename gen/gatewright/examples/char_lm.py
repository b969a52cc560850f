"""A language model of characters: of a text, what comes next?

The text is `declaration_and_constitution.txt`: the Declaration of Independence of the United
States (1776), its Constitution (1787) and the first ten amendments (1791), acts of a government
and older than any copyright: in the public domain. It was typed for this purpose, and is no edition
to quote from. Its last tenth is never trained on. Losses are in bits per character; who has no
memory answers with how often each character occurs in the text.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import gatewright.torch
from gatewright.examples.training import Batch, Job, Size, check_length, stream

SIZES = {
    "small": Size(hidden=64, batch=16, length=50, steps=300, rate=0.01),
    "full": Size(hidden=256, batch=64, length=128, steps=400, rate=0.002),
}
TEXT = Path(__file__).with_name("declaration_and_constitution.txt")
EMBEDDED, COOLED = 32, 0.7
PROMPT, WRITTEN = "The Congress shall ", 240


@cache
def text() -> str:
    """Return the text as it is in the file."""
    return TEXT.read_text(encoding="utf-8")


class LanguageModel(nn.Module):
    """Characters as vectors, a layer of the cell, and a linear map to the character after."""

    def __init__(self, cell: Any, characters: str, hidden: int, **options: Any) -> None:
        super().__init__()
        self.characters = characters
        self.embedding = nn.Embedding(len(characters), EMBEDDED)
        self.recurrent = gatewright.torch.layer(cell, EMBEDDED, hidden, **options)
        self.readout = nn.Linear(hidden, len(characters))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return logits [T, B, characters] for characters x [T, B], and the final states."""
        y, state = self.recurrent(self.embedding(x), state)
        return self.readout(y), state

    def encoded(self, words: str) -> Tensor:
        """Return the numbers of characters."""
        return torch.tensor([self.characters.index(each) for each in words])

    def written(self, prompt: str, count: int, seed: int = 0) -> str:
        """Return a prompt and the characters that the model writes after it."""
        found, rng = list(prompt), stream(seed)
        x, state = self.encoded(prompt)[:, None], None
        for _ in range(count):
            logits, state = self(x, state)
            likely = torch.softmax(logits[-1, 0] / COOLED, -1)
            x = torch.multinomial(likely, 1, generator=rng)[:, None]
            found.append(self.characters[int(x)])
        return "".join(found)


def without_memory(known: Tensor, new: Tensor) -> float:
    """Return the loss on `new` of a model that knows how often characters occur in `known`."""
    count = int(torch.cat((known, new)).max()) + 1
    often = torch.bincount(known, minlength=count) + 1.0
    return -(often / often.sum()).log2()[new].mean().item()


def job(cell: Any, size: Size, seed: int = 0, **options: Any) -> Job:
    """Return the job for a cell; `options` are those of `gatewright.torch.layer`."""
    model = LanguageModel(cell, "".join(sorted(set(text()))), size.hidden, **options)
    everything, T = model.encoded(text()), size.length
    cut = 9 * len(everything) // 10
    known, new = everything[:cut], everything[cut:]
    check_length("char_lm", T, above=0, below=len(new) - 1)

    def windows(part: Tensor, starts: Tensor) -> Batch:
        places = starts + torch.arange(T)[:, None]
        return part[places], part[places + 1]

    def batch(k: int) -> Batch:
        last = len(known) - T - 1
        return windows(known, torch.randint(last, (size.batch,), generator=stream(seed, k)))

    def loss(model: LanguageModel, x: Tensor, following: Tensor) -> Tensor:
        logits, _ = model(x)
        nats = nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())
        return nats / math.log(2)

    return Job(
        model=model,
        size=size,
        batch=batch,
        held_out=windows(new, torch.arange(0, len(new) - T - 1, T)),
        loss=loss,
        show=lambda model: model.written(PROMPT, WRITTEN),
        unit="bits per character",
        baseline=without_memory(known, new),
        baseline_is="how often each character occurs",
    )
