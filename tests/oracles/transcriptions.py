"""Paper -> torch: one step of every cell, transcribed by hand in float64.

A transcription maps parameters, one input `x` of shape [B, I] and the states to the output and the
next states. Weights are [hidden, input] and rows are batch elements, so `W x` is `x @ W.T`.

Why by hand and not from `specs/`: an oracle that reads the text under test repeats its mistakes.
Only the names of the parameters are shared; the equations come from the papers cited here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, sigmoid, tanh

Tensors = Mapping[str, Tensor]
Transcription = Callable[..., tuple[Tensor, dict[str, Tensor]]]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": tanh, "relu": torch.relu}


def _affine(p: Tensors, gate: str, x: Tensor, h: Tensor) -> Tensor:
    return x @ p[f"W_{gate}"].T + h @ p[f"U_{gate}"].T + p[f"b_{gate}"]


def elman(
    p: Tensors, x: Tensor, state: Tensors, activation: str = "tanh"
) -> tuple[Tensor, dict[str, Tensor]]:
    """Elman 1990; Le et al. 2015 with relu."""
    h = ACTIVATIONS[activation](x @ p["W"].T + state["h"] @ p["U"].T + p["b"])
    return h, {"h": h}


def lstm(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Gers et al. 2000; Graves & Schmidhuber 2005."""
    h, c = state["h"], state["c"]
    input_gate, forget_gate, output_gate = (sigmoid(_affine(p, k, x, h)) for k in "ifo")
    c = forget_gate * c + input_gate * tanh(_affine(p, "g", x, h))
    h = output_gate * tanh(c)
    return h, {"h": h, "c": c}


def lstm_no_forget(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Hochreiter & Schmidhuber 1997: the cell only accumulates."""
    h, c = state["h"], state["c"]
    input_gate, output_gate = (sigmoid(_affine(p, k, x, h)) for k in "io")
    c = c + input_gate * tanh(_affine(p, "g", x, h))
    h = output_gate * tanh(c)
    return h, {"h": h, "c": c}


def lstm_peephole(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Gers & Schmidhuber 2000; Graves 2013, eqs. 7-11: the output gate sees the new cell."""
    h, c = state["h"], state["c"]
    input_gate = sigmoid(_affine(p, "i", x, h) + p["p_i"] * c)
    forget_gate = sigmoid(_affine(p, "f", x, h) + p["p_f"] * c)
    c_new = forget_gate * c + input_gate * tanh(_affine(p, "g", x, h))
    output_gate = sigmoid(_affine(p, "o", x, h) + p["p_o"] * c_new)
    h = output_gate * tanh(c_new)
    return h, {"h": h, "c": c_new}


def lstm_coupled(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Greff et al. 2017 (CIFG) with ONNX's `input_forget`: what is not written is kept."""
    h, c = state["h"], state["c"]
    input_gate, output_gate = (sigmoid(_affine(p, k, x, h)) for k in "io")
    c = c + input_gate * (tanh(_affine(p, "g", x, h)) - c)
    h = output_gate * tanh(c)
    return h, {"h": h, "c": c}


def gru(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Chung et al. 2014: reset before the product, z gates the candidate."""
    h = state["h"]
    reset, update = (sigmoid(_affine(p, k, x, h)) for k in "rz")
    candidate = tanh(_affine(p, "n", x, reset * h))
    h = h + update * (candidate - h)
    return h, {"h": h}


def gru_reset_after(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Appleyard et al. 2016 (cuDNN): reset after the product and its bias, z keeps the state."""
    h = state["h"]
    reset, update = (sigmoid(_affine(p, k, x, h)) for k in "rz")
    recurrent = h @ p["U_n"].T + p["b_hn"]
    candidate = tanh(x @ p["W_n"].T + p["b_n"] + reset * recurrent)
    h = candidate + update * (h - candidate)
    return h, {"h": h}


def mgu(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Zhou et al. 2016: one gate resets and updates."""
    h = state["h"]
    forget_gate = sigmoid(_affine(p, "f", x, h))
    candidate = tanh(_affine(p, "n", x, forget_gate * h))
    h = h + forget_gate * (candidate - h)
    return h, {"h": h}


def ugrnn(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Collins et al. 2017: the gate keeps the state."""
    h = state["h"]
    gate = sigmoid(_affine(p, "z", x, h))
    candidate = tanh(_affine(p, "n", x, h))
    h = candidate + gate * (h - candidate)
    return h, {"h": h}


def janet(
    p: Tensors, x: Tensor, state: Tensors, beta: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """van der Westhuizen & Lasenby 2018: the input gate is 1 - sigmoid(s - beta)."""
    h = state["h"]
    s = _affine(p, "f", x, h)
    h = sigmoid(s) * h + sigmoid(beta - s) * tanh(_affine(p, "g", x, h))
    return h, {"h": h}


def ran(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Lee et al. 2017: linear content without a bias, h = tanh(c)."""
    h, c = state["h"], state["c"]
    input_gate, forget_gate = (sigmoid(_affine(p, k, x, h)) for k in "if")
    c = input_gate * (x @ p["W_g"].T) + forget_gate * c
    h = tanh(c)
    return h, {"h": h, "c": c}


def indrnn(
    p: Tensors, x: Tensor, state: Tensors, activation: str = "relu"
) -> tuple[Tensor, dict[str, Tensor]]:
    """Li et al. 2018: a diagonal recurrence."""
    h = ACTIVATIONS[activation](x @ p["W"].T + state["h"] @ torch.diag(p["u"]) + p["b"])
    return h, {"h": h}


def minimal_rnn(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Chen 2017: the gate reads the latent input of this step."""
    h = state["h"]
    z = tanh(x @ p["W_z"].T + p["b_z"])
    update = sigmoid(h @ p["U_u"].T + z @ p["V_u"].T + p["b_u"])
    h = z + update * (h - z)
    return h, {"h": h}


def fast_grnn(p: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, dict[str, Tensor]]:
    """Kusupati et al. 2018, full rank: one product, two biases, two scalars."""
    h = state["h"]
    shared = x @ p["W"].T + h @ p["U"].T
    gate = sigmoid(shared + p["b_z"])
    candidate = tanh(shared + p["b_n"])
    h = (sigmoid(p["zeta"]) * (1 - gate) + sigmoid(p["nu"])) * candidate + gate * h
    return h, {"h": h}


TRANSCRIPTIONS: dict[str, Transcription] = {
    step.__name__: step
    for step in (
        elman,
        lstm,
        lstm_no_forget,
        lstm_peephole,
        lstm_coupled,
        gru,
        gru_reset_after,
        mgu,
        ugrnn,
        janet,
        ran,
        indrnn,
        minimal_rnn,
        fast_grnn,
    )
}

STATES: dict[str, tuple[str, ...]] = dict.fromkeys(TRANSCRIPTIONS, ("h",)) | dict.fromkeys(
    ("lstm", "lstm_no_forget", "lstm_peephole", "lstm_coupled", "ran"), ("h", "c")
)
