"""onnxruntime's RNN, LSTM and GRU in float32 on random weights, and proof that they see them.

ONNX stacks its gates as rows, `i o f c` and `z r h`, has two biases that are added, peepholes in
the order `i o f`, and lets z keep the old state. Our `gru` lets z admit the candidate, so its z
parameters are the negatives of ONNX's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.oracles.compiled import compiled
from tests.oracles.evaluation import Array, Arrays, draw

REASON = "the oracle is the onnxruntime wheel"
pytest.importorskip("onnx", reason=REASON)
pytest.importorskip("onnxruntime", reason=REASON)

from tests.oracles.onnx_models import run_onnx  # noqa: E402

TOLERANCE = 1e-6
SIZES = [(1, 1, 1, 1), (2, 3, 1, 5), (3, 1, 7, 2), (7, 13, 11, 17), (11, 4, 8, 32)]
Sizes = tuple[int, int, int, int]
Fault = Callable[[Arrays], Arrays]
LSTM_GATES = ("i", "o", "f", "g")
GRU_GATES = ("z", "r", "n")


def draw_feeds(gates: int, sizes: Sizes, *, cell: bool = False, peepholes: bool = False) -> Arrays:
    """Draw ONNX's inputs for one direction; none of them is zero."""
    T, B, I, H = sizes  # noqa: E741
    rng = np.random.default_rng([gates, *sizes])
    feeds = {
        "X": rng.uniform(-1.0, 1.0, (T, B, I)),
        "W": draw(rng, (gates * H, I))[None],
        "R": draw(rng, (gates * H, H))[None],
        "B": draw(rng, (1, 2 * gates * H)),
        "initial_h": rng.uniform(-1.0, 1.0, (1, B, H)),
    }
    if cell:
        feeds["initial_c"] = rng.uniform(-1.0, 1.0, (1, B, H))
    if peepholes:
        feeds["P"] = rng.uniform(-1.0, 1.0, (1, 3 * H))
    return {name: array.astype(np.float32) for name, array in feeds.items()}


def to_ours(feeds: Arrays, gates: tuple[str, ...], *, two_biases_of: str = "") -> Arrays:
    """Return our parameters for ONNX's inputs."""
    G = len(gates)
    W, R = np.split(feeds["W"][0], G), np.split(feeds["R"][0], G)
    biases = np.split(feeds["B"][0], 2 * G)
    ours: Arrays = {}
    for k, gate in enumerate(gates):
        suffix = f"_{gate}" if gate else ""
        ours[f"W{suffix}"], ours[f"U{suffix}"] = W[k], R[k]
        ours[f"b{suffix}"] = biases[k] + biases[G + k]
        if gate and gate == two_biases_of:
            ours[f"b_{gate}"], ours[f"b_h{gate}"] = biases[k], biases[G + k]
    if "P" in feeds:
        ours["p_i"], ours["p_o"], ours["p_f"] = np.split(feeds["P"][0], 3)
    return ours


def check(
    kernels: Any, parameters: Arrays, feeds: Arrays, operator: str, **attributes: Any
) -> None:
    """Compare y and the final states with what onnxruntime computes."""
    y, final = run_onnx(operator, feeds, **attributes)
    state = {name: feeds[f"initial_{name}"][0] for name in final}
    run = kernels.forward(parameters, feeds["X"], state)
    assert run.y.dtype == np.float32
    assert np.max(np.abs(run.y - y)) <= TOLERANCE
    for name, expected in final.items():
        assert np.max(np.abs(run.state[name] - expected)) <= TOLERANCE


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_rnn(activation: str, sizes: Sizes) -> None:
    feeds = draw_feeds(1, sizes)
    kernels = compiled("elman", "float32", activation=activation)
    names = [{"tanh": "Tanh", "relu": "Relu"}[activation]]
    check(kernels, to_ours(feeds, ("",)), feeds, "RNN", activations=names)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_lstm(sizes: Sizes) -> None:
    feeds = draw_feeds(4, sizes, cell=True)
    check(compiled("lstm", "float32"), to_ours(feeds, LSTM_GATES), feeds, "LSTM")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_lstm_with_peepholes(sizes: Sizes) -> None:
    feeds = draw_feeds(4, sizes, cell=True, peepholes=True)
    check(compiled("lstm_peephole", "float32"), to_ours(feeds, LSTM_GATES), feeds, "LSTM")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_lstm_with_coupled_gates(sizes: Sizes) -> None:
    feeds = draw_feeds(4, sizes, cell=True)
    parameters = to_ours(feeds, LSTM_GATES)
    for name in ("W_f", "U_f", "b_f"):
        del parameters[name]
    check(compiled("lstm_coupled", "float32"), parameters, feeds, "LSTM", input_forget=1)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gru(sizes: Sizes) -> None:
    feeds = draw_feeds(3, sizes)
    parameters = to_ours(feeds, GRU_GATES)
    for name in ("W_z", "U_z", "b_z"):
        parameters[name] = -parameters[name]
    check(compiled("gru", "float32"), parameters, feeds, "GRU", linear_before_reset=0)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gru_reset_after(sizes: Sizes) -> None:
    feeds = draw_feeds(3, sizes)
    parameters = to_ours(feeds, GRU_GATES, two_biases_of="n")
    check(compiled("gru_reset_after", "float32"), parameters, feeds, "GRU", linear_before_reset=1)


def swap_gates(first: int, second: int, gates: int) -> Fault:
    """Exchange two gates in W, R and both halves of B."""

    def change(feeds: Arrays) -> Arrays:
        order = list(range(gates))
        order[first], order[second] = second, first

        def rows(array: Array, blocks: list[int], axis: int) -> Array:
            parts = np.split(array, len(blocks), axis=axis)
            return np.concatenate([parts[k] for k in blocks], axis=axis)

        both = [*order, *(gates + k for k in order)]
        changed = {name: rows(feeds[name], order, 1) for name in ("W", "R")}
        return feeds | changed | {"B": rows(feeds["B"], both, 1)}

    return change


def zero_peephole(position: int) -> Fault:
    """Set one of P_i, P_o, P_f to zero."""

    def change(feeds: Arrays) -> Arrays:
        parts = np.split(feeds["P"], 3, axis=1)
        parts[position] = np.zeros_like(parts[position])
        return feeds | {"P": np.concatenate(parts, axis=1)}

    return change


def transpose_recurrent(feeds: Arrays) -> Arrays:
    """Transpose every gate's block of R."""
    H = feeds["R"].shape[-1]
    blocks = feeds["R"][0].reshape(-1, H, H).transpose(0, 2, 1)
    return feeds | {"R": np.ascontiguousarray(blocks).reshape(1, -1, H)}


def scale_recurrent(feeds: Arrays) -> Arrays:
    """Make R a tenth larger."""
    return feeds | {"R": feeds["R"] * np.float32(1.1)}


LSTM_FAULTS: dict[str, Fault] = {
    **{f"P_{name} = 0": zero_peephole(k) for k, name in enumerate("iof")},
    **{
        f"swap {LSTM_GATES[a]} and {LSTM_GATES[b]}": swap_gates(a, b, 4)
        for a in range(4)
        for b in range(a)
    },
    "transpose R": transpose_recurrent,
    "R * 1.1": scale_recurrent,
}
GRU_FAULTS: dict[str, Fault] = {
    **{
        f"swap {GRU_GATES[a]} and {GRU_GATES[b]}": swap_gates(a, b, 3)
        for a in range(3)
        for b in range(a)
    },
    "transpose R": transpose_recurrent,
    "R * 1.1": scale_recurrent,
}


def largest_change(operator: str, feeds: Arrays, changed: Arrays, **attributes: Any) -> float:
    before, _ = run_onnx(operator, feeds, **attributes)
    after, _ = run_onnx(operator, changed, **attributes)
    return float(np.max(np.abs(after - before)))


@pytest.mark.parametrize("fault", LSTM_FAULTS)
def test_the_lstm_oracle_is_not_blind(fault: str) -> None:
    feeds = draw_feeds(4, (3, 2, 3, 5), cell=True, peepholes=True)
    assert largest_change("LSTM", feeds, LSTM_FAULTS[fault](feeds)) > 1e-3


@pytest.mark.parametrize("linear_before_reset", [0, 1])
@pytest.mark.parametrize("fault", GRU_FAULTS)
def test_the_gru_oracle_is_not_blind(fault: str, linear_before_reset: int) -> None:
    feeds = draw_feeds(3, (3, 2, 3, 5))
    changed = GRU_FAULTS[fault](feeds)
    change = largest_change("GRU", feeds, changed, linear_before_reset=linear_before_reset)
    assert change > 1e-3


def test_the_oracle_tells_attributes_apart() -> None:
    feeds = draw_feeds(3, (3, 2, 3, 5))
    before, _ = run_onnx("GRU", feeds, linear_before_reset=0)
    after, _ = run_onnx("GRU", feeds, linear_before_reset=1)
    assert np.max(np.abs(before - after)) > 1e-3
    feeds = draw_feeds(4, (3, 2, 3, 5), cell=True)
    plain, _ = run_onnx("LSTM", feeds)
    coupled, _ = run_onnx("LSTM", feeds, input_forget=1)
    assert np.max(np.abs(plain - coupled)) > 1e-3
    feeds = draw_feeds(1, (3, 2, 3, 5))
    hyperbolic, _ = run_onnx("RNN", feeds, activations=["Tanh"])
    rectified, _ = run_onnx("RNN", feeds, activations=["Relu"])
    assert np.max(np.abs(hyperbolic - rectified)) > 1e-3
