"""What a caller gives a layer -> Rows: checked arrays, the longest row first, and the way back.

Why sorted here and nowhere else: whoever runs a direction then sees rows that only ever leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewright.layers.network import Network
from gatewright.layers.segments import Arrays, Segment, segments
from gatewright.runtime.validate import ArgumentError, Array, checked_array, checked_dict


@dataclass(frozen=True)
class Rows:
    """Inputs [T, B, dim] by name and their segments; `order` is where each row came from."""

    inputs: Arrays
    parts: tuple[Segment, ...]
    order: Array | None
    batch_first: bool

    @property
    def batch(self) -> int:
        """How many rows there are."""
        return int(next(iter(self.inputs.values())).shape[1])

    def back(self, array: Array) -> Array:
        """Return an array [T, B, dim] in the caller's order and form."""
        if self.order is not None:
            array = array[:, np.argsort(self.order)]
        return np.ascontiguousarray(array.swapaxes(0, 1)) if self.batch_first else array

    def here(self, array: Array) -> Array:
        """Return an array in the caller's order and form as [T, B, dim]."""
        array = array.swapaxes(0, 1) if self.batch_first else array
        return array if self.order is None else array[:, self.order]

    def unsorted(self, states: Mapping[str, Array]) -> Arrays:
        """Return states [groups, B, dim] in the caller's order."""
        back = slice(None) if self.order is None else np.argsort(self.order)
        return {name: array[:, back] for name, array in states.items()}

    def sorted(self, states: Mapping[str, Array]) -> Arrays:
        """Return states [groups, B, dim], the longest row first."""
        order = slice(None) if self.order is None else self.order
        return {name: array[:, order] for name, array in states.items()}


def rows_of(x: Any, lengths: Any, network: Network, batch_first: bool, dtype: str) -> Rows:
    """Return what a caller gave as Rows. Raises ArgumentError for what does not fit the network."""
    names = network.inputs
    if len(names) > 1 or isinstance(x, Mapping):
        given = checked_dict("inputs", x, names)
    else:
        given = {names[0]: x}
    sizes: tuple[int | str, ...] = ("B", "T") if batch_first else ("T", "B")
    found: Arrays = {}
    for name in names:
        array = checked_array(name, given[name], (*sizes, network.width(name)), dtype)
        sizes = array.shape[:2]
        found[name] = array.swapaxes(0, 1) if batch_first else array
    T, B = found[names[0]].shape[:2]
    if lengths is None:
        return Rows(found, (Segment(0, T, B),), None, batch_first)
    counts = np.asarray(lengths)
    if counts.shape != (B,) or not (np.issubdtype(counts.dtype, np.integer) or not B):
        raise ArgumentError(f"`lengths` must be {B} whole numbers, one for each row of x")
    if B and (counts.min() < 1 or counts.max() > T):
        raise ArgumentError(f"`lengths` must be from 1 to {T}, the time steps of x")
    order = np.argsort(-counts, kind="stable")
    ordered = {name: array[:, order] for name, array in found.items()}
    return Rows(ordered, segments(counts[order].tolist()), order, batch_first)


def checked_states(
    kind: str, given: Mapping[str, Array] | None, network: Network, B: int, dtype: str
) -> Arrays:
    """Return states [groups, B, dim] as given, or zeros. Raises ArgumentError."""
    shapes = {n: (len(network.groups), B, *shape) for n, shape in network.states.items()}
    if given is None:
        return {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    arrays = checked_dict(kind, given, tuple(shapes))
    return {n: checked_array(f"{kind}: {n}", arrays[n], s, dtype) for n, s in shapes.items()}
