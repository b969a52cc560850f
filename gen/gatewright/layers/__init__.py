"""LoadedCell -> layers: stacks of a cell over whole sequences, described once for every library.

    network    the description: cell, sizes, parameters by name
    rows       what a caller gives a layer, sorted by length, and the way back
    segments   one direction of one layer, in runs of constant batch size
    stack      the layers on kernels, NumPy arrays in and out
    scalar     one scalar cell, plain numbers in and out

Why a stage of its own: a layer is more than a cell, and less than a library's module.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

from gatewright.layers.network import network_and
from gatewright.layers.scalar import Unit
from gatewright.layers.stack import Layer
from gatewright.loaded import LoadedCell

OPTIONS = ("dtype", "target", "threads")


def layer(
    cell: str | PathLike[str] | LoadedCell,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    proj_size: int = 0,
    **options: Any,
) -> Layer:
    """Return layers of a cell on kernels, with the arguments of `gatewright.torch.layer`.

    `options` are those of `Layer` (`dtype`, `target`, `threads`), those of a network (`zoneout`,
    `clip`, `learn_initial_state`, `sizes`), and values for the cell's constants and choices. Raises
    SpecError for a mistake in the spec and ArgumentError for one in the arguments.
    """
    sizes = (cell, input_size, hidden_size, num_layers, bias, dropout, bidirectional, proj_size)
    described, own = network_and(OPTIONS, options, *sizes)
    return Layer(described, batch_first=batch_first, **own)


def unit(cell: str | PathLike[str] | LoadedCell, **settings: Any) -> Unit:
    """Return one scalar cell: all dimensions have size 1, numbers in and out."""
    return Unit(cell, **settings)
