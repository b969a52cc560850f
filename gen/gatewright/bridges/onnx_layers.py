"""Network, parameters -> Graph: stacked layers and directions of a cell in one model.

Every layer and direction is the graph of its cell, under names of its own, `l0/W_i`. The model has

    x [T, B, dim] by the cell's names, initial_h [layers * directions, B, dim] for every state
    y [T, B, dim], final_h [layers * directions, B, dim] for every state

with B before T if the layer is `batch_first`, and no initial states where they are learned. It is
for inference: dropout is gone, and masks of zoneout are their mean.

Why each direction is a node of its own, though ONNX has one for two: a direction is then the same
graph whichever form its cell takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatewright.bridges.arguments import Checked, checked_parameters, dtype_of
from gatewright.bridges.onnx_graph import Graph, Interface, Node, Shape, interface, scan
from gatewright.bridges.onnx_native import Operator, native
from gatewright.layers.network import Network
from gatewright.runtime.validate import Array, checked_array, checked_dict

REVERSED = 1
# Of the model's own tensors, and the axis of the first input that has them.
SIZES = {"sizes/T": 0, "sizes/B": 1}


def checked_groups(network: Network, given: object) -> tuple[dict[str, Checked], dict[str, Array]]:
    """Return the parameters of every layer and direction, and learned initial states by name.

    `given` has the names and shapes of `network.shapes`. Raises ArgumentError.
    """
    arrays = checked_dict("parameters", given, tuple(network.shapes))
    dtype = dtype_of(arrays)
    held = {n: checked_array(n, arrays[n], shape, dtype) for n, shape in network.shapes.items()}
    groups = {}
    for group in network.groups:
        parameters = {
            name: held.get(f"{group}.{name}", np.zeros(shape, dtype))
            for name, shape in network.parameters(group).items()
        }
        groups[group] = checked_parameters(network.cell, parameters)
    return groups, {name: held[name] for name in held if name.startswith("initial_")}


def stacked_layers(
    network: Network,
    groups: Mapping[str, Checked],
    learned: Mapping[str, Array],
    operator: Operator | None,
    batch_first: bool,
) -> Graph:
    """Return the model of a network, each cell as `operator` or else a `Scan`.

    `groups` and `learned` are what `checked_groups` returns.
    """
    return _Layers(network, groups, learned, operator, batch_first).graph()


class _Layers:
    """The nodes of a network, as they are found, and the weights they read."""

    def __init__(
        self,
        network: Network,
        groups: Mapping[str, Checked],
        learned: Mapping[str, Array],
        operator: Operator | None,
        batch_first: bool,
    ) -> None:
        self.network, self.groups, self.operator = network, groups, operator
        self.batch_first = batch_first
        self.names: Interface = interface(network.cell)
        self.nodes: list[Node] = []
        self.weights: dict[str, Array] = dict(learned)
        self.dtype = np.dtype(next(iter(groups.values())).dtype)

    def graph(self) -> Graph:
        """Return the model."""
        network, names = self.network, self.names
        inputs = {name: self._time_first(names.inputs[name]) for name in network.inputs}
        for name, axis in SIZES.items():
            # Masks of zoneout have both, and learned initial states as many rows as x.
            if network.zoneout or (network.learn_initial_state and axis):
                self._size(name, next(iter(inputs.values())), axis)
        inputs |= {name: self._mean(name, rate) for name, rate in network.zoneout}
        first = network.cell.inputs[0].name
        finals: dict[str, list[str]] = {name: [] for name in names.final}
        for k in range(network.num_layers):
            outputs = []
            for end in range(network.directions):
                index = k * network.directions + end
                y, final = self._direction(index, inputs)
                outputs.append(y)
                for name, each in final.items():
                    finals[name].append(each)
            inputs[first] = outputs[0]
            if len(outputs) > 1:
                inputs[first] = self._node("Concat", f"both/l{k}", *outputs, axis=2)
        self._last(inputs[first])
        groups = self._indices(0)
        for name, parts in finals.items():
            whole = [self._node("Unsqueeze", f"{part}/group", part, groups) for part in parts]
            self._node("Concat", names.final[name], *whole, axis=0)
        taken, given = self._shapes()
        return Graph(network.cell.identifier, taken, given, self.weights, tuple(self.nodes))

    def _direction(self, index: int, inputs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Add one direction of one layer; return its output and final states by name."""
        cell, group, names = self.network.cell, self.network.groups[index], self.names
        checked = self.groups[group]
        graph = native(cell, checked, self.operator) if self.operator else scan(cell, checked)
        outer = {names.inputs[name]: found for name, found in inputs.items()}
        outer |= {names.initial[s]: self._start(s, index) for s in names.initial}
        renamed = _renamed(graph, group, outer)
        self.nodes += [_backwards(n) if group.endswith("_reverse") else n for n in renamed.nodes]
        self.weights |= renamed.weights
        return f"{group}/{names.output}", {s: f"{group}/{n}" for s, n in names.final.items()}

    def _start(self, state: str, index: int) -> str:
        """Return the initial state [B, dim] of a direction."""
        group = self.network.groups[index]
        name = f"{group}/start/{state}"
        if self.network.learn_initial_state:
            width = self._indices(*self.network.states[state])
            shape = self._node("Concat", f"{name}/shape", "sizes/B", width, axis=0)
            return self._node("Expand", name, f"initial_{group}.{state}", shape)
        self.weights[f"index/{index}"] = np.array(index, np.int64)
        return self._node("Gather", name, self.names.initial[state], f"index/{index}", axis=0)

    def _mean(self, mask: str, rate: float) -> str:
        """Return a mask of zoneout for all time steps: its mean."""
        self.weights[f"{mask}/rate"] = np.array(rate, self.dtype)
        width = self._indices(self.network.width(mask))
        shape = self._node("Concat", f"{mask}/shape", *SIZES, width, axis=0)
        return self._node("Expand", f"{mask}/mean", f"{mask}/rate", shape)

    def _time_first(self, name: str) -> str:
        if not self.batch_first:
            return name
        return self._node("Transpose", f"{name}/time_first", name, perm=[1, 0, 2])

    def _last(self, y: str) -> None:
        """Name the output of the last layer as the model's."""
        if self.batch_first:
            self._node("Transpose", self.names.output, y, perm=[1, 0, 2])
        else:
            self._node("Identity", self.names.output, y)

    def _size(self, name: str, tensor: str, axis: int) -> None:
        shape = self._node("Shape", f"{name}/of", tensor)
        self._node("Gather", name, shape, self._indices(axis), axis=0)

    def _indices(self, *values: int) -> str:
        name = f"indices/{'_'.join(map(str, values))}"
        self.weights[name] = np.array(values, np.int64)
        return name

    def _node(self, operator: str, output: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(Node(operator, inputs, (output,), attributes))
        return output

    def _shapes(self) -> tuple[dict[str, Shape], dict[str, Shape]]:
        """Return the shapes of the model's inputs and of its outputs."""
        network, names = self.network, self.names
        ends: Shape = ("B", "T") if self.batch_first else ("T", "B")
        taken: dict[str, Shape] = {
            names.inputs[name]: (*ends, network.width(name)) for name in network.inputs
        }
        states: dict[str, Shape] = {
            name: (len(network.groups), "B", *dims) for name, dims in network.states.items()
        }
        if not network.learn_initial_state:
            taken |= {names.initial[name]: shape for name, shape in states.items()}
        output: Shape = (*ends, network.directions * network.output_size)
        final = {names.final[name]: shape for name, shape in states.items()}
        return taken, {names.output: output, **final}


def _renamed(graph: Graph, prefix: str, outer: Mapping[str, str]) -> Graph:
    """Return a graph with `prefix` before all names but those of `outer`, which it maps."""

    def named(name: str) -> str:
        return outer.get(name, f"{prefix}/{name}") if name else name

    nodes = tuple(
        replace(
            node,
            inputs=tuple(map(named, node.inputs)),
            outputs=tuple(map(named, node.outputs)),
            attributes={
                key: _renamed(value, prefix, outer) if isinstance(value, Graph) else value
                for key, value in node.attributes.items()
            },
        )
        for node in graph.nodes
    )
    return Graph(
        named(graph.name),
        {named(name): shape for name, shape in graph.inputs.items()},
        {named(name): shape for name, shape in graph.outputs.items()},
        {named(name): array for name, array in graph.weights.items()},
        nodes,
    )


def _backwards(node: Node) -> Node:
    """Return the node that runs over time as one that begins with the last step."""
    if node.operator == "Scan":
        count = node.attributes["num_scan_inputs"]
        ways = {
            "scan_input_directions": [REVERSED] * count,
            "scan_output_directions": [REVERSED],
        }
        return replace(node, attributes={**node.attributes, **ways})
    if "hidden_size" in node.attributes:
        return replace(node, attributes={**node.attributes, "direction": "reverse"})
    return node
