"""Exported models compute in onnxruntime what the cell computes here, and ONNX's weights come in.

The truth is onnxruntime's; its operators were held against the kernels in `tests/external`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import gatewright
from gatewright.bridges.arguments import read_weights
from gatewright.loaded import LoadedCell
from gatewright.resources import data_folder
from gatewright.runtime.validate import ArgumentError
from tests.oracles.catalogue import variants
from tests.oracles.compiled import compiled
from tests.oracles.evaluation import Array, Arrays, draw

REASON = "the oracle is the onnxruntime wheel"
onnx = pytest.importorskip("onnx", reason=REASON)
onnxruntime = pytest.importorskip("onnxruntime", reason=REASON)

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
NATIVE = {
    "lstm": "LSTM",
    "lstm_peephole": "LSTM",
    "gru": "GRU",
    "gru_reset_after": "GRU",
    "elman": "RNN",
}
T, B, I, H = 7, 3, 4, 6  # noqa: E741
ODD = """cell: odd
title: Every function, and names that a model also uses
cite: [nobody2026]
inputs: {x: input, y: hidden}
states: {h: hidden, k: hidden, initial_h: hidden}
parameters:
  W: [hidden, input]
  U, V: [hidden, hidden]
  b, final_h: [hidden]
  a: []
constants:
  beta: 0.75
equations:
  s: W @ x + U @ h - (-b) * beta / 3 + a
  u: softplus(s) - silu(y) + softsign(s) * hard_tanh(1.7 * y)
  v: max(sin(s), cos(u)) + min(abs(u), 0.5) - relu(s)^2
  w: sqrt(1 + y^2) * log(2 + exp(-abs(v)))
  m: w
  q: V @ tanh(b)
  h': sigmoid(v) * tanh(m) + q * k * initial_h
  k': tanh(final_h)
  initial_h': h'
output: h'
"""


def run_model(model: Any, x: Array | Arrays, state: Arrays) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feeds = dict(x) if isinstance(x, dict) else {"x": x}
    (names,) = {tuple(each.name for each in session.get_inputs())}
    initial = [name for name in names if name not in feeds]
    feeds |= dict(zip(initial, state.values(), strict=True))
    outputs = [each.name for each in session.get_outputs()]
    return dict(zip(outputs, session.run(None, feeds), strict=True))


def operators(model: Any) -> set[str]:
    return {node.op_type for node in model.graph.node} & {"RNN", "GRU", "LSTM", "Scan"}


def drawn(cell: LoadedCell, dtype: str) -> tuple[Arrays, Any, Arrays]:
    """Draw parameters, inputs and states; nothing is zero."""
    rng = np.random.default_rng(3)
    parameters = cell.init(input=I, hidden=H, dtype=dtype)
    sizes = {"input": I, "hidden": H}
    inputs = {
        each.name: rng.uniform(-1, 1, (T, B, sizes[each.dims[0]])).astype(dtype)
        for each in cell.cell.inputs
    }
    state = {each.name: rng.uniform(-1, 1, (B, H)).astype(dtype) for each in cell.cell.states}
    return parameters, inputs if len(inputs) > 1 else inputs["x"], state


def difference(found: Arrays, kernels: Any, parameters: Arrays, x: Any, state: Arrays) -> float:
    """Return the largest difference of outputs and final states from those of kernels."""
    run = kernels.forward(parameters, x, state)
    expected = [run.y, *run.state.values()]
    y, *final = expected
    pairs = zip(list(found.values()), [y, *final], strict=True)
    return max(float(np.max(np.abs(a.astype(float) - b))) for a, b in pairs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "choices"), variants(), ids=str)
def test_every_cell_agrees_in_both_forms(name: str, choices: dict[str, str], dtype: str) -> None:
    cell = gatewright.load(name, **choices)
    parameters, x, state = drawn(cell, dtype)
    reference = cell.compile("reference", "float64")
    wide = [{k: v.astype(float) for k, v in each.items()} for each in (parameters, state)]
    native = NATIVE.get(name) if dtype == "float32" else None
    for form, expected in ((None, native or "Scan"), (False, "Scan")):
        model = gatewright.onnx.export(cell, parameters, native_operator=form)
        assert operators(model) == {expected}
        found = run_model(model, x, state)
        assert all(array.dtype == dtype for array in found.values())
        assert list(found) == ["y", *(f"final_{s}" for s in state)]
        assert difference(found, reference, wide[0], x.astype(float), wide[1]) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", NATIVE)
def test_a_native_operator_agrees_with_the_compiled_kernels(name: str) -> None:
    cell = gatewright.load(name)
    parameters, x, state = drawn(cell, "float32")
    found = run_model(gatewright.onnx.export(cell, parameters), x, state)
    assert difference(found, compiled(name, "float32"), parameters, x, state) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_construct_of_the_language_becomes_operators(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(ODD)
    cell = gatewright.load(path)
    parameters, inputs, state = drawn(cell, dtype)
    model = gatewright.onnx.export(cell, parameters)
    found = run_model(model, inputs, state)
    assert (
        difference(found, cell.compile("reference", dtype), parameters, inputs, state)
        < 10 * TOLERANCE[dtype]
    )
    changed = gatewright.load(path, beta=0.5)
    found = run_model(gatewright.onnx.export(changed, parameters), inputs, state)
    assert difference(found, changed.compile("reference", dtype), parameters, inputs, state) < 1e-4
    assert difference(found, cell.compile("reference", dtype), parameters, inputs, state) > 1e-3


def test_products_of_inputs_are_made_before_the_loop() -> None:
    cell = gatewright.load("lstm_coupled")
    model = gatewright.onnx.export(cell, drawn(cell, "float32")[0])
    outside = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert [node.input[0] for node in outside] == ["x"] * 3
    body = attribute(model, "Scan", "body").g
    inside = [node for node in body.node if node.op_type == "MatMul"]
    assert [node.input[0] for node in inside] == ["step/h"] * 3


def attribute(model: Any, operator: str, name: str) -> Any:
    (node,) = [node for node in model.graph.node if node.op_type == operator]
    return next(each for each in node.attribute if each.name == name)


def wrong_reset(model: Any) -> None:
    attribute(model, "GRU", "linear_before_reset").i ^= 1


def swapped_gates(model: Any) -> None:
    tensor = next(each for each in model.graph.initializer if each.name == "R")
    array = onnx.numpy_helper.to_array(tensor)
    rows = np.concatenate([array[:, H : 2 * H], array[:, :H], array[:, 2 * H :]], axis=1)
    tensor.CopyFrom(onnx.numpy_helper.from_array(rows, "R"))


def other_sign(model: Any) -> None:
    body = attribute(model, "Scan", "body").g
    next(node for node in body.node if node.op_type == "Sub").op_type = "Add"


FAULTS: list[tuple[str, bool | None, Callable[[Any], None]]] = [
    ("gru", None, wrong_reset),
    ("gru_reset_after", None, wrong_reset),
    ("gru", None, swapped_gates),
    ("lstm", None, swapped_gates),
    ("lstm_peephole", None, swapped_gates),
    ("gru", False, other_sign),
    ("janet", None, other_sign),
]


@pytest.mark.parametrize(("name", "form", "fault"), FAULTS)
def test_a_wrong_model_is_seen(name: str, form: bool | None, fault: Any) -> None:
    cell = gatewright.load(name)
    parameters, x, state = drawn(cell, "float32")
    for array in parameters.values():
        array += 0.3
    model = gatewright.onnx.export(cell, parameters, native_operator=form)
    reference = cell.compile("reference", "float32")
    assert difference(run_model(model, x, state), reference, parameters, x, state) < 1e-5
    fault(model)
    assert difference(run_model(model, x, state), reference, parameters, x, state) > 1e-3


def test_a_cell_is_known_by_its_equations_and_not_by_its_name(tmp_path: Path) -> None:
    text = (data_folder("specs") / "gru.yaml").read_text()
    renamed = tmp_path / "mine.yaml"
    renamed.write_text(text.replace("cell: gru", "cell: mine"))
    other = tmp_path / "gru.yaml"
    other.write_text(text.replace("(1 - z) * h + z * n", "z * h + (1 - z) * n"))
    for path, expected in ((renamed, "GRU"), (other, "Scan")):
        cell = gatewright.load(path)
        parameters, x, state = drawn(cell, "float32")
        model = gatewright.onnx.export(cell, parameters)
        assert operators(model) == {expected}
        reference = cell.compile("reference", "float32")
        assert difference(run_model(model, x, state), reference, parameters, x, state) < 1e-5


# ---------------------------------------------------------------------------------- weights

NODES: list[tuple[str, str, dict[str, Any], bool]] = [
    ("LSTM", "lstm", {}, False),
    ("LSTM", "lstm_peephole", {}, True),
    ("LSTM", "lstm_coupled", {"input_forget": 1}, False),
    ("GRU", "gru", {"linear_before_reset": 0}, False),
    ("GRU", "gru_reset_after", {"linear_before_reset": 1}, False),
    ("RNN", "elman", {}, False),
    ("RNN", "elman", {"activations": ["Relu", "Relu"]}, False),
]
INPUTS = ("X", "W", "R", "B", "", "initial_h", "initial_c", "P")


def foreign(
    operator: str, attributes: dict[str, Any], *, peepholes: bool = False, bias: bool = True,
    directions: int = 2, dtype: str = "float32",
) -> tuple[Any, Arrays]:  # fmt: skip
    """Return a model as others make it, with weights inside, and those weights."""
    gates, rng = {"RNN": 1, "GRU": 3, "LSTM": 4}[operator], np.random.default_rng(5)
    weights = {
        "W": np.stack([draw(rng, (gates * H, I)) for _ in range(directions)]),
        "R": np.stack([draw(rng, (gates * H, H)) for _ in range(directions)]),
        "B": rng.uniform(-1, 1, (directions, 2 * gates * H)),
        "P": rng.uniform(-1, 1, (directions, 3 * H)),
    }
    weights = {name: array.astype(dtype) for name, array in weights.items()}
    used = {"W", "R"} | ({"B"} if bias else set()) | ({"P"} if peepholes else set())
    weights = {name: array for name, array in weights.items() if name in used}
    state = ["initial_h", "initial_c"] if operator == "LSTM" else ["initial_h"]
    names = ["X", *weights, *state]
    inputs = [name if name in names else "" for name in INPUTS]
    while not inputs[-1]:
        inputs.pop()
    outputs = ["Y", "Y_h", *(["Y_c"] if operator == "LSTM" else [])]
    direction = {1: "forward", 2: "bidirectional"}[directions]
    attributes = {"direction": direction, **attributes, "hidden_size": H}
    node = onnx.helper.make_node(operator, inputs, outputs, name="layer", **attributes)
    kind = onnx.TensorProto.FLOAT

    def typed(name: str, rank: int) -> Any:
        return onnx.helper.make_tensor_value_info(name, kind, [None] * rank)

    graph = onnx.helper.make_graph(
        [node],
        "foreign",
        [typed("X", 3), *(typed(name, 3) for name in state)],
        [typed(name, 4 if name == "Y" else 3) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = [onnx.helper.make_opsetid("", 14)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), weights


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("operator", "cell", "attributes", "peepholes"), NODES)
def test_weights_of_both_directions_come_in(
    operator: str, cell: str, attributes: dict[str, Any], peepholes: bool, bias: bool
) -> None:
    model, _ = foreign(operator, attributes, peepholes=peepholes, bias=bias)
    rng = np.random.default_rng(6)
    x = rng.uniform(-1, 1, (T, B, I)).astype("float32")
    states = ("h", "c") if operator == "LSTM" else ("h",)
    initial = {s: rng.uniform(-1, 1, (2, B, H)).astype("float32") for s in states}
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {"X": x, **{f"initial_{s}": array for s, array in initial.items()}}
    y = session.run(None, feeds)[0]
    found = gatewright.onnx.layers(model)
    assert [each.reverse for each in found] == [False, True]
    for k, each in enumerate(found):
        assert (each.cell, each.node) == (cell, "layer")
        reference = gatewright.load(each.cell, **each.settings).compile("reference", "float32")
        given = x[::-1].copy() if each.reverse else x
        run = reference.forward(each.parameters, given, {s: a[k] for s, a in initial.items()})
        ours = run.y[::-1] if each.reverse else run.y
        assert np.max(np.abs(ours - y[:, k])) < 1e-5


@pytest.mark.parametrize("name", NATIVE)
def test_what_was_exported_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    cell = gatewright.load(name)
    parameters = cell.init(input=I, hidden=H)
    path = tmp_path / "cell.onnx"
    gatewright.onnx.export(cell, parameters, path)
    found = gatewright.onnx.parameters(path)
    assert found.keys() == parameters.keys()
    for key, array in parameters.items():
        assert np.array_equal(found[key], array), key
    assert [each.name for each in tmp_path.iterdir()] == ["cell.onnx"]


def test_importing_notices_a_wrong_order_of_gates() -> None:
    model, weights = foreign("LSTM", {}, directions=1)
    ours = gatewright.onnx.parameters(model)
    assert np.array_equal(ours["W_o"], weights["W"][0, H : 2 * H])
    assert not np.array_equal(ours["W_f"], weights["W"][0, H : 2 * H])


def inside(model: Any, how: str) -> Any:
    """Return the node of a model in a branch with outer weights, a loop of a branch, a function."""
    body, weights = onnx.GraphProto(), list(model.graph.initializer)
    body.CopyFrom(model.graph)
    del body.initializer[:], body.input[:]
    opset = [onnx.helper.make_opsetid("", 14), onnx.helper.make_opsetid("own", 1)]
    if how == "function":
        node = model.graph.node[0]
        made = onnx.helper.make_function(
            "own", "Layer", list(node.input), list(node.output), [node], opset[:1]
        )
        nodes = [onnx.helper.make_node("Layer", node.input, node.output, domain="own")]
        graph = onnx.helper.make_graph(nodes, "outer", model.graph.input, [], weights)
        return onnx.helper.make_model(graph, opset_imports=opset, functions=[made])
    branches = {"then_branch": body, "else_branch": onnx.helper.make_graph([], "none", [], [])}
    node = onnx.helper.make_node("If", ["condition"], ["Y"], **branches)
    if how == "loop":
        around = onnx.helper.make_graph([node], "step", [], [])
        node = onnx.helper.make_node("Loop", ["count", ""], ["Y"], body=around)
    return onnx.helper.make_model(onnx.helper.make_graph([node], "outer", [], [], weights))


@pytest.mark.parametrize("how", ["branch", "loop", "function"])
def test_weights_inside_branches_loops_and_functions_come_in(how: str) -> None:
    model, _ = foreign("GRU", {"linear_before_reset": 1})
    found = gatewright.onnx.layers(inside(model, how))
    for ours, expected in zip(found, gatewright.onnx.layers(model), strict=True):
        assert (ours.cell, ours.reverse) == (expected.cell, expected.reverse)
        assert all(np.array_equal(ours.parameters[n], a) for n, a in expected.parameters.items())


def test_weights_in_a_file_beside_the_model_come_in(tmp_path: Path) -> None:
    model, _ = foreign("LSTM", {}, directions=1)
    expected = gatewright.onnx.parameters(model)
    path = tmp_path / "model.onnx"
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, path, **options)
    found = gatewright.onnx.parameters(path)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())
    with pytest.raises(ArgumentError, match="W of LSTM 'layer' is in another file: give the"):
        gatewright.onnx.parameters(onnx.load_model_from_string(path.read_bytes()))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ArgumentError, match="cannot read the external data of"):
        gatewright.onnx.parameters(path)


# --------------------------------------------------------------------------------- mistakes


def test_functions_that_call_themselves_are_refused_in_a_sentence() -> None:
    node = onnx.helper.make_node("F", ["x"], ["y"], domain="own")
    opsets = [onnx.helper.make_opsetid("own", 1), onnx.helper.make_opsetid("", 14)]
    made = onnx.helper.make_function("own", "F", ["x"], ["y"], [node], opsets[:1])
    graph = onnx.helper.make_graph([node], "g", [], [])
    model = onnx.helper.make_model(graph, functions=[made], opset_imports=opsets)
    with pytest.raises(ArgumentError, match="the model's functions cannot be read: "):
        gatewright.onnx.layers(model)


def test_what_no_cell_computes_is_refused_in_a_sentence() -> None:
    cases: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
        ("LSTM", {"clip": 3.0}, {}, "LSTM with `clip` is not a cell of the catalogue"),
        ("GRU", {"activations": ["HardSigmoid", "Tanh"]}, {},
         "GRU with activations HardSigmoid, Tanh is not a cell of the catalogue"),
        ("LSTM", {"input_forget": 1}, {"peepholes": True},
         "LSTM with `input_forget` and peepholes is not a cell of the catalogue"),
        ("GRU", {}, {"dtype": "float16"}, "W of GRU must be float32 or float64; got float16"),
        ("RNN", {"direction": "sideways"}, {},
         "`direction` of RNN is none of ONNX's; got 'sideways'"),
    ]  # fmt: skip
    for operator, attributes, options, sentence in cases:
        model, _ = foreign(operator, attributes, directions=1, **options)
        with pytest.raises(ArgumentError) as caught:
            gatewright.onnx.parameters(model)
        assert str(caught.value) == sentence
    model, _ = foreign("GRU", {})
    model.graph.initializer[0].dims[0] = 3
    with pytest.raises(ArgumentError, match="W of GRU 'layer' cannot be read: cannot reshape"):
        gatewright.onnx.layers(model)
    model, weights = foreign("GRU", {})
    recurrent = onnx.numpy_helper.from_array(weights["R"].astype("float64"), "R")
    model.graph.initializer[1].CopyFrom(recurrent)
    with pytest.raises(ArgumentError, match="R of GRU must be float32, as W is; got float64"):
        gatewright.onnx.layers(model)
    model, _ = foreign("GRU", {})
    with pytest.raises(ArgumentError, match="2 recurrent layers, counting directions"):
        gatewright.onnx.parameters(model)
    del model.graph.initializer[:]
    with pytest.raises(ArgumentError, match="W of GRU 'layer' is computed by the model: fold"):
        gatewright.onnx.parameters(model)
    with pytest.raises(ArgumentError, match="must be a ModelProto or a path; got int"):
        gatewright.onnx.layers(3)


def test_wrong_arguments_of_an_export_are_refused_in_a_sentence(tmp_path: Path) -> None:
    cell = gatewright.load("mgu")
    good = cell.init(input=I, hidden=H)
    mixed = {**good, "b_n": good["b_n"].astype("float64")}
    short = {**good, "U_n": good["U_n"][:, 1:]}
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        ("mgu", good, {}, "`cell` must come from gatewright.load or gatewright.layer; got str"),
        (cell, {}, {}, "parameters lack `W_f`"),
        (cell, mixed, {}, "`b_n` must have dtype float32; got float64"),
        (cell, {k: v.astype("int32") for k, v in good.items()}, {}, "float32 or float64; got"),
        (cell, short, {}, "`U_n` must have shape [6, 6]; got [6, 5]"),
        (cell, good, {"native_operator": True}, "ONNX has no operator for mgu"),
        (cell, good, {"path": tmp_path / "none" / "f.onnx"}, "No such file or directory"),
    ]  # fmt: skip
    for given, parameters, options, sentence in cases:
        with pytest.raises(ArgumentError) as caught:
            gatewright.onnx.export(given, parameters, **options)
        assert sentence in str(caught.value)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"\xff\xff no model")
    with pytest.raises(ArgumentError, match="it is no ONNX model"):
        gatewright.onnx.parameters(bad)
    with pytest.raises(ArgumentError, match="No such file"):
        gatewright.onnx.parameters(tmp_path / "none.onnx")


def test_double_precision_takes_the_operator_when_it_is_asked_for() -> None:
    cell = gatewright.load("gru")
    parameters = cell.init(input=I, hidden=H, dtype="float64")
    model = gatewright.onnx.export(cell, parameters, native_operator=True)
    assert operators(model) == {"GRU"}


# ------------------------------------------------------------------------------ command line


def command(*arguments: str, prepare: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{prepare}\nimport sys\nfrom gatewright.cli.app import run\nsys.exit(run(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, "export", *arguments], capture_output=True, text=True
    )


def test_the_command_line_writes_what_python_writes(tmp_path: Path) -> None:
    cell = gatewright.load("elman", activation="relu")
    parameters, x, state = drawn(cell, "float32")
    weights, output = tmp_path / "weights.npz", tmp_path / "cell.onnx"
    np.savez(weights, **parameters)  # type: ignore[arg-type]
    given = ("elman", "--set", "activation=relu", "--onnx", str(output), "--weights", str(weights))
    done = command(*given)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (f"wrote {output}: elman_relu as RNN, x, initial_h to y, final_h\n")
    found = run_model(onnx.load(output), x, state)
    reference = cell.compile("reference", "float32")
    assert difference(found, reference, parameters, x, state) < 1e-5
    done = command(*given, "--scan", "--json")
    assert '"operator": "Scan"' in done.stdout


def test_the_command_line_s_mistakes_are_sentences_with_exit_codes(tmp_path: Path) -> None:
    weights, output = tmp_path / "weights.npz", tmp_path / "cell.onnx"
    given = ("lstm", "--onnx", str(output), "--weights", str(weights))
    done = command(*given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: cannot read {weights}: No such file or directory\n"
    weights.write_bytes(b"nothing of the kind")
    done = command(*given)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot read {weights} as .npz: ")
    with weights.open("wb") as file:
        np.save(file, np.zeros(3))
    done = command(*given)
    assert done.returncode == 2
    assert "it holds one array without a name" in done.stderr
    np.savez(weights, W=np.zeros(3))
    done = command(*given)
    assert done.returncode == 2
    assert done.stderr.startswith("error: parameters lack `W_i`")
    done = command(*given, prepare="import sys; sys.modules['onnx'] = None")
    sentence = "error: gatewright.onnx needs onnx: pip install 'gatewright[onnx]'\n"
    assert (done.returncode, done.stderr) == (3, sentence)
    assert not output.exists()


@hypothesis.given(cut=st.integers(0, 2000), at=st.integers(0, 2000), value=st.integers(0, 255))
@hypothesis.settings(max_examples=200, deadline=None)
def test_a_broken_file_of_weights_is_a_sentence_or_still_holds_them(
    cut: int, at: int, value: int
) -> None:
    cell = gatewright.load("elman")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        arrays: dict[str, Any] = cell.init(input=1, hidden=1)
        np.savez_compressed(path, **arrays)
        content = bytearray(path.read_bytes())
        content[at % len(content)] = value
        path.write_bytes(content[: len(content) - cut % 50])
        try:
            assert all(isinstance(each, np.ndarray) for each in read_weights(path).values())
        except ArgumentError as error:
            assert str(error).startswith(f"cannot read {path}")
