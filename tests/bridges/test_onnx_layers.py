"""Stacked layers as one ONNX model: onnxruntime computes what the layer on kernels computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gatewright
from gatewright.runtime.validate import ArgumentError

REASON = "the oracle is the onnxruntime wheel"
onnx = pytest.importorskip("onnx", reason=REASON)
onnxruntime = pytest.importorskip("onnxruntime", reason=REASON)

I, H = 3, 5  # noqa: E741
SIZES = ((6, 2), (1, 1), (3, 4))
DEEP = {"num_layers": 2, "bidirectional": True}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("lstm", {}, {}, ["LSTM"]),
    ("lstm", DEEP, {}, ["LSTM"] * 4),
    ("gru", DEEP, {"native_operator": False}, ["Scan"] * 4),
    ("gru_reset_after", {**DEEP, "bias": False}, {}, ["GRU"] * 4),
    ("lstm_peephole", {**DEEP, "batch_first": True, "learn_initial_state": True}, {}, ["LSTM"] * 4),
    ("janet", {**DEEP, "batch_first": True, "learn_initial_state": True}, {}, ["Scan"] * 4),
    ("lstm", {**DEEP, "proj_size": 2, "dropout": 0.5}, {}, ["Scan"] * 4),
    ("gru", {"num_layers": 2, "zoneout": 0.3, "dtype": "float64"}, {}, ["Scan"] * 2),
    ("elman", {"bidirectional": True, "activation": "relu"}, {}, ["RNN"] * 2),
]


def made(cell: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return a layer and parameters, none of which is zero."""
    layer = gatewright.layer(cell, I, H, **options, target="reference")
    rng = np.random.default_rng(0)
    start = layer.init().items()
    return layer, {n: a + rng.uniform(0.1, 0.4, a.shape).astype(a.dtype) for n, a in start}


def session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def apart(model: Any, layer: Any, parameters: dict[str, Any], T: int, B: int) -> float:
    """Return how far a model's outputs and final states are from the layer's."""
    rng = np.random.default_rng(1)
    shape = (B, T, I) if layer.batch_first else (T, B, I)
    x, state = rng.uniform(-1, 1, shape).astype(layer.dtype), None
    running = session(model)
    if not layer.network.learn_initial_state:
        count = len(layer.network.groups)
        state = {
            name: rng.uniform(-1, 1, (count, B, *dims)).astype(layer.dtype)
            for name, dims in layer.network.states.items()
        }
    feeds = {"x": x, **{f"initial_{name}": each for name, each in (state or {}).items()}}
    assert [each.name for each in running.get_inputs()] == list(feeds)
    names = [each.name for each in running.get_outputs()]
    assert names == ["y", *(f"final_{name}" for name in layer.network.states)]
    run = layer.forward(parameters, x, state)
    pairs = zip(running.run(None, feeds), [run.y, *run.state.values()], strict=True)
    return max(float(np.max(np.abs(a - b))) for a, b in pairs)


def names_read(graph: Any) -> Iterator[str]:
    """Yield what the nodes of a graph read, and those of the graphs in it."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            yield from names_read(attribute.g)


@pytest.mark.parametrize(("cell", "options", "form", "nodes"), CASES, ids=str)
def test_a_model_of_layers_agrees_for_every_number_of_steps_and_rows(
    cell: str, options: dict[str, Any], form: dict[str, Any], nodes: list[str]
) -> None:
    layer, parameters = made(cell, options)
    model = gatewright.onnx.export(layer, parameters, **form)
    kinds = [node.op_type for node in model.graph.node]
    read = {*names_read(model.graph), *(each.name for each in model.graph.output)}
    assert all(read & set(node.output) for node in model.graph.node)
    assert [each for each in kinds if each in ("LSTM", "GRU", "RNN", "Scan")] == nodes
    for T, B in SIZES:
        assert apart(model, layer, parameters, T, B) < 1e-5


def test_a_direction_the_wrong_way_and_exchanged_layers_are_seen() -> None:
    layer, parameters = made("gru", DEEP)
    model = gatewright.onnx.export(layer, parameters)
    nodes = (each for each in model.graph.node if each.op_type == "GRU")
    node = next(each for each in nodes if each.output[0].startswith("l0_reverse"))
    node.attribute.remove(next(each for each in node.attribute if each.name == "direction"))
    assert apart(model, layer, parameters, 6, 2) > 1e-3
    swapped = {n: parameters[n.replace("l1.", "l1_reverse.")] for n in parameters}
    assert apart(gatewright.onnx.export(layer, swapped), layer, parameters, 6, 2) > 1e-3


def test_the_weights_of_native_layers_come_back() -> None:
    layer, parameters = made("lstm", DEEP)
    found = gatewright.onnx.layers(gatewright.onnx.export(layer, parameters))
    assert [each.reverse for each in found] == [False, True, False, True]
    for group, each in zip(layer.network.groups, found, strict=True):
        for name, array in each.parameters.items():
            assert np.array_equal(array, parameters[f"{group}.{name}"])


def test_a_layer_of_pytorch_and_its_state_dict_are_exported(tmp_path: Any) -> None:
    torch = pytest.importorskip("torch", reason="the layer is PyTorch's")
    layer = gatewright.torch.layer("lstm_peephole", I, H, 2, bidirectional=True, backend="eager")
    held = {name: each.numpy() for name, each in layer.state_dict().items()}
    path = tmp_path / "layers.onnx"
    gatewright.onnx.export(layer, held, path)
    x = torch.randn(4, 2, I)
    zeros = np.zeros((4, 2, H), "float32")
    feeds = {"x": x.numpy(), "initial_h": zeros, "initial_c": zeros}
    y = session(onnx.load(path)).run(["y"], feeds)[0]
    assert np.max(np.abs(y - layer(x)[0].detach().numpy())) < 1e-5


def test_several_inputs_reach_every_layer(tmp_path: Any) -> None:
    path = tmp_path / "decay.yaml"
    path.write_text(
        "cell: decay\ntitle: Decay\ncite: [none2026]\n"
        "inputs: {x: input, gap: time}\nstates: {h: hidden}\n"
        "parameters:\n  W: [hidden, input]\n  V: [hidden, time]\n  U: [hidden, hidden]\n"
        "equations:\n  k: sigmoid(V @ gap)\n  h': tanh(W @ x + U @ (k * h))\noutput: h'\n"
    )
    layer, parameters = made(str(path), {**DEEP, "sizes": {"time": 2}})
    rng = np.random.default_rng(2)
    x, gap, h = (rng.uniform(-1, 1, s).astype("float32") for s in ((5, 2, I), (5, 2, 2), (4, 2, H)))
    model = gatewright.onnx.export(layer, parameters)
    y, final = session(model).run(None, {"x": x, "gap": gap, "initial_h": h})
    run = layer.forward(parameters, {"x": x, "gap": gap}, {"h": h})
    assert np.max(np.abs(y - run.y)) < 1e-5
    assert np.max(np.abs(final - run.state["h"])) < 1e-5


def test_mistakes_are_sentences() -> None:
    layer, parameters = made("janet", DEEP)
    some = {name: each for name, each in parameters.items() if name != "l1.W_f"}
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (some, {}, "parameters lack `l1.W_f`"),
        (list(parameters), {}, "parameters must be a dict of arrays; got list"),
        ({n: a.tolist() for n, a in parameters.items()}, {}, "must be a NumPy array; got list"),
        ({**parameters, "l0.W_f": np.zeros((2, 2), "float32")}, {},
         "`l0.W_f` must have shape [5, 3]; got [2, 2]"),
        ({**parameters, "l1.W_f": np.zeros((5, 10))}, {}, "`l1.W_f` must have dtype float32"),
        ({n: a.astype("float16") for n, a in parameters.items()}, {},
         "must have dtype float32 or float64; got float16"),
        (parameters, {"native_operator": True}, "ONNX has no operator for janet"),
    ]  # fmt: skip
    for given, options, sentence in cases:
        with pytest.raises(ArgumentError) as caught:
            gatewright.onnx.export(layer, given, **options)
        assert sentence in str(caught.value)
