"""Problem -> Candidates of onnxruntime: its LSTM, GRU and RNN operators, inference only.

ONNX stacks its gates as rows, `i o f c` and `z r h`, has two biases that are added, peepholes in
the order `i o f`, and lets z keep the old state. Our `gru` lets z admit the candidate, so its z
parameters are the negatives of ONNX's.

Why weights are initializers of the model and not inputs: onnxruntime packs them once, when the
session starts, which is how it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from gatewright.language.catalogue import known
from gatewright.studies.problem import Arrays, Candidate, Outcome, Problem

# Operator, gates in ONNX's order, attributes.
OPERATORS: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "lstm": ("LSTM", ("_i", "_o", "_f", "_g"), {}),
    "lstm_peephole": ("LSTM", ("_i", "_o", "_f", "_g"), {}),
    "gru": ("GRU", ("_z", "_r", "_n"), {"linear_before_reset": 0}),
    "gru_reset_after": ("GRU", ("_z", "_r", "_n"), {"linear_before_reset": 1}),
    "elman": ("RNN", ("",), {}),
}
# The operators' inputs by position; "" is `sequence_lens`.
INPUTS = ("X", "W", "R", "B", "", "initial_h", "initial_c", "P")


def candidates(problem: Problem, task: str, threads: int) -> Iterator[Candidate]:
    """Yield the operator that is this cell, if there is one and the task is inference."""
    name = known(problem.cell)
    if task != "inference" or name not in OPERATORS:
        return
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        _model(problem, name), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"X": next(iter(problem.inputs.values()))}
    feeds |= {f"initial_{state}": array[None] for state, array in problem.state.items()}
    yield Candidate(
        "onnxruntime",
        lambda: session.run(None, feeds),
        lambda found: Outcome(found[0][:, 0], {}),
    )


def _model(problem: Problem, name: str) -> bytes:
    operator, gates, attributes = OPERATORS[name]
    if operator == "RNN":
        attributes = {"activations": [problem.cell.choices[0].chosen.capitalize()]}
    weights = _weights(problem.parameters, gates, name)
    initial = {f"initial_{state}": (1, *array.shape) for state, array in problem.state.items()}
    feeds = {"X": next(iter(problem.inputs.values())).shape, **initial}
    inputs = [each if each in feeds or each in weights else "" for each in INPUTS]
    while not inputs[-1]:
        inputs.pop()
    outputs = ["Y", *(f"Y_{state}" for state in problem.state)]
    node = helper.make_node(operator, inputs, outputs, hidden_size=problem.size.H, **attributes)
    graph = helper.make_graph(
        [node],
        operator.lower(),
        [_typed(each, shape) for each, shape in feeds.items()],
        [_typed(each, (None,) * (4 if each == "Y" else 3)) for each in outputs],
        [numpy_helper.from_array(array, each) for each, array in weights.items()],
    )
    # What old and new wheels both read.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


def _typed(name: str, shape: tuple[int | None, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _weights(given: Arrays, gates: tuple[str, ...], name: str) -> Arrays:
    """Return the operator's W, R, B and P for our parameters."""
    ours = dict(given)
    if name == "gru":
        ours |= {each: -ours[each] for each in ("W_z", "U_z", "b_z")}
    none = np.zeros_like(ours[f"b{gates[0]}"])
    second = [ours["b_hn"] if (gate, name) == ("_n", "gru_reset_after") else none for gate in gates]
    found = {
        "W": np.concatenate([ours[f"W{gate}"] for gate in gates])[None],
        "R": np.concatenate([ours[f"U{gate}"] for gate in gates])[None],
        "B": np.concatenate([*(ours[f"b{gate}"] for gate in gates), *second])[None],
    }
    if name == "lstm_peephole":
        found["P"] = np.concatenate([ours["p_i"], ours["p_o"], ours["p_f"]])[None]
    return found
