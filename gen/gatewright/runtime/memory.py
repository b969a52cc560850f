"""Where a target keeps its arrays.

Why arrays are asked for by the set: those that live and die together share one piece of memory, and
a call that needs twenty arrays asks the pool once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from gatewright.runtime.buffers import buffers
from gatewright.runtime.validate import Array

Shape = tuple[int, ...]


class Memory(Protocol):
    """Where a target keeps its arrays."""

    def arrays(self, shapes: Mapping[str, Shape], dtype: str) -> dict[str, Any]:
        """Return arrays with unspecified contents."""

    def upload(self, array: Array) -> Any:
        """Return the target's copy of an array; it may be the array itself."""

    def write(self, target: Any, array: Array) -> None:
        """Copy an array into a target's array of the same shape."""

    def download(self, array: Any) -> Array:
        """Return a NumPy array with the contents of a target's array."""


class HostMemory:
    """NumPy arrays; `fill` is what new arrays start with, for tests that look for gaps."""

    def __init__(self, fill: float | None = None) -> None:
        self.fill = fill

    def arrays(self, shapes: Mapping[str, Shape], dtype: str) -> dict[str, Array]:
        """Return new arrays, filled if a fill value was given."""
        if self.fill is not None:
            return {name: np.full(shape, self.fill, dtype) for name, shape in shapes.items()}
        return buffers.arrays(shapes, dtype)

    def upload(self, array: Array) -> Array:
        """Return the array itself."""
        return array

    def write(self, target: Array, array: Array) -> None:
        """Copy an array into another."""
        target[...] = array

    def download(self, array: Array) -> Array:
        """Return the array itself."""
        return array
