"""LoadedCell, parameters -> ONNX model, and ONNX's own recurrent weights -> parameters.

    export(cell, parameters, path)   a model of the cell, or of layers of it, for inference
    parameters(model)                our parameters of the one recurrent node of a model
    layers(model)                    the same for each of its nodes and directions

A model takes x [T, B, dim] by the cell's names and initial_h [B, dim] for every state, all of which
must be given, and returns y [T, B, dim] and final_h [B, dim] for every state; `onnx_layers` says
what that of layers does. T and B are at least 1: onnxruntime 1.31 refuses a `Scan` over nothing and
ends the process in an RNN, LSTM or GRU.

Why a cell becomes RNN, LSTM or GRU only in single precision: onnxruntime has no double precision
for these operators and has it for `Scan`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gatewright import __version__
from gatewright.bridges.arguments import cell_of, checked_parameters
from gatewright.bridges.blocks import Weights
from gatewright.bridges.missing import missing
from gatewright.bridges.onnx_graph import Graph, Node, Shape, scan
from gatewright.bridges.onnx_layers import checked_groups, stacked_layers
from gatewright.bridges.onnx_native import GATES, Operator, native, operator_of, weights_of
from gatewright.language.cell import Cell
from gatewright.layers.network import Network
from gatewright.runtime.validate import ArgumentError, Array

try:
    import onnx
    from onnx import external_data_helper, helper, inliner, numpy_helper
except ImportError as error:
    raise missing("onnx", "onnx") from error

__all__ = ["Weights", "export", "layers", "parameters"]

# What old and new wheels both read.
OPSET, IR_VERSION = 14, 10
ELEMENTS = {"float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE}
# The one node of a model that runs the sequence.
RECURRENT = (*GATES, "Scan")
# The inputs of RNN, GRU and LSTM that are weights, by position.
WEIGHTS = {1: "W", 2: "R", 3: "B", 7: "P"}


def export(
    cell: Any,
    parameters: Mapping[str, Array],
    path: str | os.PathLike[str] | None = None,
    *,
    native_operator: bool | None = None,
) -> Any:
    """Return an ONNX model of a cell with these parameters, and write it to `path` if given.

    `cell` may be layers too, of `gatewright.layer` or `gatewright.torch.layer`, with parameters by
    their names, such as `l0.W_i`; if they are PyTorch's, these are
    `{name: each.numpy() for name, each in layer.state_dict().items()}`. A cell that is ONNX's LSTM,
    GRU or RNN becomes that operator in single precision, every other a `Scan` over its equations;
    `native_operator` asks for the one or the other. Raises ArgumentError if parameters do not fit,
    if the operator was asked for and there is none, or if the file cannot be written.
    """
    described = getattr(cell, "network", None)
    if isinstance(described, Network):
        groups, learned = checked_groups(described, parameters)
        dtype = next(iter(groups.values())).dtype
        use = _operator(described.cell, dtype, native_operator)
        graph = stacked_layers(described, groups, learned, use, cell.batch_first)
    else:
        known = cell_of(cell, "gatewright.load or gatewright.layer")
        checked = checked_parameters(known, parameters)
        use, dtype = _operator(known, checked.dtype, native_operator), checked.dtype
        graph = native(known, checked, use) if use else scan(known, checked)
    element = ELEMENTS[dtype]
    model = helper.make_model(
        _graph(graph, element),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="gatewright",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        _write(Path(path), model.SerializeToString())
    return model


def _operator(cell: Cell, dtype: str, wanted: bool | None) -> Operator | None:
    """Return the operator that a cell becomes, None for a `Scan`. Raises ArgumentError."""
    operator = operator_of(cell)
    if wanted and operator is None:
        raise ArgumentError(f"ONNX has no operator for {cell.identifier}: it becomes a `Scan`")
    return operator if wanted or (wanted is None and dtype == "float32") else None


def parameters(model: Any) -> dict[str, Array]:
    """Return our parameters for the one RNN, LSTM or GRU node of a model (or its file's path).

    Raises ArgumentError if there is none or more than one (see `layers`), or if no cell of the
    catalogue computes it.
    """
    found = layers(model)
    if len(found) != 1:
        raise ArgumentError(
            f"the model has {len(found)} recurrent layers, counting directions; "
            "gatewright.onnx.layers returns each"
        )
    return found[0].parameters


def layers(model: Any) -> tuple[Weights, ...]:
    """Return the weights of every RNN, LSTM and GRU node and direction, in the model's order.

    Nodes inside branches, loops and functions of the model are among them. `model` is a ModelProto
    or the path of its file, beside which its external data lie. Raises ArgumentError if it cannot
    be read, if weights are not constants of the model, or if no cell of the catalogue computes a
    node.
    """
    if isinstance(model, str | os.PathLike):
        model = _read(Path(model))
    if not isinstance(model, onnx.ModelProto):
        raise ArgumentError(f"`model` must be a ModelProto or a path; got {type(model).__name__}")
    if model.functions:
        try:
            model = inliner.inline_local_functions(model)
        except Exception as error:  # onnx's own, made in C++
            raise ArgumentError(f"the model's functions cannot be read: {error}") from None
    return tuple(_found(model.graph, {}))


def _found(graph: Any, outer: Mapping[str, Any]) -> Iterator[Weights]:
    """Yield the weights of a graph's nodes and, where these are graphs, of what is inside them."""
    constants = {**outer, **_constants(graph)}
    for node in graph.node:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type in GATES and node.domain in ("", "ai.onnx"):
            arrays = _weights(node, constants)
            yield from weights_of(node.op_type, arrays, attributes, node.name)
        for value in attributes.values():
            if isinstance(value, onnx.GraphProto):
                yield from _found(value, constants)


def _weights(node: Any, constants: Mapping[str, Any]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for position, name in WEIGHTS.items():
        given = node.input[position] if position < len(node.input) else ""
        if given and given not in constants:
            raise ArgumentError(
                f"{name} of {node.op_type} {node.name!r} is computed by the model: fold its "
                "constants first"
            )
        if given:
            found[name] = _array(f"{name} of {node.op_type} {node.name!r}", constants[given])
    return found


def _array(name: str, tensor: Any) -> Array:
    """Return a tensor of a model as an array. Raises ArgumentError."""
    if external_data_helper.uses_external_data(tensor):
        raise ArgumentError(f"{name} is in another file: give the model's path")
    try:
        return numpy_helper.to_array(tensor)
    except (KeyError, TypeError, ValueError) as error:  # types and sizes that it cannot have
        raise ArgumentError(f"{name} cannot be read: {error}") from None


def _constants(graph: Any) -> dict[str, Any]:
    """Return the tensors that a graph holds, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _graph(graph: Graph, element: int) -> Any:
    def typed(shapes: Mapping[str, Shape]) -> list[Any]:
        return [helper.make_tensor_value_info(n, element, shape) for n, shape in shapes.items()]

    return helper.make_graph(
        [_node(node, element) for node in graph.nodes],
        graph.name,
        typed(graph.inputs),
        typed(graph.outputs),
        [numpy_helper.from_array(array, name) for name, array in graph.weights.items()],
    )


def _node(node: Node, element: int) -> Any:
    attributes = {
        name: _graph(value, element) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }
    return helper.make_node(node.operator, node.inputs, node.outputs, **attributes)


def _read(path: Path) -> Any:
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception:  # protobuf's own, which has no public name
        raise ArgumentError(f"cannot read {path}: it is no ONNX model") from None
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ArgumentError(f"cannot read the external data of {path}: {error}") from None
    return model


def _write(path: Path, content: bytes) -> None:
    """Write a file, all of it or nothing. Raises ArgumentError if it cannot be written."""
    staged = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            staged = Path(file.name)
            file.write(content)
        staged.chmod(0o644)
        staged.replace(path)
    except OSError as error:
        if staged is not None:
            staged.unlink(missing_ok=True)
        raise ArgumentError(f"cannot write {path}: {error.strerror or error}") from None
