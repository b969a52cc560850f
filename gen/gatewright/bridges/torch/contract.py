"""Layout -> what the operators take and return: names, order, shapes.

`given` are inputs [T, B, dim], initial states [B, dim] and parameters, in the cell's order; `kept`
are the arrays that the reverse reads, the one that the output is a part of left out.

Why shapes come from the runtime's own storage rules: tracing then promises what the kernels do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from gatewright.runtime.layout import Layout
from gatewright.runtime.storage import FORWARD, Shapes, storage
from gatewright.runtime.validate import Array

Tensors = tuple[Tensor, ...]
Arrays = dict[str, Array]
Sizes = dict[str, Any]


class Given(NamedTuple):
    """What a sequence is given, as arrays by name."""

    inputs: Arrays
    states: Arrays
    parameters: Arrays


class Reversed(NamedTuple):
    """What the reverse is given: cotangents of outputs and final states, and the forward's own."""

    cotangents: tuple[Tensor | None, ...]
    given: Tensors
    y: Tensor
    kept: Tensors


@dataclass(frozen=True)
class Contract:
    """The arguments and results of a layout's operators."""

    layout: Layout

    @cached_property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The dimensions of everything given, by name, time and batch left out."""
        return {**self.layout.inputs, **self.layout.states, **self.layout.parameters}

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The names of the states."""
        return tuple(self.layout.states)

    @cached_property
    def results(self) -> int:
        """How many results a caller sees: the output and the final states."""
        return 1 + len(self.states)

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """The names of what a run keeps beside its output."""
        shapes = self._lasting(dict.fromkeys(("T", "B", *self.layout.dims), 1))
        return tuple(name for name in shapes if name != self.layout.output[0])

    def arrays(self, given: Sequence[Tensor]) -> Given:
        """Return views of the tensors by name."""
        named = dict(zip(self.dims, map(view, given), strict=True))
        groups = (self.layout.inputs, self.layout.states, self.layout.parameters)
        return Given(*({name: named[name] for name in group} for group in groups))

    def sizes(self, given: Sequence[Tensor]) -> Sizes:
        """Return T, B and every dimension; symbolic where the tensors' own sizes are."""
        found: Sizes = {"T": given[0].shape[0], "B": given[0].shape[1]}
        for dims, tensor in zip(self.dims.values(), given, strict=True):
            found.update(zip(reversed(dims), reversed(tensor.shape), strict=False))
        return found

    def initial(self, given: Sequence[Tensor], name: str) -> Tensor:
        """Return an initial state by name."""
        return given[list(self.dims).index(name)]

    def split(self, tensors: Sequence[Any]) -> Reversed:
        """Return the arguments of the reverse in their groups."""
        first, last = self.results, self.results + len(self.dims)
        given, kept = tuple(tensors[first:last]), tuple(tensors[last + 1 :])
        return Reversed(tuple(tensors[:first]), given, tensors[last], kept)

    def traced(self, given: Sequence[Tensor], keep: bool) -> Tensors:
        """Return empty tensors with the shapes, strides and offsets of the forward's results."""
        sizes, new = self.sizes(given), given[0].new_empty
        final = [
            new((sizes["B"], *(sizes[d] for d in dims))) for dims in self.layout.states.values()
        ]
        if not keep:
            dims = self.layout.output_dims
            return (new((sizes["T"], sizes["B"], *(sizes[dim] for dim in dims))), *final)
        shapes = self._lasting(sizes)
        name, slab = self.layout.output
        y = new(shapes[name]).narrow(0, slab, sizes["T"])
        return (y, *final, *(new(shapes[each]) for each in self.kept))

    def _lasting(self, sizes: Sizes) -> Shapes:
        return storage(self.layout, FORWARD, sizes, True, 1).lasting


def view(tensor: Tensor) -> Array:
    """Return a tensor's numbers as an array over the same memory."""
    array: Array = tensor.detach().numpy()
    return array
