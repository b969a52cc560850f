"""Layout, device -> arrays and matrices where the products of a cell want them: side by side.

Why the layout decides and not the sizes: how many arrays share their rows stands in the text of
every kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewright.runtime.cuda.devices import Device
from gatewright.runtime.cuda.matrices import matrices_of
from gatewright.runtime.engine import PlainEngine
from gatewright.runtime.layout import Layout
from gatewright.runtime.validate import Array

Shape = tuple[int, ...]


class DeviceMemory:
    """Arrays of a device for one cell; `fill` is what new arrays start with, for tests."""

    def __init__(self, layout: Layout, device: Device, fill: float | None = None) -> None:
        self.device = device
        self.fill = fill
        self.layout = layout
        self._gradients = {n for n, (place, *_) in layout.reverse.items() if place == "gradient"}
        self._stacks = (*layout.stacks.get("forward", ()), *layout.stacks.get("backward", ()))

    def arrays(self, shapes: Mapping[str, Shape], dtype: str) -> dict[str, Any]:
        """Return new arrays, filled if a fill value was given; stacks are views of one array."""
        found: dict[str, Any] = {}
        for stack in self._stacks:
            if found.keys().isdisjoint(stack) and all(name in shapes for name in stack):
                rows = stack[0] in self._gradients
                found |= self._stacked({name: shapes[name] for name in stack}, dtype, rows)
        for name, shape in shapes.items():
            if name not in found:
                found[name] = self._new(shape, dtype)
        return {name: found[name] for name in shapes}

    def matrices(self, given: Mapping[str, Any], direction: str, dtype: str) -> dict[str, Any]:
        """Return copies of matrices as a direction multiplies with them; others as they are."""
        found = dict(given)
        for stack in self.layout.stacks.get(direction, ()):
            if all(name in given for name in stack):
                shapes = {name: tuple(given[name].shape) for name in stack}
                views = self._stacked(shapes, dtype, rows=True)
                for name, view in views.items():
                    view[...] = given[name]
                found |= views
        return found

    def side_by_side(self, given: Mapping[str, Any], dtype: str) -> dict[str, Any]:
        """Return arrays [T, B, dim] as kernels read them: copies where a stack was taken apart."""
        found = dict(given)
        for stack in self._stacks:
            parts = [given[name] for name in stack if name in given]
            if len(parts) == len(stack) and not _is_stacked(parts):
                shapes = {name: tuple(given[name].shape) for name in stack}
                views = self._stacked(shapes, dtype, rows=False)
                for name, view in views.items():
                    view[...] = given[name]
                found |= views
        return found

    def upload(self, array: Array) -> Any:
        """Return the device's copy of an array; it may be the array itself."""
        return self.device.array(array)

    def write(self, target: Any, array: Array) -> None:
        """Copy an array into one of the device, for example a slab of a larger array."""
        target[...] = self.device.array(array)

    def download(self, array: Any) -> Array:
        """Return a NumPy array with the contents of a device array."""
        return self.device.host(array)

    def _new(self, shape: Shape, dtype: str) -> Any:
        array = self.device.empty(shape, dtype)
        if self.fill is not None:
            array[...] = self.fill
        return array

    def _stacked(self, shapes: Mapping[str, Shape], dtype: str, rows: bool) -> dict[str, Any]:
        """Return the views of one new array: below each other, or side by side."""
        sizes = [shape[0] if rows else shape[-1] for shape in shapes.values()]
        first = next(iter(shapes.values()))
        whole = self._new((sum(sizes), *first[1:]) if rows else (*first[:-1], sum(sizes)), dtype)
        ends = np.cumsum(sizes)
        parts = [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
        views = [whole[part] if rows else whole[..., part] for part in parts]
        return dict(zip(shapes, views, strict=True))


def _is_stacked(parts: Sequence[Any]) -> bool:
    """Tell whether arrays of one shape are the columns of one array, in order."""
    first, library = parts[0], matrices_of(parts[0])
    width = first.shape[-1] * first.itemsize
    return all(
        library.address(part) == library.address(first) + k * width
        and library.strides(part)[-2] == len(parts) * first.shape[-1]
        for k, part in enumerate(parts)
    )


class StackingEngine(PlainEngine):
    """Runs routines in the calling thread, on matrices that stand as their products want them."""

    def __init__(self, memory: DeviceMemory, dtype: str) -> None:
        self.memory = memory
        self.dtype = dtype

    def matrices(self, arrays: Mapping[str, Any], transposed: bool) -> Mapping[str, Any]:
        """Return the matrices of one direction."""
        direction = "backward" if transposed else "forward"
        return self.memory.matrices(arrays, direction, self.dtype)
