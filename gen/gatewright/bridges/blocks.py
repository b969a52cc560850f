"""Our parameters <-> the stacked arrays of other libraries: the table of their conventions.

A library keeps the gates of a layer as blocks of one array, in an order of its own, has two biases
where one would do, and lets the update gate of a GRU keep what ours admits. One row of a table says
all of this for one layer of one library. Arrays stand as ONNX has them, gates as rows:

    W [G * H, I]   R [G * H, H]   bias [2, G * H]: of the input's and of the state's product
    P [P * H] or None: peepholes

Why a table: orders of gates are where converted weights go wrong without a word, so they stand in
one place, each beside its source, and both directions read the same row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gatewright.runtime.validate import ArgumentError, Array


@dataclass(frozen=True)
class Blocks:
    """How a library stacks the gates of our cell `cell`, each given as the suffix of its names.

    The parameters of the gate `negated` change sign: z keeps the old state there. The second bias
    of the gate `apart` is a parameter of its own, `b_h` and the gate; all others are added.
    `peepholes` are suffixes as well, in the order of P.
    """

    cell: str
    gates: tuple[str, ...]
    negated: str = ""
    apart: str = ""
    peepholes: tuple[str, ...] = ()

    def own_bias(self) -> str:
        """Return the name of the second bias that is a parameter of its own, if there is one."""
        return f"b_h{self.apart.removeprefix('_')}" if self.apart else ""


@dataclass(frozen=True)
class Stacked:
    """The arrays of one direction of a layer: shapes in the module's first words."""

    W: Array
    R: Array
    bias: Array
    P: Array | None = None


@dataclass(frozen=True)
class Weights:
    """Weights of one direction of a layer in our words: `gatewright.load(cell, **settings)`.

    `reverse` says that the direction is from the last step to the first; `node` is what the layer
    is called where it came from.
    """

    cell: str
    settings: Mapping[str, str]
    parameters: dict[str, Array]
    reverse: bool = False
    node: str = ""


def stacked(blocks: Blocks, parameters: Mapping[str, Array]) -> Stacked:
    """Return our parameters as a library stacks them; they must be those of `blocks.cell`."""

    def signed(kind: str, gate: str) -> Array:
        array = parameters[f"{kind}{gate}"]
        return -array if gate and gate == blocks.negated else array

    second = [np.zeros_like(parameters[f"b{gate}"]) for gate in blocks.gates]
    if blocks.apart:
        second[blocks.gates.index(blocks.apart)] = parameters[blocks.own_bias()]
    first = [signed("b", gate) for gate in blocks.gates]
    return Stacked(
        W=np.concatenate([signed("W", gate) for gate in blocks.gates]),
        R=np.concatenate([signed("U", gate) for gate in blocks.gates]),
        bias=np.stack([np.concatenate(first), np.concatenate(second)]),
        P=np.concatenate([parameters[f"p{gate}"] for gate in blocks.peepholes])
        if blocks.peepholes
        else None,
    )


def unstacked(blocks: Blocks, given: Stacked) -> dict[str, Array]:
    """Return our parameters for a library's arrays: copies. Raises ArgumentError for shapes."""
    H = _check(blocks, given)
    found: dict[str, Array] = {}
    for k, gate in enumerate(blocks.gates):
        rows = slice(k * H, (k + 1) * H)
        sign = -1 if gate and gate == blocks.negated else 1
        found[f"W{gate}"] = sign * given.W[rows]
        found[f"U{gate}"] = sign * given.R[rows]
        first, second = given.bias[:, rows]
        if gate and gate == blocks.apart:
            found[f"b{gate}"], found[blocks.own_bias()] = first.copy(), second.copy()
        else:
            found[f"b{gate}"] = sign * (first + second)
    for k, gate in enumerate(blocks.peepholes):
        assert given.P is not None
        found[f"p{gate}"] = given.P[k * H : (k + 1) * H].copy()
    return found


def _check(blocks: Blocks, given: Stacked) -> int:
    """Return the hidden size. Raises ArgumentError if an array does not fit the others."""
    G = len(blocks.gates)
    if given.R.ndim != 2 or given.R.shape[0] != G * given.R.shape[1]:
        raise ArgumentError(
            f"recurrent weights of {G} gates must have {G} H rows of H; "
            f"got {' by '.join(map(str, given.R.shape))}"
        )
    H: int = given.R.shape[1]
    width = given.W.shape[-1] if given.W.ndim else 0
    wanted: dict[str, tuple[int, ...]] = {"W": (G * H, width), "bias": (2, G * H)}
    shapes = {"W": given.W.shape, "bias": given.bias.shape}
    if blocks.peepholes:
        wanted["P"] = (len(blocks.peepholes) * H,)
        shapes["P"] = () if given.P is None else given.P.shape
    for name, shape in wanted.items():
        if shapes[name] != shape:
            raise ArgumentError(
                f"{name} of {G} gates and {H} units must be {list(shape)}; got {list(shapes[name])}"
            )
    return H
