"""Cells and tensors for the tests of the PyTorch layer, and how far results are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import gatewright.torch

# A cell with two states, one with one, one whose parameters include scalars.
CELLS = ("lstm_peephole", "gru", "fast_grnn")
T, B = 5, 3


def pair(cell: str, input_size: int = 4, hidden_size: int = 6, **options: Any) -> tuple[Any, Any]:
    """Return the same layer on kernels and in plain operations, in float64."""
    options = {"dtype": torch.float64, **options}
    made = [
        gatewright.torch.layer(cell, input_size, hidden_size, **options, backend=backend)
        for backend in ("kernel", "eager")
    ]
    made[1].load_state_dict(made[0].state_dict())
    return made[0], made[1]


def given(layer: Any, seed: int = 0, rows: int = B, steps: int = T) -> list[Tensor]:
    """Return x, initial states and parameters of a single layer, all of them leaves."""
    stream = torch.Generator().manual_seed(seed)
    states = len(layer.loaded.cell.states)
    shapes = [(steps, rows, layer.input_size), *[(rows, layer.hidden_size)] * states]
    leaves = [torch.randn(s, generator=stream, dtype=torch.float64) for s in shapes]
    return [each.requires_grad_() for each in leaves] + list(layer.parameters())


def flat(results: Any) -> list[Tensor]:
    """Return outputs and final states as one list."""
    y, final = results
    return [y, *(final if isinstance(final, tuple) else (final,))]


def loss(results: Any) -> Tensor:
    """Return a number to which every element of outputs and final states matters differently."""
    total = torch.zeros((), dtype=torch.float64)
    for k, each in enumerate(flat(results)):
        scale = torch.linspace(0.5 + k, 1.5, each.numel(), dtype=each.dtype).reshape(each.shape)
        total = total + (torch.sin(each) * scale).sum()
    return total


def backward(value: Tensor) -> None:
    """Run the backward pass, which PyTorch has without types."""
    run: Any = value.backward
    run()


def distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Return the largest difference between tensors, relative to the largest number of each."""
    return max(_apart(a.detach(), b.detach()) for a, b in zip(first, second, strict=True))


def _apart(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape, f"{tuple(a.shape)} is not {tuple(b.shape)}"
    if not torch.isfinite(a).all():
        return float("inf")
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-300)) if b.numel() else 0.0
