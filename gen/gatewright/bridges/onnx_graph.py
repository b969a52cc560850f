"""Cell, parameters -> Graph: a sequence as one ONNX `Scan` over the cell's own equations.

A Graph is a model before it is written: nodes, named weights, inputs and outputs. Every form of a
cell has the same ones,

    x [T, B, dim] by the cell's names, initial_h [B, dim] for every state
    y [T, B, dim], final_h [B, dim] for every state

and weights are constants of the model under their own names. Values of the step that have a name
in the cell keep it: `step/i`, `step/c_next`. Products of inputs with matrices are made before the
loop, for all time steps at once: `before/x/W_i`.

Why functions without an operator are built from their stable form: it is in the table of functions
already, and so a new function needs nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from gatewright.bridges.arguments import Checked
from gatewright.language.cell import Cell
from gatewright.language.equation import parse
from gatewright.language.expression import (
    Binary,
    Call,
    Expr,
    Name,
    Negate,
    Number,
    number_text,
)
from gatewright.language.functions import FUNCTIONS
from gatewright.runtime.validate import Array

Shape = tuple[str | int, ...]

OPERATORS = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "^": "Pow"}
# Functions that onnxruntime has in both precisions.
FUNCTION_OPERATORS = {
    name: name.capitalize()
    for name in ("sigmoid", "tanh", "relu", "exp", "log", "sqrt", "sin", "cos", "abs", "max", "min")
}
# ONNX has no log1p; what is lost are relative, not absolute, digits of a tiny argument.
LOG1P = "log(1 + x)"


@dataclass(frozen=True)
class Node:
    """One operator with the names of what it reads and makes; an attribute may be a Graph."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A model or the body of a loop: shapes of inputs and outputs by name, weights, nodes."""

    name: str
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    weights: Mapping[str, Array]
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Interface:
    """What a model of a cell is given and gives, each by the name that it has in the cell."""

    inputs: Mapping[str, str]
    initial: Mapping[str, str]
    final: Mapping[str, str]
    output: str
    parameters: Mapping[str, str]


def interface(cell: Cell) -> Interface:
    """Return the names of a model's inputs, outputs and weights: no two are the same."""
    inputs = {each.name: each.name for each in cell.inputs}
    taken = set(inputs)

    def free(name: str, kind: str) -> str:
        chosen = f"{name}/{kind}" if name in taken else name
        taken.add(chosen)
        return chosen

    states = [state.name for state in cell.states]
    return Interface(
        inputs=inputs,
        initial={name: free(f"initial_{name}", "state") for name in states},
        final={name: free(f"final_{name}", "state") for name in states},
        output=free("y", "output"),
        parameters={each.name: free(each.name, "parameter") for each in cell.parameters},
    )


def shapes(cell: Cell, checked: Checked) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the shapes of a model's inputs and of its outputs; sizes not known go by name."""
    names, sizes = interface(cell), checked.sizes
    states: dict[str, Shape] = {
        state.name: ("B", *(sizes.get(dim, dim) for dim in state.dims)) for state in cell.states
    }
    inputs: dict[str, Shape] = {
        names.inputs[each.name]: ("T", "B", *(sizes.get(dim, dim) for dim in each.dims))
        for each in cell.inputs
    }
    inputs |= {names.initial[name]: shape for name, shape in states.items()}
    output: Shape = ("T", "B", *(sizes.get(dim, dim) for dim in cell.shape_of(cell.output)))
    return inputs, {names.output: output} | {
        names.final[name]: shape for name, shape in states.items()
    }


def scan(cell: Cell, checked: Checked) -> Graph:
    """Return a cell as a `Scan` over time whose body is one step by the cell's equations."""
    names = interface(cell)
    step = _Step(cell, checked)
    body = step.graph()
    inputs, outputs = shapes(cell, checked)
    loop = Node(
        "Scan",
        (*names.initial.values(), *step.scanned.values()),
        (*names.final.values(), names.output),
        {"num_scan_inputs": len(step.scanned), "body": body},
    )
    weights = {names.parameters[name]: array for name, array in checked.arrays.items()}
    return Graph(cell.identifier, inputs, outputs, weights | step.numbers, (*step.before, loop))


@dataclass(frozen=True)
class _Value:
    """A value of the step by its name in the graph, and whether it has an axis of rows."""

    name: str
    rows: bool


class _Step:
    """The nodes of one step, as they are found, and of what runs before the loop.

    `before` are transposed matrices and the products of inputs, for all time steps at once;
    `scanned` maps what a step is given at its time to where it is found outside.
    """

    def __init__(self, cell: Cell, checked: Checked) -> None:
        self.cell = cell
        self.checked = checked
        self.dtype = np.dtype(checked.dtype)
        self.numbers: dict[str, Array] = {}
        self.before: list[Node] = []
        self.scanned: dict[str, str] = {}
        self._nodes: list[Node] = []
        self._count = 0
        self._equation = ""
        self._products: dict[str, Shape] = {}
        self._names = interface(cell)
        self._values = {
            name: _Value(parameter, False) for name, parameter in self._names.parameters.items()
        }
        self._own = {found: name for name, found in self._names.parameters.items()}
        for variable in (*cell.inputs, *cell.states):
            self._values[variable.name] = _Value(f"step/{variable.name}", True)
        for constant in cell.constants:
            self._values[constant.name] = self._number(constant.value)

    def graph(self) -> Graph:
        """Return the body of the loop: states and inputs to next states and the output."""
        cell, sizes = self.cell, self.checked.sizes
        inputs: dict[str, Shape] = {
            f"step/{each.name}": ("B", *(sizes.get(dim, dim) for dim in each.dims))
            for each in cell.states
        }
        for equation in cell.equations:
            self._equation = _plain(equation.target)
            self._count = 0
            value = self._expression(equation.expr, self._values)
            self._values[equation.target] = self._renamed(value)
        outputs: dict[str, Shape] = {}
        for state in cell.states:
            outputs[self._result(f"{state.name}'", f"carried/{state.name}")] = inputs[
                f"step/{state.name}"
            ]
        output_shape: Shape = ("B", *(sizes.get(dim, dim) for dim in cell.shape_of(cell.output)))
        outputs[self._result(cell.output, "carried/output")] = output_shape
        return Graph(
            f"{cell.identifier}_step",
            inputs | self._scanned_inputs(),
            outputs,
            {},
            tuple(self._nodes),
        )

    def _scanned_inputs(self) -> dict[str, Shape]:
        """Return the shapes of what a step is given at its time, and note the inputs among it."""
        sizes, read = self.checked.sizes, {name for node in self._nodes for name in node.inputs}
        found = dict(self._products)
        for each in self.cell.inputs:
            name = f"step/{each.name}"
            # A loop must be given something to know its length by.
            if name in read or not self.scanned:
                self.scanned[name] = self._names.inputs[each.name]
                found[name] = ("B", *(sizes.get(dim, dim) for dim in each.dims))
        return found

    def _renamed(self, value: _Value) -> _Value:
        """Return an equation's value by the equation's own name, if a node was made for it."""
        if not value.name.startswith(f"step/{self._equation}/"):
            return value
        name = f"step/{self._equation}"
        self._nodes[-1] = replace(self._nodes[-1], outputs=(name,))
        return _Value(name, value.rows)

    def _result(self, name: str, output: str) -> str:
        """Return a value under a name of its own, with rows even if it has none."""
        value = self._values[name]
        if value.rows:
            self._nodes.append(Node("Identity", (value.name,), (output,)))
            return output
        # What no input or state enters is the same for every row.
        some = self.cell.states[0].name
        self._equation, self._count = output, 0
        rows = self._node("Gather", self._node("Shape", f"step/{some}"), self._indices((0,)))
        width = self._indices(tuple(self.checked.sizes[dim] for dim in self.cell.shape_of(name)))
        shape = self._node("Concat", rows, width, axis=0)
        self._nodes.append(Node("Expand", (value.name, shape), (output,)))
        return output

    def _expression(self, expr: Expr, values: Mapping[str, _Value]) -> _Value:
        match expr:
            case Number(number):
                return self._number(number)
            case Name(name):
                return values[name]
            case Negate(operand):
                return self._applied("Neg", self._expression(operand, values))
            case Call(function, arguments):
                return self._call(function, [self._expression(each, values) for each in arguments])
            case Binary("@", left, right):
                assert isinstance(left, Name)
                return self._product(self._expression(right, values), values[left.name])
            case Binary(symbol, left, right):
                operands = [self._expression(each, values) for each in (left, right)]
                return self._applied(OPERATORS[symbol], *operands)

    def _call(self, function: str, arguments: list[_Value]) -> _Value:
        if function in FUNCTION_OPERATORS:
            return self._applied(FUNCTION_OPERATORS[function], *arguments)
        names = FUNCTIONS[function].arguments
        return self._expression(_stable(function), dict(zip(names, arguments, strict=True)))

    def _applied(self, operator: str, *operands: _Value) -> _Value:
        name = self._node(operator, *(operand.name for operand in operands))
        return _Value(name, any(operand.rows for operand in operands))

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        self._count += 1
        name = f"step/{self._equation}/{self._count}"
        self._nodes.append(Node(operator, inputs, (name,), attributes))
        return name

    def _number(self, value: float) -> _Value:
        name = f"number/{number_text(value)}"
        self.numbers[name] = np.array(value, self.dtype)
        return _Value(name, False)

    def _indices(self, values: tuple[int, ...]) -> str:
        name = f"indices/{'_'.join(map(str, values))}"
        self.numbers[name] = np.array(values, np.int64)
        return name

    def _product(self, rows: _Value, matrix: _Value) -> _Value:
        """Return matrix times rows; if these are an input, of all time steps before the loop."""
        outside = {f"step/{name}": found for name, found in self._names.inputs.items()}
        if rows.name not in outside:
            return self._applied("MatMul", rows, self._transpose(matrix))
        source = outside[rows.name]
        product = f"before/{source}/{matrix.name}"
        name = f"step/{product}"
        if name not in self._products:
            operands = (source, self._transpose(matrix).name)
            self.before.append(Node("MatMul", operands, (product,)))
            self.scanned[name] = product
            (width,) = self.checked.arrays[self._own[matrix.name]].shape[:1]
            self._products[name] = ("B", width)
        return _Value(name, True)

    def _transpose(self, matrix: _Value) -> _Value:
        name = f"{matrix.name}/transposed"
        node = Node("Transpose", (matrix.name,), (name,), {"perm": [1, 0]})
        if node not in self.before:
            self.before.append(node)
        return _Value(name, False)


def _plain(target: str) -> str:
    """Return the name of an equation as an ONNX name."""
    return f"{target[:-1]}_next" if target.endswith("'") else target


@cache
def _stable(function: str) -> Expr:
    return parse(LOG1P if function == "log1p" else FUNCTIONS[function].stable)
