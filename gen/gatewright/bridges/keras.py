"""Keras weights <-> our parameters, for the layers LSTM, GRU and SimpleRNN.

    from_keras(layer.get_weights(), "GRU", reset_after=True)   our parameters
    to_keras(parameters, "GRU", reset_after=True)              what layer.set_weights takes
    cell("GRU", reset_after=True)                              the cell that these belong to
    layers(model)                                              the same for all layers of a model

Keras (keras/src/layers/rnn/{lstm,gru,simple_rnn}.py) keeps a kernel [I, G * H], a recurrent kernel
[H, G * H] and a bias [G * H], with gates as columns, `i f c o` and `z r h`. A GRU with
`reset_after`, its default, has a bias [2, G * H], of the input's and of the state's product. Its z
keeps the old state; that of our `gru` admits the candidate. TensorFlow's Keras has the same layout.

Why lists of arrays: they are what `get_weights` returns with every backend and what old files hold.
A layer knows more, its activations and direction, and is asked for it by its own methods; so
nothing here needs Keras.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewright.bridges.arguments import REAL, cell_of, checked_parameters
from gatewright.bridges.blocks import Blocks, Stacked, Weights, stacked, unstacked
from gatewright.loaded import LoadedCell, load
from gatewright.runtime.validate import ArgumentError, Array

__all__ = ["Weights", "cell", "from_keras", "layers", "to_keras"]

GRU = ("_z", "_r", "_n")
BLOCKS = {
    ("LSTM", False): Blocks("lstm", ("_i", "_f", "_g", "_o")),
    ("GRU", False): Blocks("gru", GRU, negated="_z"),
    ("GRU", True): Blocks("gru_reset_after", GRU, apart="_n"),
    ("SimpleRNN", False): Blocks("elman", ("",)),
}
KINDS = ("LSTM", "GRU", "SimpleRNN")
# What Keras's layers compute with if they are not told.
DEFAULTS = {"activation": "tanh", "recurrent_activation": "sigmoid"}
ELMAN_ACTIVATIONS = ("tanh", "relu")


def cell(kind: str, *, reset_after: bool = True, **settings: str) -> LoadedCell:
    """Return the cell of a Keras layer; `activation="relu"` is that of a SimpleRNN.

    Raises ArgumentError for a layer other than LSTM, GRU and SimpleRNN.
    """
    return load(_blocks(kind, reset_after).cell, **settings)


def from_keras(
    weights: Sequence[Array], kind: str, *, reset_after: bool = True
) -> dict[str, Array]:
    """Return our parameters for a layer's weights: kernel, recurrent kernel and, if any, bias.

    `reset_after` is of importance to a GRU alone. The layer must have Keras's default activations
    (a SimpleRNN may have relu), which weights do not show. Raises ArgumentError if the arrays are
    not those of such a layer.
    """
    blocks = _blocks(kind, reset_after)
    G = len(blocks.gates)
    arrays = _checked(weights, kind)
    kernel, recurrent = arrays[:2]
    H = recurrent.shape[0]
    rows = 2 if blocks.apart else 1
    bias = arrays[2] if len(arrays) == 3 else np.zeros((rows, G * H), kernel.dtype)
    wanted = {
        "kernel": (kernel, (kernel.shape[0], G * H)),
        "recurrent kernel": (recurrent, (H, G * H)),
        "bias": (bias, (2, G * H) if blocks.apart else (G * H,)),
    }
    if len(arrays) == 2:
        del wanted["bias"]
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise ArgumentError(
                f"the {name} of {_named(kind, reset_after)} with {H} units must be "
                f"{list(shape)}; got {list(array.shape)}"
            )
    first = bias.reshape(rows, G * H)
    both = first if blocks.apart else np.concatenate([first, np.zeros_like(first)])
    return unstacked(blocks, Stacked(kernel.T, recurrent.T, both))


def to_keras(
    parameters: Mapping[str, Array], kind: str, *, reset_after: bool = True, use_bias: bool = True
) -> list[Array]:
    """Return what `layer.set_weights` takes, for our parameters of the layer's cell.

    A layer with `use_bias=False` takes two arrays. Raises ArgumentError if they are not the
    parameters of that cell, or if biases that such a layer does not have are not zero.
    """
    blocks = _blocks(kind, reset_after)
    known = cell_of(load(blocks.cell))
    arrays = stacked(blocks, checked_parameters(known, parameters).arrays)
    if not use_bias:
        if arrays.bias.any():
            raise ArgumentError(f"a {kind} without bias cannot have these: not all biases are zero")
        return [np.ascontiguousarray(each) for each in (arrays.W.T, arrays.R.T)]
    bias = arrays.bias if blocks.apart else arrays.bias[0]
    return [np.ascontiguousarray(each) for each in (arrays.W.T, arrays.R.T, bias)]


def layers(model: Any) -> tuple[Weights, ...]:
    """Return the weights of every LSTM, GRU and SimpleRNN of a Keras model, or of one layer.

    They come in the model's order, those of a Bidirectional layer one after the other; other
    layers are left out. Raises ArgumentError for a recurrent layer that no cell of the catalogue
    computes, such as one with other activations, and for one without weights yet.
    """
    if not hasattr(model, "get_config"):
        raise ArgumentError(f"`model` must be a Keras model or layer; got {type(model).__name__}")
    kind = type(model).__name__
    if kind == "Bidirectional":
        return layers(model.forward_layer) + layers(model.backward_layer)
    if kind in KINDS:
        return (_converted(model, kind),)
    if any(each.__name__ in (*KINDS, "RNN", "Bidirectional") for each in type(model).__mro__):
        raise ArgumentError(
            f"what layer {model.name!r} computes, a {kind}, is unknown: `from_keras` takes the "
            f"arrays of `get_weights` if it is one of {', '.join(KINDS)}"
        )
    inner = [*getattr(model, "layers", ()), *([model.layer] if hasattr(model, "layer") else [])]
    return tuple(found for each in inner for found in layers(each))


def _converted(layer: Any, kind: str) -> Weights:
    """Return the weights of one layer. Raises ArgumentError if no cell computes it."""
    config = layer.get_config()
    settings = {}
    for key, usual in DEFAULTS.items():
        found = config.get(key, usual)
        if kind == "SimpleRNN" and key == "activation" and found in ELMAN_ACTIVATIONS:
            settings[key] = found
        elif found != usual:
            # A function of the user's is described by its byte code.
            what = f"`{key}` {found!r}" if isinstance(found, str) else f"an `{key}` of its own"
            raise ArgumentError(f"{kind} {layer.name!r} with {what} is not a cell of the catalogue")
    arrays = layer.get_weights()
    if not arrays:
        raise ArgumentError(f"{kind} {layer.name!r} has no weights yet: build it or call it once")
    reset_after = bool(config.get("reset_after", True))
    return Weights(
        _blocks(kind, reset_after).cell,
        settings,
        from_keras(arrays, kind, reset_after=reset_after),
        bool(config.get("go_backwards")),
        layer.name,
    )


def _blocks(kind: str, reset_after: bool) -> Blocks:
    if kind not in KINDS:
        raise ArgumentError(f"`kind` must be one of {', '.join(KINDS)}; got {kind!r}")
    return BLOCKS[kind, kind == "GRU" and bool(reset_after)]


def _named(kind: str, reset_after: bool) -> str:
    return f"GRU(reset_after={bool(reset_after)})" if kind == "GRU" else kind


def _checked(weights: object, kind: str) -> list[Array]:
    """Return two or three arrays of one real dtype. Raises ArgumentError."""
    if not isinstance(weights, Sequence):
        given = type(weights).__name__
        raise ArgumentError(f"`weights` must be a list of arrays, as `get_weights`; got {given}")
    arrays = list(weights)
    if len(arrays) not in (2, 3):
        raise ArgumentError(
            f"{kind} has a kernel, a recurrent kernel and a bias, or no bias; got {len(arrays)} "
            "arrays (a Bidirectional layer has those of its forward layer, then the backward one's)"
        )
    for name, array in zip(("kernel", "recurrent kernel", "bias"), arrays, strict=False):
        if not isinstance(array, np.ndarray):
            given = type(array).__name__
            raise ArgumentError(f"the {name} must be a NumPy array; got {given}")
        if str(array.dtype) not in REAL or array.dtype != arrays[0].dtype:
            first = arrays[0].dtype
            wanted = first if str(first) in REAL else "float32 or float64"
            raise ArgumentError(f"the {name} must have dtype {wanted}; got {array.dtype}")
        if array.ndim != 2 and name != "bias":
            raise ArgumentError(f"the {name} must have 2 axes; got {list(array.shape)}")
    return arrays
