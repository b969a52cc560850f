"""What a caller gives a layer -> Rows: checked arrays, the longest row first, and the way back.

Why sorted here and nowhere else: whoever runs a direction then sees rows that only ever leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewright.layers.network import Network
from gatewright.layers.segments import Arrays, Segment, checked_lengths, segments
from gatewright.runtime.validate import ArgumentError, Array, checked_array, checked_dict


@dataclass(frozen=True)
class Rows:
    """Inputs [T, B, dim] by name and their segments; `order` is where each row came from.

    If not `batched`, the caller's arrays have no axis for the one row.
    """

    inputs: Arrays
    parts: tuple[Segment, ...]
    order: Array | None
    batch_first: bool
    batched: bool = True

    @property
    def batch(self) -> int:
        """How many rows there are."""
        return int(next(iter(self.inputs.values())).shape[1])

    def back(self, array: Array) -> Array:
        """Return an array [T, B, dim] in the caller's order and form."""
        if not self.batched:
            return array[:, 0]
        if self.order is not None:
            array = array[:, np.argsort(self.order)]
        return np.ascontiguousarray(array.swapaxes(0, 1)) if self.batch_first else array

    def here(self, array: Array) -> Array:
        """Return an array in the caller's order and form as [T, B, dim]."""
        if not self.batched:
            return array[:, None]
        array = array.swapaxes(0, 1) if self.batch_first else array
        return array if self.order is None else array[:, self.order]

    def unsorted(self, states: Mapping[str, Array]) -> Arrays:
        """Return states [groups, B, dim] in the caller's order and form."""
        if not self.batched:
            return {name: array[:, 0] for name, array in states.items()}
        back = slice(None) if self.order is None else np.argsort(self.order)
        return {name: array[:, back] for name, array in states.items()}

    def states(
        self, kind: str, given: Mapping[str, Array] | None, network: Network, dtype: str
    ) -> Arrays:
        """Return a caller's states, or zeros, as [groups, B, dim], the longest row first.

        Raises ArgumentError.
        """
        rows = (self.batch,) if self.batched else ()
        shapes = {n: (len(network.groups), *rows, *shape) for n, shape in network.states.items()}
        if given is None:
            found = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
        else:
            arrays = checked_dict(kind, given, tuple(shapes))
            found = {
                n: checked_array(f"{kind}: {n}", arrays[n], s, dtype) for n, s in shapes.items()
            }
        if not self.batched:
            return {name: array[:, None] for name, array in found.items()}
        order = slice(None) if self.order is None else self.order
        return {name: array[:, order] for name, array in found.items()}


def rows_of(x: Any, lengths: Any, network: Network, batch_first: bool, dtype: str) -> Rows:
    """Return what a caller gave as Rows. Raises ArgumentError for what does not fit the network."""
    names = network.inputs
    if len(names) > 1 or isinstance(x, Mapping):
        given = checked_dict("inputs", x, names)
    else:
        given = {names[0]: x}
    batched = getattr(given[names[0]], "ndim", 3) != 2
    sizes: tuple[int | str, ...] = ("B", "T") if batched and batch_first else ("T", "B")
    sizes = sizes if batched else ("T",)
    found: Arrays = {}
    for name in names:
        array = checked_array(name, given[name], (*sizes, network.width(name)), dtype)
        sizes = array.shape[:-1]
        if not batched:
            array = array[:, None]
        found[name] = array.swapaxes(0, 1) if batched and batch_first else array
    T, B = found[names[0]].shape[:2]
    if lengths is None:
        return Rows(found, (Segment(0, T, B),), None, batch_first, batched)
    if not batched:
        raise ArgumentError("`lengths` need x [T, B, input], or [B, T, input] if batch_first")
    counts = checked_lengths(lengths, T, B)
    if not B:
        # Nothing is cut into segments where there are no rows.
        return Rows(found, (Segment(0, T, B),), None, batch_first)
    order = np.argsort(-counts, kind="stable")
    ordered = {name: array[:, order] for name, array in found.items()}
    return Rows(ordered, segments(counts[order].tolist()), order, batch_first)
