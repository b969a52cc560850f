"""The gradient of the reverse: derivatives of second and higher order, by plain operations.

The reverse is itself the first derivative of the cell's equations, so its own derivatives are those
of the equations run eagerly and differentiated twice.

Why not by kernels: second derivatives are rare, and right at the speed of plain operations is
better than refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.contract import Contract
from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.registration import Derivative


def second_order(contract: Contract, eager: EagerSequence) -> Derivative:
    """Return how the reverse is differentiated."""

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        # What comes before the tensors says how to run, and has no gradient.
        ctx.before = len(inputs) - contract.reversed
        cotangents, given, _, kept = contract.split(inputs[ctx.before :])
        ctx.unread = len(contract.seen) + len(kept)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*cotangents, *given)

    def formula(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        further = torch.is_grad_enabled()
        with torch.enable_grad():
            found = _differentiated(contract, eager, saved, gradients, further)
        # What was kept is a function of what was given, which has all of the derivative.
        return (*(None,) * ctx.before, *found, *(None,) * ctx.unread)

    return Derivative(setup, formula)


def _differentiated(
    contract: Contract,
    eager: EagerSequence,
    saved: tuple[Tensor | None, ...],
    gradients: tuple[Tensor | None, ...],
    further: bool,
) -> list[Tensor | None]:
    """Return gradients of cotangents and of what was given; with `further`, differentiable ones."""
    leaves = [None if each is None else _leaf(each, further) for each in saved]
    cotangents, given = leaves[: contract.results], leaves[contract.results :]
    known = [each for each in given if each is not None]
    y, final, states = eager(known)
    results = (y, *final, *states)
    pairs = [(o, ct) for o, ct in zip(results, cotangents, strict=True) if ct is not None]
    outputs, cts = [o for o, _ in pairs], [ct for _, ct in pairs]
    first = torch.autograd.grad(
        outputs, known, cts, create_graph=True, allow_unused=True, materialize_grads=True
    )
    wanted = [(f, g) for f, g in zip(first, gradients, strict=True) if g is not None]
    wanted = [(f, g) for f, g in wanted if f.requires_grad]
    sources = [each for each in leaves if each is not None]
    if not wanted:
        return [None] * len(leaves)
    second = iter(
        torch.autograd.grad(
            [f for f, _ in wanted],
            sources,
            [g for _, g in wanted],
            create_graph=further,
            allow_unused=True,
        )
    )
    return [None if each is None else next(second) for each in leaves]


def _leaf(tensor: Tensor, further: bool) -> Tensor:
    """Return an alias: gradients of it are those along its direct use, not through its past."""
    if further and tensor.requires_grad:
        return tensor.view_as(tensor)
    return tensor.detach().requires_grad_()
