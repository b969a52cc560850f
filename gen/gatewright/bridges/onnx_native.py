"""Cell, parameters -> Graph: a cell that is ONNX's RNN, LSTM or GRU as that operator; and back.

ONNX (operators RNN, LSTM, GRU) stacks gates as rows, `i o f c` and `z r h`, has a bias of the input
and one of the state, which are added except in a GRU's candidate with `linear_before_reset`, and
peepholes in the order `i o f`. Its z keeps the old state; that of our `gru` admits the candidate.

Why a cell is compared by its equations: a file of the user's may be called `lstm` and be another
cell, or be an LSTM under another name; `Scan` is right for every cell, so what is not recognised is
only slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from gatewright.bridges.arguments import Checked
from gatewright.bridges.blocks import Blocks, Stacked, Weights, stacked, unstacked
from gatewright.bridges.onnx_graph import Graph, Node, interface, shapes
from gatewright.language import catalogue
from gatewright.language.cell import Cell
from gatewright.runtime.validate import ArgumentError, Array

LSTM = ("_i", "_o", "_f", "_g")
GRU = ("_z", "_r", "_n")
BLOCKS = {
    "lstm": Blocks("lstm", LSTM),
    "lstm_peephole": Blocks("lstm_peephole", LSTM, peepholes=("_i", "_o", "_f")),
    "lstm_coupled": Blocks("lstm_coupled", ("_i", "_o", "_g")),
    "gru": Blocks("gru", GRU, negated="_z"),
    "gru_reset_after": Blocks("gru_reset_after", GRU, apart="_n"),
    "elman": Blocks("elman", ("",)),
}
# A cell and its choices, and the operator that it is.
OPERATORS: tuple[tuple[str, tuple[tuple[str, str], ...], str, dict[str, Any]], ...] = (
    ("lstm", (), "LSTM", {}),
    ("lstm_peephole", (), "LSTM", {}),
    ("gru", (), "GRU", {"linear_before_reset": 0}),
    ("gru_reset_after", (), "GRU", {"linear_before_reset": 1}),
    ("elman", (("activation", "tanh"),), "RNN", {"activations": ["Tanh"]}),
    ("elman", (("activation", "relu"),), "RNN", {"activations": ["Relu"]}),
)
# What an operator computes with if it is not told.
DEFAULT_ACTIVATIONS = {
    "RNN": ("Tanh",),
    "GRU": ("Sigmoid", "Tanh"),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
# For each of the directions of a node, whether it begins with the last step.
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass(frozen=True)
class Operator:
    """The operator that is a cell: its type, its attributes, how it stacks its weights."""

    kind: str
    attributes: Mapping[str, Any]
    blocks: Blocks


def operator_of(cell: Cell) -> Operator | None:
    """Return the operator that computes what a cell's equations say; None if there is none."""
    for name, choices, kind, attributes in OPERATORS:
        if _meaning(cell) == _catalogued(name, choices):
            return Operator(kind, attributes, BLOCKS[name])
    return None


@cache
def _catalogued(name: str, choices: tuple[tuple[str, str], ...]) -> tuple[object, ...]:
    return _meaning(catalogue.load(name, choices=dict(choices)))


def _meaning(cell: Cell) -> tuple[object, ...]:
    """Return what a cell computes, and from what, without titles and comments."""
    equations = tuple((each.target, each.expr) for each in cell.equations)
    declared = (cell.inputs, cell.states, frozenset(cell.parameters), cell.constants)
    return (*declared, equations, cell.output)


def native(cell: Cell, checked: Checked, operator: Operator) -> Graph:
    """Return a cell as its operator, one direction, with the inputs and outputs of every form."""
    names = interface(cell)
    arrays = stacked(operator.blocks, checked.arrays)
    G = len(operator.blocks.gates)
    weights = {
        "W": arrays.W[None],
        "R": arrays.R[None],
        "B": arrays.bias.reshape(1, 2 * G * checked.sizes["hidden"]),
    }
    weights |= {} if arrays.P is None else {"P": arrays.P[None]}
    indices = {"axis/0": np.array([0], np.int64), "axis/1": np.array([1], np.int64)}
    initial = {state: f"native/initial_{state}" for state in names.initial}
    # The last one before the states is `sequence_lens`; P is the LSTM's last.
    inputs = [*names.inputs.values(), "W", "R", "B", "", *initial.values()]
    inputs += ["P"] if "P" in weights else []
    outputs = ["native/y", *(f"native/final_{state}" for state in names.final)]
    attributes = {"hidden_size": checked.sizes["hidden"], **operator.attributes}
    nodes = [
        *(Node("Unsqueeze", (names.initial[s], "axis/0"), (initial[s],)) for s in initial),
        Node(operator.kind, tuple(inputs), tuple(outputs), attributes),
        Node("Squeeze", (outputs[0], "axis/1"), (names.output,)),
        *(
            Node("Squeeze", (f"native/final_{state}", "axis/0"), (name,))
            for state, name in names.final.items()
        ),
    ]
    given, found = shapes(cell, checked)
    return Graph(cell.identifier, given, found, weights | indices, tuple(nodes))


def weights_of(
    kind: str, arrays: Mapping[str, Array], attributes: Mapping[str, Any], node: str = ""
) -> tuple[Weights, ...]:
    """Return our parameters for a node's W, R, B and P, one for each of its directions.

    `arrays` maps these names to the node's constants, [directions, ...] as ONNX has them; B may be
    left out. Raises ArgumentError for a node that no cell of the catalogue computes, and for
    shapes that do not fit.
    """
    if kind not in GATES:
        raise ArgumentError(f"ONNX operator {kind} is none of {', '.join(GATES)}")
    direction = _text(attributes.get("direction", "forward"))
    if direction not in DIRECTIONS:
        raise ArgumentError(f"`direction` of {kind} is none of ONNX's; got {direction!r}")
    directions = DIRECTIONS[direction]
    cell, settings = _cell(kind, arrays, attributes, len(directions))
    found = []
    for k, reverse in enumerate(directions):
        blocks = BLOCKS[cell]
        given = _stacked(kind, arrays, k, len(directions))
        if cell == "lstm_coupled":
            given = _without_forget_gate(given)
        found.append(Weights(cell, settings, unstacked(blocks, given), reverse, node))
    return tuple(found)


def _cell(
    kind: str, arrays: Mapping[str, Array], attributes: Mapping[str, Any], directions: int
) -> tuple[str, dict[str, str]]:
    """Return the cell that a node computes, and its settings. Raises ArgumentError for others."""
    named = [_text(each) for each in attributes.get("activations", ())]
    usual = DEFAULT_ACTIVATIONS[kind] * directions
    activations = tuple(named) or usual
    for attribute in ("clip", "activation_alpha", "activation_beta"):
        if attributes.get(attribute):
            raise ArgumentError(f"{kind} with `{attribute}` is not a cell of the catalogue")
    if kind == "RNN" and set(activations) in ({"Tanh"}, {"Relu"}):
        return "elman", {"activation": activations[0].lower()}
    if activations != usual:
        listed = ", ".join(activations)
        raise ArgumentError(f"{kind} with activations {listed} is not a cell of the catalogue")
    if kind == "GRU":
        return "gru_reset_after" if attributes.get("linear_before_reset") else "gru", {}
    peepholes = "P" in arrays
    if not attributes.get("input_forget"):
        return "lstm_peephole" if peepholes else "lstm", {}
    if peepholes:
        raise ArgumentError("LSTM with `input_forget` and peepholes is not a cell of the catalogue")
    return "lstm_coupled", {}


def _stacked(kind: str, arrays: Mapping[str, Array], k: int, directions: int) -> Stacked:
    """Return the arrays of one direction, float32 or float64. Raises ArgumentError."""
    for name in ("W", "R"):
        if name not in arrays:
            raise ArgumentError(f"{kind} needs {name}")
    for name, array in arrays.items():
        dims = 3 if name in "WR" else 2
        if array.ndim != dims or array.shape[0] != directions:
            raise ArgumentError(
                f"{name} of {kind} must have {dims} axes, the first of {directions}; "
                f"got {list(array.shape)}"
            )
        if array.dtype not in (np.float32, np.float64):
            raise ArgumentError(f"{name} of {kind} must be float32 or float64; got {array.dtype}")
        if array.dtype != arrays["W"].dtype:
            wanted = arrays["W"].dtype
            raise ArgumentError(f"{name} of {kind} must be {wanted}, as W is; got {array.dtype}")
    W, R = arrays["W"][k], arrays["R"][k]
    bias = arrays["B"][k] if "B" in arrays else np.zeros(2 * R.shape[0], R.dtype)
    if bias.size != 2 * R.shape[0]:
        raise ArgumentError(f"B of {kind} must have {2 * R.shape[0]} numbers; got {bias.size}")
    P = arrays["P"][k] if "P" in arrays else None
    return Stacked(W, R, bias.reshape(2, -1), P)


def _without_forget_gate(given: Stacked) -> Stacked:
    """Leave out the third of four gates, which an LSTM with `input_forget` does not read."""
    H = given.R.shape[-1]

    def kept(array: Array, axis: int) -> Array:
        return np.delete(array, slice(2 * H, 3 * H), axis)

    return Stacked(kept(given.W, 0), kept(given.R, 0), kept(given.bias, 1))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
