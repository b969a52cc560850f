"""Arguments of a layer -> Network: layers of one cell, before any library is chosen.

A Network says which cell runs (a projection and zoneout are part of it), how many layers and
directions there are, and the name and shape of every parameter. The NumPy layer and the PyTorch
module are made from the same one.

Why one description for both: what is a parameter, what is its shape and what a layer feeds the next
are decided once, so weights and numbers of the two are the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from inspect import signature
from numbers import Real
from os import PathLike
from typing import Any

from gatewright.language import transforms
from gatewright.language.cell import Cell
from gatewright.language.diagnostics import SpecError
from gatewright.loaded import LoadedCell, load
from gatewright.runtime.validate import ArgumentError, checked_size

# Mistakes that may be a misspelt option, as all others are settings of the cell.
UNKNOWN_SETTING = {"E0126", "E0127"}
# Of a layer in every library, but not of what they share.
LAYER_OPTIONS = ("batch_first",)
Shape = tuple[int, ...]
Rates = float | Mapping[str, float]


@dataclass(frozen=True)
class Network:
    """Layers of one cell, each running over the outputs of the one before.

    `loaded` is the cell that runs, `base` what it was before projection and zoneout. `zoneout`
    pairs those inputs of the cell that are masks with their rates; `sizes` are those of the cell's
    dimensions in the first layer.
    """

    loaded: LoadedCell
    base: Cell
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    dropout: float
    bidirectional: bool
    proj_size: int
    zoneout: tuple[tuple[str, float], ...]
    learn_initial_state: bool
    sizes: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        # Worked out now: what traces a layer cannot enter the lock of a cached property.
        for name in ("directions", "groups", "inputs", "states", "output_size", "_parameters"):
            getattr(self, name)

    @property
    def cell(self) -> Cell:
        """The cell that runs."""
        return self.loaded.cell

    @cached_property
    def directions(self) -> int:
        """How many directions each layer has."""
        return 2 if self.bidirectional else 1

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The names of the layers and directions, in order: `l0`, `l0_reverse`, `l1`."""
        ends = ("", "_reverse")[: self.directions]
        return tuple(f"l{k}{end}" for k in range(self.num_layers) for end in ends)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that a caller gives: the first is what layers hand on, all get the others."""
        masks = dict(self.zoneout)
        return tuple(each.name for each in self.cell.inputs if each.name not in masks)

    @cached_property
    def states(self) -> dict[str, Shape]:
        """The shape of one row of every state."""
        return {each.name: self._shape(each.dims, 0) for each in self.cell.states}

    @cached_property
    def output_size(self) -> int:
        """The size of the output of one direction."""
        return dict(self.sizes)[self.cell.shape_of(self.cell.output)[0]]

    def width(self, name: str, layer: int = 0) -> int:
        """Return the size of one row of an input of the cell in a layer."""
        return self._shape(self.cell.shape_of(name), layer)[0]

    def parameters(self, group: str) -> dict[str, Shape]:
        """Return the shape of every parameter of the cell in a layer and direction."""
        return self._parameters[group]

    @cached_property
    def _parameters(self) -> dict[str, dict[str, Shape]]:
        found = {}
        for index, group in enumerate(self.groups):
            layer = index // self.directions
            shapes = {each.name: self._shape(each.dims, layer) for each in self.cell.parameters}
            found[group] = shapes
        return found

    def learned(self, group: str) -> dict[str, Shape]:
        """Return the shapes of those that are learned: without `bias`, the others are zero."""
        found = self.parameters(group).items()
        return {name: shape for name, shape in found if self.bias or not _is_bias(name)}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of everything that is learned, by name: `l0.W_i`, `initial_l0.h`."""
        found = {}
        for group in self.groups:
            for name, shape in self.learned(group).items():
                found[f"{group}.{name}"] = shape
            if self.learn_initial_state:
                for name, shape in self.states.items():
                    found[f"initial_{group}.{name}"] = shape
        return found

    def _shape(self, dims: Iterable[str], layer: int) -> Shape:
        sizes = dict(self.sizes)
        if layer:
            sizes[self.cell.inputs[0].dims[0]] = self.directions * self.output_size
        return tuple(sizes[dim] for dim in dims)


def network(
    cell: str | PathLike[str] | LoadedCell,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bias: bool = True,
    dropout: float = 0.0,
    bidirectional: bool = False,
    proj_size: int = 0,
    *,
    zoneout: Rates = 0.0,
    clip: float | None = None,
    learn_initial_state: bool = False,
    sizes: Mapping[str, int] | None = None,
    **settings: Any,
) -> Network:
    """Return layers of a cell: a name of the catalogue, the path of a YAML file, a loaded cell.

    With `proj_size`, the output is projected to that size, unless the cell has a further dimension
    of its own, whose size it is. `zoneout` is the rate at which states keep their old entries in
    training, one for all or by state. `clip` bounds what one step hands back to the step before.
    `sizes` are those of dimensions that no other argument gives. `settings` are other values for
    the cell's constants and choices. Raises SpecError for a mistake in the spec, or a projection
    that the cell cannot have, and ArgumentError for one in the arguments.
    """
    loaded = with_settings(cell, settings)
    if clip is not None:
        loaded = loaded.with_reverse(clip=clip)
    given = {
        "input_size": checked_size("input_size", input_size),
        "hidden_size": checked_size("hidden_size", hidden_size),
        "num_layers": checked_size("num_layers", num_layers),
        "proj_size": checked_size("proj_size", proj_size) if proj_size else 0,
    }
    narrow, found = _projected(loaded.cell, given, _checked_sizes(sizes))
    made, masks = _zoned_out(narrow, zoneout)
    if num_layers > 1:
        _check_stackable(made)
    return Network(
        loaded=LoadedCell(made, loaded.reverse),
        base=loaded.cell,
        bias=bool(bias),
        dropout=_between(num_layers, _rate("dropout", dropout)),
        bidirectional=bool(bidirectional),
        zoneout=masks,
        learn_initial_state=bool(learn_initial_state),
        sizes=tuple(found.items()),
        **given,
    )


def network_and(
    own: Iterable[str], options: Mapping[str, Any], *arguments: Any
) -> tuple[Network, dict[str, Any]]:
    """Return the network of some arguments and options, and the options that are a layer's own.

    Raises what `network` does, and ArgumentError for what is nearly the name of an option.
    """
    names = set(own)
    others = {name: value for name, value in options.items() if name not in names}
    found = {name: value for name, value in options.items() if name in names}
    try:
        return network(*arguments, **others), found
    except SpecError as error:
        if {each.code for each in error.diagnostics} & UNKNOWN_SETTING:
            named = [n for n in signature(network).parameters if n not in ("cell", "settings")]
            _refuse_misspelt(others, (*own, *LAYER_OPTIONS, *named))
        raise


def _refuse_misspelt(settings: Iterable[str], options: Iterable[str]) -> None:
    known = tuple(options)
    for name in settings:
        near = get_close_matches(name, known, n=1, cutoff=0.8)
        if near and name not in known:
            raise ArgumentError(f"no option `{name}`: did you mean `{near[0]}`?") from None


def with_settings(
    cell: str | PathLike[str] | LoadedCell, settings: Mapping[str, Any]
) -> LoadedCell:
    """Return a cell with other constants and choices. Raises ArgumentError if it is loaded."""
    if not isinstance(cell, LoadedCell):
        return load(cell, **settings)
    if settings:
        raise ArgumentError(f"a loaded cell has its settings: {', '.join(settings)} come late")
    return cell


def _further(cell: Cell) -> list[str]:
    return [dim for dim in cell.dims if dim not in (cell.inputs[0].dims[0], "hidden")]


def _checked_sizes(sizes: object) -> dict[str, int]:
    if sizes is None:
        return {}
    if not isinstance(sizes, Mapping):
        raise ArgumentError(f"`sizes` must be a dict of sizes by dimension; got {sizes!r}")
    return {name: checked_size(f"sizes: {name}", size) for name, size in sizes.items()}


def _projected(
    cell: Cell, given: Mapping[str, int], further: Mapping[str, int]
) -> tuple[Cell, dict[str, int]]:
    """Return the cell, projected if asked for, and its dimensions' sizes in the first layer."""
    (first,) = cell.inputs[0].dims
    if "hidden" not in cell.dims or first == "hidden":
        raise ArgumentError(f"`{cell.identifier}` needs dimensions `input` and `hidden`")
    if unknown := [dim for dim in further if dim not in _further(cell)]:
        listed = ", ".join(f"`{dim}`" for dim in _further(cell)) or "none"
        raise ArgumentError(
            f"`sizes` has `{unknown[0]}`, but the dimensions of `{cell.identifier}` beside "
            f"`{first}` and `hidden` are {listed}"
        )
    own, proj_size = [dim for dim in _further(cell) if dim not in further], given["proj_size"]
    if proj_size and not own:
        cell, own = transforms.projected(cell), [transforms.PROJECTION]
    if len(own) > 1 or (own and not proj_size):
        listed = ", ".join(f"`{dim}`" for dim in own)
        raise ArgumentError(f"`{cell.identifier}` needs `proj_size`, or `sizes` with {listed}")
    sizes = {first: given["input_size"], "hidden": given["hidden_size"]}
    return cell, {**sizes, **dict.fromkeys(own, proj_size), **further}


def _zoned_out(cell: Cell, zoneout: Rates) -> tuple[Cell, tuple[tuple[str, float], ...]]:
    """Return the cell with zoneout, if asked for, and its masks with their rates."""
    if isinstance(zoneout, Mapping):
        rates = {name: _rate(f"zoneout: {name}", rate) for name, rate in zoneout.items()}
    else:
        rates = dict.fromkeys((each.name for each in cell.states), _rate("zoneout", zoneout))
    rates = {name: rate for name, rate in rates.items() if rate}
    if not rates:
        return cell, ()
    made = transforms.zoneout(cell, tuple(rates))
    masks = (each.name for each in made.inputs if each not in cell.inputs)
    return made, tuple(zip(masks, rates.values(), strict=True))


def _rate(name: str, rate: object) -> float:
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0.0 <= float(rate) <= 1.0:
        raise ArgumentError(f"`{name}` must be a number from 0 to 1; got {rate!r}")
    return float(rate)


def _between(num_layers: int, rate: float) -> float:
    """Return the rate of dropout, after a warning if there is nothing that it could drop."""
    if rate and num_layers == 1:
        text = "dropout is between layers, and this is one layer: nothing is dropped"
        # Of the caller of `gatewright.layer`.
        warnings.warn(text, UserWarning, stacklevel=5)
    return rate


def _check_stackable(cell: Cell) -> None:
    """Refuse cells with more that has the size of the input, which differs between layers."""
    first, *others = cell.inputs
    for variable in (*others, *cell.states):
        if first.dims[0] in variable.dims:
            raise ArgumentError(
                f"`{variable.name}` has the dimension `{first.dims[0]}`, whose size differs "
                f"between layers: `{cell.identifier}` can be one layer, not several"
            )


def _is_bias(name: str) -> bool:
    return name == "b" or name.startswith("b_")
