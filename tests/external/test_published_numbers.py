"""Numbers that others computed and printed: Keras's and onnxruntime's own expected values.

Keras (Apache-2.0): keras/src/layers/rnn/{simple_rnn,lstm,gru}_test.py. Kernels are 0.01, recurrent
kernels 0.02 and biases 0.03 throughout, so the order of gates is invisible; what shows is the form
of the equations, the reset gate's place and which biases are added.

onnxruntime (Copyright (c) Microsoft Corporation, MIT License):
onnxruntime/test/providers/cpu/rnn/deep_cpu_{lstm,gru}_op_test.cc. Weights differ in every entry, so
gate order, peepholes and the reset gate's place all show.

Both print float32 results; the kernels run in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracles.compiled import compiled
from tests.oracles.evaluation import Array, Arrays

TOLERANCE = 1e-6


def run(cell: str, parameters: Arrays, x: Array, state: Arrays) -> Any:
    return compiled(cell, "float64").forward(parameters, np.ascontiguousarray(x), state)


# -------------------------------------------------------------------------------------- Keras

GATES = {
    "elman": ("",),
    "lstm": ("_i", "_f", "_g", "_o"),
    "gru": ("_r", "_z", "_n"),
    "gru_reset_after": ("_r", "_z", "_n"),
}


def keras_parameters(cell: str, inputs: int, hidden: int, *, bias: float, forget: float) -> Arrays:
    """Fill parameters as Keras's constant initializers do.

    Keras's GRU keeps the old state with z, so the z parameters of our `gru` change sign; with
    `reset_after` it has two biases per gate, which add up everywhere but in the candidate.
    """
    parameters: Arrays = {}
    for gate in GATES[cell]:
        sign = -1.0 if (cell, gate) == ("gru", "_z") else 1.0
        twice = 2.0 if cell == "gru_reset_after" and gate != "_n" else 1.0
        value = forget if (cell, gate) == ("lstm", "_f") else bias * twice
        parameters[f"W{gate}"] = np.full((hidden, inputs), sign * 0.01)
        parameters[f"U{gate}"] = np.full((hidden, hidden), sign * 0.02)
        parameters[f"b{gate}"] = np.full(hidden, sign * value)
    if cell == "gru_reset_after":
        parameters["b_hn"] = np.full(hidden, bias)
    return parameters


# cell, shape of `arange` as [B, T, I], hidden size, options, expected last output by batch element
# (one number where all hidden units are equal).
KERAS: list[tuple[str, tuple[int, int, int], int, str, list[float] | list[list[float]]]] = [
    ("elman", (2, 3, 4), 4, "", [0.405432, 0.73605347]),
    ("elman", (2, 3, 4), 4, "backwards", [0.11144729, 0.5528889]),
    ("elman", (2, 4, 3), 4, "initial", [0.33621645, 0.6262637]),
    ("elman", (2, 4, 3), 4, "initial backwards", [0.07344437, 0.43043602]),
    ("lstm", (3, 6, 4), 3, "forget", [0.6288687, 0.86899155, 0.9460773]),
    ("lstm", (3, 6, 4), 3, "forget backwards", [0.35622165, 0.74789524, 0.8872726]),
    ("lstm", (3, 6, 4), 3, "", [0.57019705, 0.8661914, 0.9459622]),
    ("lstm", (3, 6, 4), 3, "unbiased", [0.54986924, 0.86226785, 0.9443936]),
    (
        "lstm",
        (2, 4, 3),
        2,
        "forget initial",
        [[0.20574439, 0.3558822], [0.64930826, 0.66276]],
    ),
    ("gru_reset_after", (3, 6, 4), 3, "", [0.5217289, 0.6371659, 0.39384964]),
    ("gru_reset_after", (3, 6, 4), 3, "backwards", [0.24406259, 0.611516, 0.3928808]),
    ("gru_reset_after", (3, 6, 4), 3, "unbiased", [0.49988455, 0.64701194, 0.4103359]),
    (
        "gru_reset_after",
        (2, 4, 3),
        2,
        "initial",
        [[0.23774096, 0.33508456], [0.83659905, 1.0227708]],
    ),
    ("gru", (3, 6, 4), 3, "", [0.51447755, 0.6426879, 0.40208298]),
]


@pytest.mark.parametrize(("cell", "shape", "hidden", "options", "expected"), KERAS, ids=repr)
def test_keras(
    cell: str,
    shape: tuple[int, int, int],
    hidden: int,
    options: str,
    expected: list[float] | list[list[float]],
) -> None:
    bias = 0.0 if "unbiased" in options else 0.03
    forget = 1.0 if "forget" in options else bias
    parameters = keras_parameters(cell, shape[2], hidden, bias=bias, forget=forget)
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape).transpose(1, 0, 2)
    x = x[::-1] if "backwards" in options else x
    start = np.arange(shape[0] * hidden, dtype=np.float64).reshape(shape[0], hidden)
    start = start if "initial" in options else np.zeros_like(start)
    names = ("h", "c") if cell == "lstm" else ("h",)
    y = run(cell, parameters, x, {name: start.copy() for name in names}).y[-1]
    wanted = np.array(expected)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    assert np.max(np.abs(y - wanted)) <= TOLERANCE


# -------------------------------------------------------------------------------- onnxruntime

# Rows by gate: i o f c; hidden size 2, input size 2. The GRU tests reuse i, f, c as z, r, h.
W = {
    "i": [[-0.494659, 0.0453352], [-0.487793, 0.417264]],
    "o": [[-0.0175329, 0.489074], [-0.446013, 0.414029]],
    "f": [[-0.0091708, -0.255364], [-0.106952, -0.266717]],
    "c": [[-0.0888852, -0.428709], [-0.283349, 0.208792]],
}
R = {
    "i": [[0.146626, -0.0620289], [-0.0815302, 0.100482]],
    "o": [[-0.219535, -0.306635], [-0.28515, -0.314112]],
    "f": [[-0.228172, 0.405972], [0.31576, 0.281487]],
    "c": [[-0.394864, 0.42111], [-0.386624, -0.390225]],
}
B = {
    "i": [0.381619, 0.0323954],
    "o": [-0.14449, 0.420804],
    "f": [-0.258721, 0.45056],
    "c": [-0.250755, 0.0967895],
}
P = {"i": [0.2345, 0.5235], "o": [0.4378, 0.3475], "f": [0.8927, 0.3456]}
X = [[[-0.455351, -0.276391]], [[-0.185934, -0.269585]]]
LSTM_ROWS = {"_i": "i", "_o": "o", "_f": "f", "_g": "c"}
GRU_ROWS = {"_z": "i", "_r": "f", "_n": "c"}


def onnxruntime_parameters(rows: dict[str, str], *, bias: bool = True) -> Arrays:
    parameters: Arrays = {}
    for gate, row in rows.items():
        parameters[f"W{gate}"], parameters[f"U{gate}"] = np.array(W[row]), np.array(R[row])
        parameters[f"b{gate}"] = np.array(B[row]) if bias else np.zeros(2)
    return parameters


def negate_update_gate(parameters: Arrays) -> Arrays:
    """Turn ONNX's z, which keeps the state, into ours, which admits the candidate."""
    return {name: -value if name.endswith("_z") else value for name, value in parameters.items()}


@pytest.mark.parametrize(
    ("bias", "y", "c"),
    [
        (True, [[-0.0251062475, 0.0561261699], [-0.03277518, 0.05935364]], [-0.0780206, 0.098829]),
        (False, [[0.04154162, 0.01969122], [0.05298181, 0.0030589]], [0.11169686, 0.00625722]),
    ],
    ids=["TestLSTMForwardPeepHole", "TestLSTMForwardNoBiasUsePeepholes"],
)
def test_onnxruntime_lstm_peephole(bias: bool, y: list[list[float]], c: list[float]) -> None:
    parameters = onnxruntime_parameters(LSTM_ROWS, bias=bias)
    parameters |= {f"p_{gate}": np.array(value) for gate, value in P.items()}
    zero = np.zeros((1, 2))
    found = run("lstm_peephole", parameters, np.array(X), {"h": zero, "c": zero.copy()})
    assert np.max(np.abs(found.y[:, 0] - np.array(y))) <= TOLERANCE
    assert np.max(np.abs(found.state["c"][0] - np.array(c))) <= TOLERANCE


@pytest.mark.parametrize(
    ("c0", "y", "c"),
    [
        (
            [0.0, 0.0],
            [[0.01797521, -0.07104912], [-0.03174796, -0.0152949]],
            [-0.07285583, -0.02545788],
        ),
        (
            [0.63, 0.21],
            [[0.12797015, 0.0097284], [0.02716939, 0.01842997]],
            [0.06408449, 0.03139432],
        ),
    ],
    ids=["TestLSTMForwardHiddenState", "TestLSTMForwardCellState"],
)
def test_onnxruntime_lstm(c0: list[float], y: list[list[float]], c: list[float]) -> None:
    state = {"h": np.array([[0.34, 0.72]]), "c": np.array([c0])}
    found = run("lstm", onnxruntime_parameters(LSTM_ROWS), np.array(X), state)
    assert np.max(np.abs(found.y[:, 0] - np.array(y))) <= TOLERANCE
    assert np.max(np.abs(found.state["c"][0] - np.array(c))) <= TOLERANCE


# Two batch elements with the same x: the first starts at (0.5, -0.5), the second at zero.
GRU_BATCH = {
    "gru": [
        [[0.2366661, -0.1500429], [-0.03255286, 0.0774838]],
        [[0.07378622, -0.02782359], [-0.05556786, 0.0785508]],
    ],
    "gru_reset_after": [
        [[0.2539424, -0.174207777], [-0.0325528607, 0.0774837881]],
        [[0.0874997079, -0.0485242009], [-0.0577347837, 0.0796165839]],
    ],
}


@pytest.mark.parametrize("cell", GRU_BATCH)
def test_onnxruntime_gru_batch(cell: str) -> None:
    parameters = onnxruntime_parameters(GRU_ROWS)
    if cell == "gru":
        parameters = negate_update_gate(parameters)
    else:
        parameters["b_hn"] = np.zeros(2)
    x = np.repeat(np.array(X), 2, axis=1)
    found = run(cell, parameters, x, {"h": np.array([[0.5, -0.5], [0.0, 0.0]])})
    assert np.max(np.abs(found.y - np.array(GRU_BATCH[cell]))) <= TOLERANCE


# The candidate's two biases are far from zero here: what tells reset before from after apart.
GRU_BIASED = {
    "gru": [
        [[0.16783132, -0.11754231, 0.11977843], [0.2046872, -0.10372487, 0.15365849]],
        [[0.22688604, -0.19698407, 0.14017843], [0.33386092, -0.15799662, 0.2381169]],
    ],
    "gru_reset_after": [
        [[0.15024948, -0.11097029, -0.02121867], [0.18887489, -0.09747667, 0.02093463]],
        [[0.19538902, -0.19016478, -0.05644283], [0.30856851, -0.15190377, 0.05999807]],
    ],
}


@pytest.mark.parametrize("cell", GRU_BIASED)
def test_onnxruntime_gru_with_bias(cell: str) -> None:
    input_bias = {"_z": [-0.01, 0.1, 0.01], "_r": [-0.2, -0.02, 0.02], "_n": [0.3, -0.3, -0.3]}
    hidden_bias = {"_z": [-0.03, 0.5, -0.7], "_r": [0.05, -0.7, 0.3], "_n": [0.07, -0.03, 0.5]}
    weight = {"_z": [0.1, 0.2, 0.3], "_r": [0.2, 0.3, 0.1], "_n": [0.3, 0.1, 0.2]}
    parameters: Arrays = {}
    for gate in GRU_ROWS:
        parameters[f"W{gate}"] = np.array(weight[gate])[:, None]
        parameters[f"U{gate}"] = np.full((3, 3), 0.1)
        parameters[f"b{gate}"] = np.array(input_bias[gate]) + np.array(hidden_bias[gate])
    if cell == "gru":
        parameters = negate_update_gate(parameters)
    else:
        parameters |= {"b_n": np.array(input_bias["_n"]), "b_hn": np.array(hidden_bias["_n"])}
    x = np.array([-0.1, 0.2, -0.3, 0.4]).reshape(2, 2, 1)
    found = run(cell, parameters, x, {"h": np.zeros((2, 3))})
    assert np.max(np.abs(found.y - np.array(GRU_BIASED[cell]))) <= TOLERANCE
