"""Spelling backwards: an encoder reads a word, and a decoder writes it from the last letter on.

The smallest job for the arrangement of Sutskever, Vinyals and Le (2014): all that the decoder is
told of the word are the encoder's final states. In training it reads the letters that it should
have written; afterwards those that it has. Who was told nothing guesses every letter.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

import gatewright.torch
from gatewright.examples.training import Batch, Job, Size, stream

# `length` is that of the words.
SIZES = {
    "small": Size(hidden=48, batch=32, length=4, steps=400, rate=0.01),
    "full": Size(hidden=256, batch=64, length=12, steps=3000, rate=0.002),
}
ALPHABET = "abcdefghijkl"
START = len(ALPHABET)


class Speller(nn.Module):
    """Two layers of the cell: the second begins where the first has ended."""

    def __init__(self, cell: Any, hidden: int, **options: Any) -> None:
        super().__init__()
        self.letters = nn.Embedding(START + 1, hidden)
        self.encoder = gatewright.torch.layer(cell, hidden, hidden, **options)
        self.decoder = gatewright.torch.layer(cell, hidden, hidden, **options)
        self.readout = nn.Linear(hidden, START)

    def forward(self, word: Tensor, before: Tensor) -> Tensor:
        """Return logits [T, B, letters] for words and the letters before those wanted, [T, B]."""
        _, state = self.encoder(self.letters(word))
        y, _ = self.decoder(self.letters(before), state)
        logits: Tensor = self.readout(y)
        return logits

    def spell(self, word: Tensor) -> Tensor:
        """Return what the decoder writes [T, B] when it reads its own letters."""
        _, state = self.encoder(self.letters(word))
        letter = torch.full_like(word[:1], START)
        written = []
        for _ in range(len(word)):
            y, state = self.decoder(self.letters(letter), state)
            letter = self.readout(y).argmax(-1)
            written.append(letter)
        return torch.cat(written)


def draw(size: Size, *seed: int) -> Batch:
    """Return words, the letters before those wanted, and those wanted, all [T, B]."""
    word = torch.randint(START, (size.length, size.batch), generator=stream(*seed))
    wanted = word.flip(0)
    return word, torch.cat((torch.full_like(wanted[:1], START), wanted[:-1])), wanted


def job(cell: Any, size: Size, seed: int = 0, **options: Any) -> Job:
    """Return the job for a cell; `options` are those of `gatewright.torch.layer`."""
    held_out = draw(size, seed, 0)

    def show(model: Speller) -> str:
        words = held_out[0][:, :5]
        pairs = zip(words.T.tolist(), model.spell(words).T.tolist(), strict=True)
        return "\n".join(" -> ".join("".join(ALPHABET[k] for k in w) for w in p) for p in pairs)

    return Job(
        model=Speller(cell, size.hidden, **options),
        size=size,
        batch=lambda k: draw(size, seed, 1, k),
        held_out=held_out,
        loss=lambda model, word, before, wanted: nn.functional.cross_entropy(
            model(word, before).flatten(0, 1), wanted.flatten()
        ),
        show=show,
        unit="nats per letter",
        baseline=math.log(START),
        baseline_is="guessing every letter",
    )
