"""Problem -> Candidates of PyTorch: `torch.nn.LSTM`, `GRU` and `RNN`, and an eager loop.

`torch.nn` stacks its gates as rows, `i f g o` and `r z n`, and adds two biases where we have one:
the second is zero but for the candidate of the GRU. The loop runs the cell's own equations one
operation at a time, as a user would write them.

Inference is under `no_grad`, with the layer in its mode for it and nothing that asks for a
gradient; training is forward and backward to every parameter, state and input. All is in single
precision on as many threads as ours.

Why nothing else is set: these are the settings of PyTorch's own manual, and it has its fused paths
with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewright.bridges.blocks import stacked
from gatewright.bridges.equations import step
from gatewright.bridges.torch.functions import LIBRARY
from gatewright.bridges.torch.weights import COUNTERPARTS
from gatewright.language.catalogue import known
from gatewright.studies.problem import Arrays, Candidate, Outcome, Problem

LAYERS: dict[str, Any] = {
    "lstm": torch.nn.LSTM,
    "gru_reset_after": torch.nn.GRU,
    "elman": torch.nn.RNN,
}


def candidates(problem: Problem, task: str, threads: int) -> Iterator[Candidate]:
    """Yield what PyTorch offers for a problem."""
    torch.set_num_threads(threads)
    name = known(problem.cell)
    if name in LAYERS:
        yield _candidate("torch.nn", _Layer(problem, name, task), task)
    yield _candidate("torch loop", _Loop(problem, task), task, loop=True)


class _Layer:
    """One layer of `torch.nn` with the problem's parameters."""

    def __init__(self, problem: Problem, name: str, task: str) -> None:
        training = task == "training"
        settings = {choice.name: choice.chosen for choice in problem.cell.choices}
        activation = {"nonlinearity": settings["activation"]} if settings else {}
        self.blocks = COUNTERPARTS[name][1]
        self.layer = LAYERS[name](problem.size.H, problem.size.H, **activation)
        arrays = stacked(self.blocks, problem.parameters)
        first, second = arrays.bias
        named = {"weight_ih": arrays.W, "weight_hh": arrays.R, "bias_ih": first, "bias_hh": second}
        with torch.no_grad():
            for key, parameter in self.layer.named_parameters():
                parameter.copy_(torch.from_numpy(named[key.removesuffix("_l0")]))
        self.layer.train(training).requires_grad_(training)
        self.x = _leaf(next(iter(problem.inputs.values())), training)
        self.state = {key: _leaf(array[None], training) for key, array in problem.state.items()}
        self.names = (*problem.inputs, *problem.state)
        self.leaves = [self.x, *self.state.values(), *self.layer.parameters()]
        self.ct_y = torch.from_numpy(problem.ct_y)

    def forward(self) -> Tensor:
        states = tuple(self.state.values())
        y: Tensor = self.layer(self.x, states if len(states) > 1 else states[0])[0]
        return y

    def gradients(self, found: list[Array]) -> Arrays:
        """Return gradients by our names."""
        given, weights = found[: len(self.names)], found[len(self.names) :]
        ours = {
            name: array[0] if name in self.state else array
            for name, array in zip(self.names, given, strict=True)
        }
        blocks = self.blocks
        W, U, b, b_h = (np.split(array, len(blocks.gates)) for array in weights)
        for k, gate in enumerate(blocks.gates):
            ours |= {f"W{gate}": W[k], f"U{gate}": U[k], f"b{gate}": b[k]}
        if blocks.apart:
            ours[blocks.own_bias()] = b_h[blocks.gates.index(blocks.apart)]
        return ours


Array = np.ndarray[Any, Any]


class _Loop:
    """The cell's equations in a Python loop over time."""

    def __init__(self, problem: Problem, task: str) -> None:
        training = task == "training"
        self.step = step(problem.cell, LIBRARY)
        self.constants = {constant.name: constant.value for constant in problem.cell.constants}
        self.inputs = {name: _leaf(array, training) for name, array in problem.inputs.items()}
        self.given = {
            name: _leaf(array, training)
            for name, array in (problem.state | problem.parameters).items()
        }
        self.names = (*self.inputs, *self.given)
        self.leaves = [*self.inputs.values(), *self.given.values()]
        self.ct_y = torch.from_numpy(problem.ct_y)

    def forward(self) -> Tensor:
        values: dict[str, Any] = {**self.constants, **self.given}
        inputs = [(name, x.unbind(0)) for name, x in self.inputs.items()]
        ys = []
        for t in range(self.ct_y.shape[0]):
            for name, x in inputs:
                values[name] = x[t]
            ys.append(self.step(values))
        return torch.stack(ys)

    def gradients(self, found: list[Array]) -> Arrays:
        return dict(zip(self.names, found, strict=True))


def _candidate(name: str, model: _Layer | _Loop, task: str, loop: bool = False) -> Candidate:
    def infer() -> Tensor:
        with torch.no_grad():
            return model.forward()

    def train() -> tuple[Tensor, tuple[Tensor, ...]]:
        y = model.forward()
        return y, torch.autograd.grad(y, model.leaves, model.ct_y)

    def read(found: tuple[Tensor, tuple[Tensor, ...]]) -> Outcome:
        y, gradients = found
        return Outcome(y.detach().numpy(), model.gradients([each.numpy() for each in gradients]))

    if task == "training":
        return Candidate(name, train, read, loop)
    return Candidate(name, infer, lambda y: Outcome(y.numpy(), {}), loop)


def _leaf(array: Array, training: bool) -> Tensor:
    return torch.tensor(array, requires_grad=training)
