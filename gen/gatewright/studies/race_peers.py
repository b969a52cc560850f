"""Layer of an example -> the same layer by another way of training it, with the same weights.

    torch.nn   nn.LSTM, nn.GRU or nn.RNN, if the cell is one of them
    loop       the cell's equations one operation at a time, in a Python loop over time
    eager      our own plain operations: products before the loop, gates that share one stacked

Why part of the second bias of `torch.nn` is kept from learning: it is added to the first, so under
Adam two of them would learn at twice the rate, and the losses could not be compared.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gatewright.bridges.equations import step
from gatewright.bridges.torch.functions import LIBRARY
from gatewright.bridges.torch.layer import RecurrentLayer
from gatewright.bridges.torch.weights import COUNTERPARTS
from gatewright.language.catalogue import known
from gatewright.studies.peers_torch import LAYERS

Make = Callable[[RecurrentLayer], nn.Module | None]


def replaced(model: nn.Module, make: Make) -> nn.Module | None:
    """Return a copy of a model with other layers in place of ours; None if there are none."""
    found = copy.deepcopy(model)
    for name, child in model.named_children():
        if isinstance(child, RecurrentLayer):
            other = make(child)
            if other is None:
                return None
            setattr(found, name, other)
    return found


def torch_nn(layer: RecurrentLayer) -> nn.Module | None:
    """Return the layer of `torch.nn` that is the same cell, if there is one."""
    name = known(layer.network.cell)
    if name not in LAYERS:
        return None
    settings = {each.name: each.chosen for each in layer.network.cell.choices}
    activation = {"nonlinearity": settings["activation"]} if settings else {}
    found: nn.Module = LAYERS[name](
        layer.network.input_size, layer.network.hidden_size, **activation
    )
    found.load_state_dict(layer.torch_state_dict())
    blocks = COUNTERPARTS[name][1]
    learns = torch.tensor([gate == (blocks.apart or None) for gate in blocks.gates])
    learns = learns.repeat_interleave(layer.network.hidden_size)
    second: Any = found.get_parameter("bias_hh_l0")
    second.register_hook(lambda gradient: gradient * learns)
    return found


class Loop(nn.Module):
    """The equations of a cell in a Python loop over time, with the surface of our layer."""

    def __init__(self, layer: RecurrentLayer) -> None:
        super().__init__()
        cell = layer.network.cell
        ((_, held),) = layer.named_cell_parameters()
        self.weights = nn.ParameterDict({n: w.detach().clone() for n, w in held.items()})
        self.step = step(cell, LIBRARY)
        self.constants = {each.name: each.value for each in cell.constants}
        self.input, self.states = cell.inputs[0].name, [each.name for each in cell.states]
        self.hidden_size = layer.network.hidden_size

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return outputs [T, B, dim] and final states [1, B, dim] for x [T, B, dim]."""
        if state is None:
            state = [x.new_zeros(1, x.shape[1], self.hidden_size) for _ in self.states]
        given = [state] if isinstance(state, Tensor) else state
        values: dict[str, Any] = {**self.constants, **self.weights}
        values |= {name: each[0] for name, each in zip(self.states, given, strict=True)}
        ys = []
        for row in x.unbind(0):
            values[self.input] = row
            ys.append(self.step(values))
        final = tuple(values[name][None] for name in self.states)
        return torch.stack(ys), final if len(final) > 1 else final[0]


def eager(layer: RecurrentLayer) -> nn.Module:
    """Return our layer in plain operations of PyTorch."""
    found = RecurrentLayer(layer.network, backend="eager")
    found.load_state_dict(layer.state_dict())
    return found


PEERS: dict[str, Any] = {"torch.nn": torch_nn, "loop": Loop, "eager": eager}
