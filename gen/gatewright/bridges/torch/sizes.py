"""LoadedCell, sizes -> shapes: what the arguments of a layer mean for the dimensions of its cell.

Why the dimension of the input is asked for by its place and not its name: only `hidden` has a name
that the arguments of `nn.LSTM` share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatewright.language.cell import Cell
from gatewright.loaded import LoadedCell
from gatewright.runtime.validate import ArgumentError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class CellSizes:
    """The sizes of a cell's dimensions; only the input's differs between layers."""

    cell: Cell
    input_dim: str
    sizes: dict[str, int]

    @property
    def states(self) -> dict[str, Shape]:
        """The shape of one row of every state."""
        return {state.name: self._shape(state.dims, self.sizes) for state in self.cell.states}

    @property
    def output(self) -> int:
        """The size of the output of one direction."""
        return self.sizes[self.cell.shape_of(self.cell.output)[0]]

    def parameters(self, layer: int, directions: int) -> dict[str, Shape]:
        """Return the shape of every parameter in a layer; beyond the first, outputs are inputs."""
        sizes = dict(self.sizes)
        if layer:
            sizes[self.input_dim] = directions * self.output
        return {each.name: self._shape(each.dims, sizes) for each in self.cell.parameters}

    @staticmethod
    def _shape(dims: Sequence[str], sizes: dict[str, int]) -> Shape:
        return tuple(sizes[dim] for dim in dims)


def cell_sizes(loaded: LoadedCell, input_size: int, hidden_size: int, proj_size: int) -> CellSizes:
    """Return the sizes of a cell's dimensions for the arguments of a layer.

    Raises ArgumentError if the cell has several inputs, or dimensions that no argument gives.
    """
    cell = loaded.cell
    if len(cell.inputs) != 1:
        names = ", ".join(f"`{variable.name}`" for variable in cell.inputs)
        raise ArgumentError(f"a layer takes one input, but `{cell.identifier}` has {names}")
    (input_dim,) = cell.inputs[0].dims
    further = [dim for dim in cell.dims if dim not in (input_dim, "hidden")]
    if "hidden" not in cell.dims or input_dim == "hidden":
        raise ArgumentError(f"`{cell.identifier}` needs dimensions `input` and `hidden`")
    if bool(proj_size) != (len(further) == 1) or len(further) > 1:
        listed = ", ".join(f"`{dim}`" for dim in further) or "none"
        raise ArgumentError(
            "`proj_size` is the size of the one dimension that a cell has beside its input and "
            f"`hidden`; `{cell.identifier}` has {listed}"
        )
    sizes = {input_dim: input_size, "hidden": hidden_size} | dict.fromkeys(further, proj_size)
    return CellSizes(cell, input_dim, sizes)
