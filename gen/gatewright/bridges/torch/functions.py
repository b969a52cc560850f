"""The function table in PyTorch's words, by the names of the language, and `@`.

Why PyTorch's own functions and not the table's stable forms: their derivatives, of every order and
in both modes, are PyTorch's own, which makes what is built of them an oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def _tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the function taking plain numbers too."""
    return lambda *arguments: function(*(torch.as_tensor(each) for each in arguments))


LIBRARY: dict[str, Callable[..., Any]] = {
    "@": lambda matrix, rows: functional.linear(rows, matrix),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    # Beyond its threshold PyTorch returns x itself: 40 is where that is x, in double precision too.
    "softplus": lambda x: functional.softplus(x, threshold=40.0),
    "silu": functional.silu,
    "softsign": functional.softsign,
    "hard_tanh": functional.hardtanh,
    "abs": torch.abs,
    "max": _tensors(torch.maximum),
    "min": _tensors(torch.minimum),
}
