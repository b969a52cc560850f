"""`torch.nn.RNN`, `LSTM` and `GRU` in float64: outputs and every gradient agree to rounding.

PyTorch stacks its gates as rows, `i f g o` and `r z n`, and adds two biases where we have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.oracles.compiled import compiled
from tests.oracles.evaluation import (
    Arrays,
    Evaluation,
    Problem,
    assert_agrees,
    draw,
    evaluate_kernels,
    relative_error,
)

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="the oracle is torch.nn")

TOLERANCE = 1e-12
SIZES = [
    (1, 1, 1, 1),
    (1, 1, 3, 2),
    (2, 3, 1, 5),
    (3, 1, 7, 1),
    (5, 2, 3, 7),
    (7, 13, 11, 17),
    (4, 31, 19, 67),
]
Sizes = tuple[int, int, int, int]


def split_gates(stacked: Arrays, gates: list[str]) -> Arrays:
    """Return our parameters for PyTorch's: rows by gate, biases summed except the GRU's `n`."""
    G = len(gates)
    W, U = np.split(stacked["weight_ih"], G), np.split(stacked["weight_hh"], G)
    b, b_h = np.split(stacked["bias_ih"], G), np.split(stacked["bias_hh"], G)
    ours: Arrays = {}
    for k, gate in enumerate(gates):
        suffix = f"_{gate}" if gate else ""
        ours[f"W{suffix}"], ours[f"U{suffix}"] = W[k], U[k]
        if gate == "n":
            ours["b_n"], ours["b_hn"] = b[k], b_h[k]
        else:
            ours[f"b{suffix}"] = b[k] + b_h[k]
    return ours


def stack_gates(ours: Arrays, gates: list[str]) -> Arrays:
    """Return PyTorch's gradients for ours: the gradient of a sum goes to both of its biases."""
    suffixes = [f"_{gate}" if gate else "" for gate in gates]
    pairs = zip(gates, suffixes, strict=True)
    hidden_biases = ["b_hn" if gate == "n" else f"b{s}" for gate, s in pairs]
    return {
        "weight_ih": np.concatenate([ours[f"W{s}"] for s in suffixes]),
        "weight_hh": np.concatenate([ours[f"U{s}"] for s in suffixes]),
        "bias_ih": np.concatenate([ours[f"b{s}"] for s in suffixes]),
        "bias_hh": np.concatenate([ours[name] for name in hidden_biases]),
    }


class Library:
    """One layer of `torch.nn` with random parameters, and the cell that it should equal."""

    def __init__(self, layer: Any, gates: list[str], states: tuple[str, ...], sizes: Sizes) -> None:
        self.layer, self.gates, self.states = layer.double(), gates, states
        self.rng = np.random.default_rng(sizes)
        self.stacked: Arrays = {}
        with torch.no_grad():
            for name, parameter in self.layer.named_parameters():
                self.stacked[name.removesuffix("_l0")] = draw(self.rng, tuple(parameter.shape))
                parameter.copy_(torch.tensor(self.stacked[name.removesuffix("_l0")]))

    def problem(self, sizes: Sizes) -> Problem:
        T, B, I, H = sizes  # noqa: E741
        return Problem(
            parameters=split_gates(self.stacked, self.gates),
            x=self.rng.uniform(-1.0, 1.0, (T, B, I)),
            state={name: self.rng.uniform(-1.0, 1.0, (B, H)) for name in self.states},
            ct_y=self.rng.uniform(-1.0, 1.0, (T, B, H)),
            ct_state={name: self.rng.uniform(-1.0, 1.0, (B, H)) for name in self.states},
        )

    def evaluate(self, problem: Problem) -> Evaluation:
        """Run the layer and its backward pass; gradients of parameters keep PyTorch's names."""
        x = torch.tensor(problem.x, requires_grad=True)
        initial = [
            torch.tensor(problem.state[name][None], requires_grad=True) for name in self.states
        ]
        y, last = self.layer(x, tuple(initial) if len(initial) > 1 else initial[0])
        final: list[Tensor] = list(last) if len(initial) > 1 else [last]
        names = [name.removesuffix("_l0") for name, _ in self.layer.named_parameters()]
        assert problem.ct_state is not None
        cotangents = [problem.ct_y, *(problem.ct_state[name][None] for name in self.states)]
        found = torch.autograd.grad(
            [y, *final],
            [x, *initial, *self.layer.parameters()],
            [torch.tensor(cotangent) for cotangent in cotangents],
        )
        d_x, *rest = [gradient.numpy() for gradient in found]
        n = len(initial)
        return Evaluation(
            y=y.detach().numpy(),
            state={k: v.detach().numpy()[0] for k, v in zip(self.states, final, strict=True)},
            d_x=d_x,
            d_state={k: v[0] for k, v in zip(self.states, rest[:n], strict=True)},
            d_parameters=dict(zip(names, rest[n:], strict=True)),
        )


def check(library: Library, kernels: Any, sizes: Sizes) -> None:
    problem = library.problem(sizes)
    found = evaluate_kernels(kernels, problem)
    stacked = Evaluation(
        y=found.y,
        state=found.state,
        d_x=found.d_x,
        d_state=found.d_state,
        d_parameters=stack_gates(found.d_parameters, library.gates),
    )
    assert_agrees(stacked, library.evaluate(problem), TOLERANCE)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_rnn(activation: str, sizes: Sizes) -> None:
    _, _, I, H = sizes  # noqa: E741
    layer = torch.nn.RNN(I, H, nonlinearity=activation)
    kernels = compiled("elman", "float64", activation=activation)
    check(Library(layer, [""], ("h",), sizes), kernels, sizes)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_lstm(sizes: Sizes) -> None:
    _, _, I, H = sizes  # noqa: E741
    library = Library(torch.nn.LSTM(I, H), ["i", "f", "g", "o"], ("h", "c"), sizes)
    check(library, compiled("lstm", "float64"), sizes)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gru(sizes: Sizes) -> None:
    _, _, I, H = sizes  # noqa: E741
    library = Library(torch.nn.GRU(I, H), ["r", "z", "n"], ("h",), sizes)
    check(library, compiled("gru_reset_after", "float64"), sizes)


@pytest.mark.parametrize(("gates", "layer"), [("ifgo", "LSTM"), ("rzn", "GRU")])
def test_the_oracle_notices_a_permutation_of_gates(gates: str, layer: str) -> None:
    sizes = (3, 2, 4, 5)
    states = ("h", "c") if layer == "LSTM" else ("h",)
    library = Library(getattr(torch.nn, layer)(4, 5), list(gates), states, sizes)
    problem = library.problem(sizes)
    before = library.evaluate(problem).y
    with torch.no_grad():
        for parameter in library.layer.parameters():
            parameter.copy_(torch.roll(parameter, 5, 0))
    assert relative_error(library.evaluate(problem).y, before) > 1e-3
