"""ONNX inputs -> ONNX outputs: one recurrent node, run by the onnxruntime wheel.

Opset 14 and IR version 10 are what old and new wheels both read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from tests.oracles.evaluation import Array, Arrays

# The operator's positional inputs; "" is `sequence_lens`, which nothing here sets.
INPUTS = {
    "RNN": ("X", "W", "R", "B", "", "initial_h"),
    "GRU": ("X", "W", "R", "B", "", "initial_h"),
    "LSTM": ("X", "W", "R", "B", "", "initial_h", "initial_c", "P"),
}
OUTPUTS = {
    "Y": ("time", "directions", "batch", "hidden"),
    "Y_h": ("directions", "batch", "hidden"),
    "Y_c": ("directions", "batch", "hidden"),
}


def build_model(operator: str, feeds: Arrays, hidden: int, **attributes: Any) -> bytes:
    """Return a model of one node whose inputs are the names in `feeds`."""
    inputs = [name if name in feeds else "" for name in INPUTS[operator]]
    outputs = [name for name in OUTPUTS if operator == "LSTM" or name != "Y_c"]
    node = helper.make_node(operator, inputs, outputs, hidden_size=hidden, **attributes)
    graph = helper.make_graph(
        [node],
        operator.lower(),
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
            for name, array in feeds.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, OUTPUTS[name]) for name in outputs],
    )
    opset = [helper.make_opsetid("", 14)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def run_onnx(operator: str, feeds: Arrays, **attributes: Any) -> tuple[Array, Arrays]:
    """Run one direction; return y as [T, B, H] and the final states by our names."""
    feeds = {name: np.asarray(array, np.float32) for name, array in feeds.items()}
    hidden = feeds["R"].shape[-1]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        build_model(operator, feeds, hidden, **attributes),
        options,
        providers=["CPUExecutionProvider"],
    )
    y, *final = session.run(None, feeds)
    return y[:, 0], {name: array[0] for name, array in zip(("h", "c"), final, strict=False)}
