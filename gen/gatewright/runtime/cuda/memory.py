"""Arrays of a device: what `Kernels` allocates, fills and reads back for the CUDA target.

Why empty arrays stay on the host: `numba.cuda` cannot index an array without elements (a slab of
[T, 0, dim] comes out as [1, 1]), NumPy can, and no kernel ever writes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewright.runtime.cuda.availability import cuda, require_cuda
from gatewright.runtime.validate import Array


class DeviceMemory:
    """Device arrays; `fill` is what new arrays start with, for tests that look for gaps.

    Raises CudaUnavailableError where there is no device.
    """

    def __init__(self, fill: float | None = None) -> None:
        require_cuda()
        self.fill = fill

    def arrays(self, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, Any]:
        """Return new arrays, filled if a fill value was given."""
        return {name: self._empty(shape, dtype) for name, shape in shapes.items()}

    def _empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        if 0 in shape:
            return np.empty(shape, dtype)
        if self.fill is None:
            return cuda.device_array(shape, dtype)
        return cuda.to_device(np.full(shape, self.fill, dtype))

    def upload(self, array: Array) -> Any:
        """Return a copy on the device."""
        return cuda.to_device(array) if array.size else array

    def write(self, target: Any, array: Array) -> None:
        """Copy an array into a target of the same shape, for example one slab of a larger array."""
        if array.size:
            target.copy_to_device(array)

    def download(self, array: Any) -> Array:
        """Return a NumPy array with the contents of a device array."""
        if isinstance(array, np.ndarray):
            return array
        host: Array = array.copy_to_host()
        return host
