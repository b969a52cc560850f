"""LoadedCell -> LoadedCell: named changes to a cell, such as a projection of its state.

    small = gatewright.transforms.projected("lstm")
    both = gatewright.transforms.zoneout(small, "h", "c")

What they make is a cell like any other: it prints as a spec, compiles, and is certified.

Why a module of functions and not keywords of a layer: a transform changes what is computed, so it
belongs where the cell is written, and every user of cells has it.
"""

from __future__ import annotations

from os import PathLike

from gatewright.language import transforms
from gatewright.loaded import LoadedCell, load

__all__ = ["projected", "zoneout"]


def projected(cell: str | PathLike[str] | LoadedCell, state: str = "") -> LoadedCell:
    """Return the cell whose next state is a learned projection: `proj_size` of `nn.LSTM`.

    `state` is that of the output if empty. It and the columns of the matrices that multiply it get
    the dimension `projection`. Raises SpecError for a state that is read elementwise.
    """
    return LoadedCell(transforms.projected(_loaded(cell).cell, state))


def zoneout(cell: str | PathLike[str] | LoadedCell, *states: str) -> LoadedCell:
    """Return the cell whose states, all if none is named, keep old values where a mask is 1.

    Each such state `h` gets an input `keep_h` [dim of h]: in training draws of 0 and 1 with the
    rate of zoneout as mean, otherwise that rate. Raises SpecError if a state does not exist.
    """
    return LoadedCell(transforms.zoneout(_loaded(cell).cell, states))


def _loaded(cell: str | PathLike[str] | LoadedCell) -> LoadedCell:
    return cell if isinstance(cell, LoadedCell) else load(cell)
