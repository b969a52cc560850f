"""Keras's weights: against Keras itself, against its equations, and its own printed numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import gatewright
from gatewright.runtime.validate import ArgumentError
from tests.external.test_published_numbers import KERAS
from tests.oracles.evaluation import Array, Arrays, draw

LAYERS = [("LSTM", True), ("GRU", True), ("GRU", False), ("SimpleRNN", True)]
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
B, T, I, H = 3, 5, 4, 6  # noqa: E741


def drawn(kind: str, reset_after: bool, *, bias: bool = True) -> list[Array]:
    """Draw a layer's weights as `get_weights` returns them; all gates differ."""
    G, rng = GATES[kind], np.random.default_rng(7)
    shape = (2, G * H) if (kind, reset_after) == ("GRU", True) else (G * H,)
    found = [draw(rng, (I, G * H)), draw(rng, (H, G * H)), rng.uniform(-1, 1, shape)]
    return found if bias else found[:2]


def sigmoid(x: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-x))
    return found


def keras_layer(
    kind: str, weights: list[Array], x: Array, state: Arrays, reset_after: bool
) -> Array:
    """Run Keras's equations, from `lstm.py`, `gru.py` and `simple_rnn.py`, on x [T, B, I]."""
    kernel, recurrent, *rest = weights
    bias = rest[0] if rest else np.zeros_like(kernel[0])
    h, c, ys = state["h"], state.get("c", state["h"]), []
    for now in x:
        if kind == "SimpleRNN":
            h = np.tanh(now @ kernel + bias + h @ recurrent)
        elif kind == "LSTM":
            z0, z1, z2, z3 = np.split(now @ kernel + h @ recurrent + bias, 4, axis=1)
            c = sigmoid(z1) * c + sigmoid(z0) * np.tanh(z2)
            h = sigmoid(z3) * np.tanh(c)
        elif reset_after:
            input_bias, recurrent_bias = bias if rest else (bias, bias)
            x_z, x_r, x_h = np.split(now @ kernel + input_bias, 3, axis=1)
            r_z, r_r, r_h = np.split(h @ recurrent + recurrent_bias, 3, axis=1)
            z = sigmoid(x_z + r_z)
            candidate = np.tanh(x_h + sigmoid(x_r + r_r) * r_h)
            h = z * h + (1 - z) * candidate
        else:
            x_z, x_r, x_h = np.split(now @ kernel + bias, 3, axis=1)
            z = sigmoid(x_z + h @ recurrent[:, :H])
            r = sigmoid(x_r + h @ recurrent[:, H : 2 * H])
            h = z * h + (1 - z) * np.tanh(x_h + (r * h) @ recurrent[:, 2 * H :])
        ys.append(h)
    return np.stack(ys)


def start(kind: str) -> tuple[Array, Arrays]:
    rng = np.random.default_rng(8)
    names = ("h", "c") if kind == "LSTM" else ("h",)
    return rng.uniform(-1, 1, (T, B, I)), {name: rng.uniform(-1, 1, (B, H)) for name in names}


def ours(kind: str, weights: list[Array], x: Array, state: Arrays, reset_after: bool) -> Array:
    parameters = gatewright.keras.from_keras(weights, kind, reset_after=reset_after)
    cell = gatewright.keras.cell(kind, reset_after=reset_after)
    y: Array = cell.compile("reference", "float64").forward(parameters, x, state).y
    return y


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "reset_after"), LAYERS)
def test_converted_weights_compute_keras_s_equations(
    kind: str, reset_after: bool, bias: bool
) -> None:
    weights = drawn(kind, reset_after, bias=bias)
    x, state = start(kind)
    expected = keras_layer(kind, weights, x, state, reset_after)
    assert np.max(np.abs(ours(kind, weights, x, state, reset_after) - expected)) < 1e-14


@pytest.mark.parametrize(("kind", "reset_after"), LAYERS)
def test_there_and_back_again_is_bit_for_bit(kind: str, reset_after: bool) -> None:
    weights = drawn(kind, reset_after)
    parameters = gatewright.keras.from_keras(weights, kind, reset_after=reset_after)
    back = gatewright.keras.to_keras(parameters, kind, reset_after=reset_after)
    again = gatewright.keras.from_keras(back, kind, reset_after=reset_after)
    assert again.keys() == parameters.keys()
    assert all(np.array_equal(again[name], array) for name, array in parameters.items())
    assert [each.shape for each in back] == [each.shape for each in weights]
    assert all(np.array_equal(a, b) for a, b in zip(back[:2], weights[:2], strict=True))
    x, state = start(kind)
    expected = keras_layer(kind, weights, x, state, reset_after)
    assert np.max(np.abs(keras_layer(kind, back, x, state, reset_after) - expected)) < 1e-14


@pytest.mark.parametrize(
    ("kind", "reset_after"), [each for each in LAYERS if each[0] != "SimpleRNN"]
)
def test_two_gates_exchanged_are_seen(kind: str, reset_after: bool) -> None:
    weights = drawn(kind, reset_after)
    x, state = start(kind)
    expected = keras_layer(kind, weights, x, state, reset_after)
    blocks = np.split(np.arange(GATES[kind] * H), GATES[kind])
    for first in range(GATES[kind]):
        order = list(range(GATES[kind]))
        order[first], order[first - 1] = order[first - 1], order[first]
        columns = np.concatenate([blocks[k] for k in order])
        changed = [each[..., columns] for each in weights]
        assert np.max(np.abs(ours(kind, changed, x, state, reset_after) - expected)) > 1e-3


def test_the_reset_gate_s_place_and_the_update_gate_s_sense_are_seen() -> None:
    weights = drawn("GRU", False)
    x, state = start("GRU")
    expected = keras_layer("GRU", weights, x, state, False)
    after = [*weights[:2], np.stack([weights[2], np.zeros_like(weights[2])])]
    assert np.max(np.abs(ours("GRU", after, x, state, True) - expected)) > 1e-3
    flipped = [each.copy() for each in weights]
    for each in flipped:
        each[..., :H] *= -1
    assert np.max(np.abs(ours("GRU", flipped, x, state, False) - expected)) > 1e-3


PUBLISHED = {
    "elman": ("SimpleRNN", True),
    "lstm": ("LSTM", True),
    "gru": ("GRU", False),
    "gru_reset_after": ("GRU", True),
}


@pytest.mark.parametrize(("cell", "shape", "hidden", "options", "expected"), KERAS, ids=repr)
def test_keras_s_own_numbers(
    cell: str, shape: tuple[int, int, int], hidden: int, options: str, expected: list[Any]
) -> None:
    kind, reset_after = PUBLISHED[cell]
    G = GATES[kind]
    bias = np.full((2, G * hidden) if cell == "gru_reset_after" else (G * hidden,), 0.03)
    if "forget" in options:
        bias[hidden : 2 * hidden] = 1.0
    weights = [np.full((shape[2], G * hidden), 0.01), np.full((hidden, G * hidden), 0.02), bias]
    weights = weights[:2] if "unbiased" in options else weights
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape).transpose(1, 0, 2)
    x = np.ascontiguousarray(x[::-1] if "backwards" in options else x)
    initial = np.arange(shape[0] * hidden, dtype=np.float64).reshape(shape[0], hidden)
    initial = initial if "initial" in options else np.zeros_like(initial)
    states = ("h", "c") if kind == "LSTM" else ("h",)
    y = ours(kind, weights, x, {name: initial.copy() for name in states}, reset_after)[-1]
    wanted = np.array(expected)
    assert np.max(np.abs(y - (wanted[:, None] if wanted.ndim == 1 else wanted))) < 1e-6


# Keras's own: `get_weights` calls NumPy in a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "reset_after"), LAYERS)
def test_keras_itself_agrees(
    kind: str, reset_after: bool, bias: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="Keras runs on PyTorch here")
    # Keras reads its backend when it is first imported.
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    keras = pytest.importorskip("keras", reason="the oracle is Keras")
    options: dict[str, Any] = {"use_bias": bias, "return_sequences": True, "dtype": dtype}
    options |= {"reset_after": reset_after} if kind == "GRU" else {}
    layer = getattr(keras.layers, kind)(H, **options)
    layer.build((B, T, I))
    weights = [each.astype(dtype) for each in drawn(kind, reset_after, bias=bias)]
    assert [each.shape for each in layer.get_weights()] == [each.shape for each in weights]
    layer.set_weights(weights)
    x, state = start(kind)
    x, state = x.astype(dtype), {name: array.astype(dtype) for name, array in state.items()}
    given = keras.ops.convert_to_tensor(x.transpose(1, 0, 2).copy())
    initial = [keras.ops.convert_to_tensor(each) for each in state.values()]
    found = keras.ops.convert_to_numpy(layer(given, initial_state=initial)).transpose(1, 0, 2)
    taken = gatewright.keras.from_keras(layer.get_weights(), kind, reset_after=reset_after)
    cell = gatewright.keras.cell(kind, reset_after=reset_after)
    y = cell.compile("reference", dtype).forward(taken, x, state).y
    # In double precision, Keras's own loop on PyTorch is 3e-8 off Keras's own equations.
    looped = kind == "SimpleRNN" or (kind, reset_after) == ("GRU", False)
    tolerance = 1e-6 if looped or dtype == "float32" else 1e-14
    assert np.max(np.abs(y - found)) < tolerance
    back = gatewright.keras.to_keras(taken, kind, reset_after=reset_after)
    layer.set_weights(back if bias else back[:2])
    again = keras.ops.convert_to_numpy(layer(given, initial_state=initial)).transpose(1, 0, 2)
    assert np.max(np.abs(again - found)) < tolerance


class Fake:
    """What `layers` asks of a layer: its class's name, its methods, its parts."""

    def __init__(self, weights: list[Array] | None = None, **config: Any) -> None:
        self.name, self._weights = str(config.pop("name", "fake")), weights or []
        self.__dict__ |= {key: config.pop(key) for key in list(config) if "layer" in key}
        self._config = config

    def get_config(self) -> dict[str, Any]:
        return self._config

    def get_weights(self) -> list[Array]:
        return self._weights


def fake(kind: str, *arguments: Any, base: type = Fake, **config: Any) -> Any:
    return type(kind, (base,), {})(*arguments, **config)


def test_layers_of_a_model_come_with_their_cell_and_direction() -> None:
    weights = {each: drawn(*each) for each in LAYERS}
    lstm = fake("LSTM", weights["LSTM", True], name="first", activation="tanh")
    both = fake(
        "Bidirectional",
        forward_layer=fake("GRU", weights["GRU", True], reset_after=True, name="ahead"),
        backward_layer=fake(
            "GRU", weights["GRU", False], reset_after=False, go_backwards=True, name="back"
        ),
    )
    relu = fake("SimpleRNN", weights["SimpleRNN", True], activation="relu", name="last")
    inner = fake("Sequential", layers=[both, fake("Dense", [np.ones((2, 2))])])
    found = gatewright.keras.layers(fake("Functional", layers=[lstm, inner, relu]))
    assert [(each.node, each.cell, each.settings, each.reverse) for each in found] == [
        ("first", "lstm", {}, False),
        ("ahead", "gru_reset_after", {}, False),
        ("back", "gru", {}, True),
        ("last", "elman", {"activation": "relu"}, False),
    ]
    expected = gatewright.keras.from_keras(weights["GRU", False], "GRU", reset_after=False)
    assert all(np.array_equal(found[2].parameters[n], each) for n, each in expected.items())
    assert gatewright.keras.layers(fake("Dense", [np.ones((2, 2))])) == ()


def test_layers_that_no_cell_computes_are_refused() -> None:
    good = drawn("GRU", True)
    cases: list[tuple[Any, str]] = [
        (fake("GRU", good, activation="relu", name="g"),
         "GRU 'g' with `activation` 'relu' is not a cell of the catalogue"),
        (fake("GRU", good, recurrent_activation="hard_sigmoid", name="g"),
         "GRU 'g' with `recurrent_activation` 'hard_sigmoid' is not a cell"),
        (fake("SimpleRNN", drawn("SimpleRNN", True), activation="linear", name="s"),
         "SimpleRNN 's' with `activation` 'linear' is not a cell"),
        (fake("SimpleRNN", drawn("SimpleRNN", True), name="s",
              activation={"class_name": "__lambda__", "config": {"value": "4wEAAAAAAAAA"}}),
         "SimpleRNN 's' with an `activation` of its own is not a cell of the catalogue"),
        (fake("GRU", name="g"), "GRU 'g' has no weights yet: build it or call it once"),
        (fake("Mine", good, base=type("GRU", (Fake,), {}), name="m"),
         "what layer 'm' computes, a Mine, is unknown: `from_keras` takes the arrays"),
        (fake("RNN", good, name="r"), "what layer 'r' computes, a RNN, is unknown"),
        (good, "`model` must be a Keras model or layer; got list"),
    ]  # fmt: skip
    for model, sentence in cases:
        with pytest.raises(ArgumentError) as caught:
            gatewright.keras.layers(model)
        assert sentence in str(caught.value)
    with pytest.raises(ArgumentError, match=r"`weights` must be a list of arrays.*got GRU"):
        gatewright.keras.from_keras(fake("GRU", good), "GRU")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_model_of_keras_itself_is_read_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="Keras runs on PyTorch here")
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    keras = pytest.importorskip("keras", reason="the oracle is Keras")
    made = keras.layers
    model = keras.Sequential(
        [
            made.Input((T, I)),
            made.Bidirectional(made.LSTM(H, return_sequences=True)),
            made.SimpleRNN(H, activation="relu", return_sequences=True),
            made.Dense(3),
            made.GRU(H, return_sequences=True, go_backwards=True, use_bias=False),
        ]
    )
    found = gatewright.keras.layers(model)
    assert [(each.cell, each.reverse) for each in found] == [
        ("lstm", False), ("lstm", True), ("elman", False), ("gru_reset_after", True),
    ]  # fmt: skip
    x = np.random.default_rng(1).uniform(-1, 1, (B, T, I)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x))

    def run(each: Any, x: Array) -> Array:
        cell = gatewright.load(each.cell, **each.settings).compile("reference", "float32")
        given = np.ascontiguousarray(x[::-1] if each.reverse else x)
        y: Array = cell.forward(each.parameters, given).y
        return y

    ahead, back, plain, last = found
    y = x.transpose(1, 0, 2)
    y = np.concatenate([run(ahead, y), run(back, y)[::-1]], -1)
    y = run(plain, np.ascontiguousarray(y))
    kernel, bias = model.layers[2].get_weights()
    # Keras leaves the outputs of a layer that goes backwards in the order in which they came.
    y = run(last, np.ascontiguousarray(y @ kernel + bias)).transpose(1, 0, 2)
    assert np.max(np.abs(y - expected)) < 1e-5
    with pytest.raises(ArgumentError, match="`activation` 'elu' is not a cell of the catalogue"):
        layer = made.LSTM(H, activation="elu")
        layer.build((B, T, I))
        gatewright.keras.layers(layer)
    with pytest.raises(ArgumentError, match="has no weights yet"):
        gatewright.keras.layers(made.LSTM(H))


def test_weights_convert_without_keras() -> None:
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "import gatewright; cell = gatewright.keras.cell('LSTM')\n"
        "print(len(gatewright.keras.to_keras(cell.init(input=2, hidden=3), 'LSTM')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "3\n", done.stderr


@pytest.mark.parametrize(("kind", "reset_after"), LAYERS)
def test_a_layer_without_bias_gets_two_arrays(kind: str, reset_after: bool) -> None:
    weights = drawn(kind, reset_after)
    options = {"reset_after": reset_after, "use_bias": False}
    parameters = gatewright.keras.from_keras(weights[:2], kind, reset_after=reset_after)
    back = gatewright.keras.to_keras(parameters, kind, **options)
    assert all(np.array_equal(a, b) for a, b in zip(back, weights[:2], strict=True))
    biased = gatewright.keras.from_keras(weights, kind, reset_after=reset_after)
    with pytest.raises(ArgumentError, match=f"a {kind} without bias cannot have these: not all"):
        gatewright.keras.to_keras(biased, kind, **options)


def test_mistakes_are_sentences() -> None:
    good = drawn("GRU", True)
    cases: list[tuple[Any, str, bool, str]] = [
        (good, "QRNN", True, "`kind` must be one of LSTM, GRU, SimpleRNN; got 'QRNN'"),
        (good, "GRU", False,
         "the bias of GRU(reset_after=False) with 6 units must be [18]; got [2, 18]"),
        (good, "LSTM", True, "the kernel of LSTM with 6 units must be [4, 24]; got [4, 18]"),
        (good[:1], "GRU", True, "got 1 arrays"),
        (good * 2, "GRU", True, "a Bidirectional layer has those of its forward layer"),
        ([good[0], good[1].astype("float32"), good[2]], "GRU", True,
         "the recurrent kernel must have dtype float64; got float32"),
        ([each.astype("int64") for each in good], "GRU", True,
         "the kernel must have dtype float32 or float64; got int64"),
        ([each.tolist() for each in good], "GRU", True, "the kernel must be a NumPy array; got"),
        ([good[0][0], *good[1:]], "GRU", True, "the kernel must have 2 axes; got [18]"),
    ]  # fmt: skip
    for weights, kind, reset_after, sentence in cases:
        with pytest.raises(ArgumentError) as caught:
            gatewright.keras.from_keras(weights, kind, reset_after=reset_after)
        assert sentence in str(caught.value)
    parameters = gatewright.keras.from_keras(good, "GRU")
    with pytest.raises(ArgumentError, match="parameters have unknown `b_hn`"):
        gatewright.keras.to_keras(parameters, "GRU", reset_after=False)
