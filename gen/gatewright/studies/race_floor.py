"""Job -> what nobody's kernels can save of its training step.

That is the step without its recurrent layers, and the matrix products of these layers. A peer's
time divided by both, the products at the peak of our own, is the most by which it can be beaten.

Why the products and nothing else: whoever computes these gradients must multiply them out, and all
else about a layer can be made cheaper.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from gatewright.bridges.torch.layer import RecurrentLayer
from gatewright.examples.training import Job
from gatewright.studies.race_peers import replaced


class Nothing(nn.Module):
    """A layer that only writes its output, with the surface of ours."""

    def __init__(self, layer: RecurrentLayer) -> None:
        super().__init__()
        self.size = layer.network.output_size
        self.dims = [layer.network.hidden_size for _ in layer.network.cell.states]

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return an output [T, B, dim] and final states [1, B, dim] for x [T, B, dim]."""
        y = x[..., :1].expand(*x.shape[:2], self.size).contiguous()
        final = tuple(x.new_zeros(1, x.shape[1], dim) for dim in self.dims)
        return y, final if len(final) > 1 else final[0]


def without_layers(job: Job) -> Job:
    """Return the job with a model whose recurrent layers do nothing."""
    model = replaced(job.model, Nothing)
    assert model is not None
    return dataclasses.replace(job, model=model)


def operations(job: Job) -> int:
    """Return the floating-point operations of the matrix products of layers in a training step.

    Each matrix is multiplied forward and for its own gradient, and once more for the gradient of
    what it multiplied, which an input that nobody learns does not need.
    """
    found: list[int] = []

    def count(layer: nn.Module, given: tuple[Any, ...]) -> None:
        assert isinstance(layer, RecurrentLayer)
        x: Tensor = given[0]
        cell = layer.network.cell
        dims = {each.name: each.dims for each in cell.parameters}
        inputs = {dim for each in cell.inputs for dim in each.dims}
        ((_, held),) = layer.named_cell_parameters()
        for name, weight in held.items():
            if len(dims[name]) == 2:
                times = 2 if dims[name][1] in inputs and not x.requires_grad else 3
                found.append(2 * times * x.shape[0] * x.shape[1] * weight.numel())

    layers = [each for each in job.model.modules() if isinstance(each, RecurrentLayer)]
    hooks = [each.register_forward_pre_hook(count) for each in layers]
    try:
        with torch.enable_grad():
            job.loss(job.model, *job.batch(0))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(found)
