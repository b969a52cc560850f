"""Operators under `torch.vmap`: batched calls become rows of one call, or calls one by one.

A sequence whose parameters are shared takes the new axis into its batch. With parameters of their
own, and in the reverse, which sums the gradients of parameters over the batch, each is a call.

Why not fold those too: the kernels know one set of parameters, and one gradient of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.contract import Contract, Tensors

Rule = Callable[..., tuple[Tensors, tuple[int, ...]]]


def map_rows(contract: Contract, called: Callable[..., Tensors]) -> Rule:
    """Return the rule for a forward operator: shared parameters, more rows."""
    one_by_one = map_slices(called)
    inputs, states = len(contract.layout.inputs), len(contract.states)
    # Inputs have their rows in axis 1, after time; states in axis 0.
    axes = [1] * inputs + [0] * states

    def rule(info: Any, in_dims: Any, threads: int, *given: Tensor) -> Any:
        if any(dim is not None for dim in in_dims[1 + len(axes) :]):
            return one_by_one(info, in_dims, threads, *given)
        N = info.batch_size
        folded = [
            _folded(tensor, dim, axis, N)
            for tensor, dim, axis in zip(given, in_dims[1:], axes, strict=False)
        ]
        results = called(threads, *folded, *given[len(axes) :])
        places = [0 if 1 <= k < contract.final else 1 for k in range(len(results))]
        pairs = zip(results, places, strict=True)
        return tuple(_unfolded(each, axis, N) for each, axis in pairs), tuple(places)

    return rule


def map_slices(called: Callable[..., Tensors]) -> Rule:
    """Return the rule that calls once for each slice."""

    def rule(info: Any, in_dims: Any, *arguments: Any) -> Any:
        found = [
            called(
                *(
                    each if dim is None else each.select(dim, n)
                    for each, dim in zip(arguments, in_dims, strict=True)
                )
            )
            for n in range(info.batch_size)
        ]
        results = tuple(torch.stack(each) for each in zip(*found, strict=True))
        return results, (0,) * len(results)

    return rule


def _folded(tensor: Tensor, dim: int | None, axis: int, N: int) -> Tensor:
    """Return a tensor with the new axis, repeated where it has none, inside its rows."""
    if dim is None:
        more = (*tensor.shape[:axis], N, *tensor.shape[axis:])
        return tensor.unsqueeze(axis).expand(more).flatten(axis, axis + 1)
    return tensor.movedim(dim, axis).flatten(axis, axis + 1)


def _unfolded(tensor: Tensor, axis: int, N: int) -> Tensor:
    rows = tensor.shape[axis] // N
    return tensor.reshape(*tensor.shape[:axis], N, rows, *tensor.shape[axis + 1 :])
