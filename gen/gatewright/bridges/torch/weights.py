"""Parameters of `nn.RNN`, `nn.LSTM` and `nn.GRU` <-> those of the cells that they are.

PyTorch stacks its gates as rows, `i f g o` and `r z n`, and adds two biases where we have one:
they are summed on the way in, and on the way out the second is zero. Only the candidate of the GRU
reads its two apart. Its GRU resets after the product: that is `gru_reset_after`, not `gru`. With
`proj_size`, the LSTM has `weight_hr`, the matrix of our transform `projected`.

Why the whole cell is looked up and not its name: a file of the user's may be called `lstm` and be
another cell, which PyTorch's numbers would turn into nonsense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from gatewright.bridges.blocks import Blocks
from gatewright.bridges.torch.guards import checked
from gatewright.language.catalogue import known
from gatewright.language.catalogue import load as load_cell
from gatewright.language.transforms import projected
from gatewright.runtime.validate import ArgumentError

if TYPE_CHECKING:
    from gatewright.bridges.torch.layer import RecurrentLayer

# For each cell: PyTorch's class, and how it stacks the gates.
COUNTERPARTS = {
    "lstm": ("nn.LSTM", Blocks("lstm", ("_i", "_f", "_g", "_o"))),
    "gru_reset_after": ("nn.GRU", Blocks("gru_reset_after", ("_r", "_z", "_n"), apart="_n")),
    "elman": ("nn.RNN", Blocks("elman", ("",))),
}
PROJECTION = "W_hr"
# A parameter's name in PyTorch.
THEIRS = re.compile(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?")


def load(layer: RecurrentLayer, state_dict: Mapping[str, Tensor]) -> None:
    """Copy PyTorch's parameters into a layer. Raises ArgumentError for what does not fit."""
    found = _translated(layer, state_dict)
    places = {name: _place(layer, name) for name in found}
    with torch.no_grad():
        for name, value in found.items():
            held, key = places[name]
            if parametrize.is_parametrized(held, key):
                setattr(held, key, value.to(getattr(held, key)))
            else:
                held[key].copy_(value)


def translate(
    layer: RecurrentLayer,
    state_dict: dict[str, Any],
    prefix: str,
    metadata: Any,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Put our parameters in the place of PyTorch's, before a module takes a state_dict.

    What `nn.Module.register_load_state_dict_pre_hook` calls; what does not fit is an error there.
    """
    beginning = len(prefix)
    given = {
        key[beginning:]: value
        for key, value in state_dict.items()
        if key.startswith(prefix) and THEIRS.fullmatch(key[beginning:])
    }
    if not given:
        return
    try:
        found = _translated(layer, given)
    except ArgumentError as error:
        errors.append(f"{prefix.rstrip('.') or 'the layer'}: {error}")
        return
    for key in given:
        del state_dict[f"{prefix}{key}"]
    state_dict.update({f"{prefix}{name}": value for name, value in found.items()})


def _place(layer: RecurrentLayer, name: str) -> tuple[Any, str]:
    """Return the dict that holds a parameter, and its key. Raises ArgumentError if none does."""
    group, key = name.split(".")
    held = layer.get_submodule(group)
    if key not in held._parameters and not parametrize.is_parametrized(held, key):
        raise ArgumentError(f"`{name}` is computed from other parameters: it cannot be loaded")
    return held, key


def _translated(layer: RecurrentLayer, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return PyTorch's parameters by our names, as new tensors. Raises ArgumentError."""
    blocks = _blocks(layer)
    expected = save(layer)
    missing = sorted(expected.keys() - state_dict.keys())
    extra = sorted(state_dict.keys() - expected.keys())
    if missing or extra:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown {', '.join(extra)}"
        raise ArgumentError(f"the state_dict {what}")
    for name, tensor in expected.items():
        given = state_dict[name]
        like = given if isinstance(given, Tensor) else tensor
        checked(name, given, tuple(tensor.shape), like)
    found: dict[str, Tensor] = {}
    for group in layer.network.groups:
        stacked = {key: state_dict[f"{key}_{group}"].detach() for key in _keys(layer.bias)}
        ours = _split(stacked, blocks)
        if PROJECTION in layer.network.learned(group):
            ours[PROJECTION] = state_dict[f"weight_hr_{group}"].detach()
        # Copies: part of a stacked tensor would keep, and store, all of it.
        found |= {f"{group}.{name}": value.clone() for name, value in ours.items()}
    return found


def save(layer: RecurrentLayer) -> dict[str, Tensor]:
    """Return a layer's parameters by PyTorch's names, as new tensors."""
    blocks, found = _blocks(layer), {}
    for group, parameters in layer.named_cell_parameters():
        detached = {name: tensor.detach() for name, tensor in parameters.items()}
        for key, tensor in _stacked(detached, blocks, layer.bias).items():
            found[f"{key}_{group}"] = tensor
        if PROJECTION in detached:
            found[f"weight_hr_{group}"] = detached[PROJECTION].clone()
    return found


def _blocks(layer: RecurrentLayer) -> Blocks:
    base, network = layer.network.base, layer.network
    name = "lstm" if base == projected(load_cell("lstm")) else known(base)
    if name not in COUNTERPARTS:
        hint = "; nn.GRU is `gru_reset_after`" if name == "gru" else ""
        raise ArgumentError(f"`{base.identifier}` is none of nn.RNN, nn.LSTM and nn.GRU{hint}")
    if network.proj_size and name != "lstm":
        raise ArgumentError(f"{COUNTERPARTS[name][0]} has no proj_size, as nn.LSTM has")
    return COUNTERPARTS[name][1]


def _keys(bias: bool) -> tuple[str, ...]:
    return ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if bias else 2]


def _split(stacked: Mapping[str, Tensor], blocks: Blocks) -> dict[str, Tensor]:
    parts = {key: tensor.chunk(len(blocks.gates)) for key, tensor in stacked.items()}
    found: dict[str, Tensor] = {}
    for k, gate in enumerate(blocks.gates):
        found |= {f"W{gate}": parts["weight_ih"][k], f"U{gate}": parts["weight_hh"][k]}
        if "bias_ih" not in parts:
            continue
        first, second = parts["bias_ih"][k], parts["bias_hh"][k]
        if gate and gate == blocks.apart:
            found |= {f"b{gate}": first, blocks.own_bias(): second}
        else:
            found[f"b{gate}"] = first + second
    return found


def _stacked(ours: Mapping[str, Tensor], blocks: Blocks, bias: bool) -> dict[str, Tensor]:
    gates = blocks.gates
    found = {
        "weight_ih": torch.cat([ours[f"W{gate}"] for gate in gates]),
        "weight_hh": torch.cat([ours[f"U{gate}"] for gate in gates]),
    }
    if bias:
        second = [torch.zeros_like(ours[f"b{gate}"]) for gate in gates]
        if blocks.apart:
            second[gates.index(blocks.apart)] = ours[blocks.own_bias()]
        found["bias_ih"] = torch.cat([ours[f"b{gate}"] for gate in gates])
        found["bias_hh"] = torch.cat(second)
    return found
