"""Transcription -> Evaluation: run a step over a sequence and let PyTorch differentiate it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.oracles.evaluation import Array, Arrays, Evaluation, Problem
from tests.oracles.transcriptions import Transcription


def leaf(array: Array) -> Tensor:
    """Return a float64 tensor of its own that gradients flow to."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def leaves(arrays: Arrays) -> dict[str, Tensor]:
    """Return a leaf for every array."""
    return {name: leaf(array) for name, array in arrays.items()}


def numbers(tensor: Tensor) -> Array:
    """Return a tensor's values as an array."""
    array: Array = tensor.detach().numpy()
    return array


def differentiate(
    problem: Problem,
    y: Tensor,
    state: dict[str, Tensor],
    x: Tensor,
    initial: dict[str, Tensor],
    parameters: dict[str, Tensor],
) -> Evaluation:
    """Pull the problem's cotangents back from the outputs to everything the sequence was given.

    Raises RuntimeError, PyTorch's, when something that was given is not read.
    """
    outputs, cotangents = [y], [torch.tensor(problem.ct_y)]
    for name, cotangent in (problem.ct_state or {}).items():
        outputs.append(state[name])
        cotangents.append(torch.tensor(cotangent))
    inputs = [x, *initial.values(), *parameters.values()]
    found = torch.autograd.grad(outputs, inputs, cotangents)
    d_x, *rest = [numbers(gradient) for gradient in found]
    d_state, d_parameters = rest[: len(initial)], rest[len(initial) :]
    return Evaluation(
        y=numbers(y),
        state={name: numbers(value) for name, value in state.items()},
        d_x=d_x,
        d_state=dict(zip(initial, d_state, strict=True)),
        d_parameters=dict(zip(parameters, d_parameters, strict=True)),
    )


def evaluate_transcription(step: Transcription, problem: Problem, **choices: Any) -> Evaluation:
    """Run a transcription over the sequence, one step at a time, and differentiate the whole."""
    parameters, x, initial = leaves(problem.parameters), leaf(problem.x), leaves(problem.state)
    state, ys = dict(initial), []
    for x_t in x.unbind(0):
        y_t, state = step(parameters, x_t, state, **choices)
        ys.append(y_t)
    return differentiate(problem, torch.stack(ys), state, x, initial, parameters)
