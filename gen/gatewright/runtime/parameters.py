"""Dict of arrays -> Parameters: packed once for each direction, when it first runs.

Why an object a caller can keep: packing matrices costs as much as a few time steps, and weights do
not change between the sequences of an evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewright.runtime.engine import Engine
from gatewright.runtime.layout import Layout
from gatewright.runtime.validate import ArgumentError, Array, checked_array, checked_dict


class Parameters:
    """The parameters of one cell at one moment: `sizes` by dimension, `values` by name.

    Made by `Kernels.prepare`, which copies what it is given, or `Routines.parameters`.
    """

    def __init__(
        self,
        layout: Layout,
        dtype: str,
        engine: Engine,
        values: dict[str, Any],
        sizes: dict[str, int],
    ) -> None:
        self.layout = layout
        self.dtype = dtype
        self.sizes = sizes
        self._engine = engine
        self._values = values
        self._directions: dict[bool, dict[str, Any]] = {}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{dim}={size}" for dim, size in self.sizes.items())
        return f"Parameters({self.layout.cell!r}, dtype={self.dtype!r}, {sizes})"

    def fits(self, layout: Layout, dtype: str, engine: Engine) -> bool:
        """Tell whether kernels with this layout, precision and engine can use them."""
        return self.layout is layout and (self.dtype, self._engine) == (dtype, engine)

    def arrays(self, transposed: bool) -> Mapping[str, Any]:
        """Return every parameter as the routines of one direction take it."""
        found = self._directions.get(transposed)
        if found is None:
            matrices = {name: self._values[name] for name in self.layout.matrices}
            found = {**self._values, **self._engine.matrices(matrices, transposed)}
            self._directions[transposed] = found
        return found


def checked_parameters(
    given: object, layout: Layout, dtype: str
) -> tuple[dict[str, Array], dict[str, int]]:
    """Return checked arrays by name, and the sizes of their dimensions.

    Raises ArgumentError if `given` is no dict of arrays that fit the cell.
    """
    arrays = checked_dict("parameters", given, tuple(layout.parameters))
    sizes: dict[str, int] = {}
    found: dict[str, Array] = {}
    for name, dims in layout.parameters.items():
        shape = tuple([sizes.get(dim, dim) for dim in dims])
        array = found[name] = checked_array(name, arrays[name], shape, dtype)
        # Where all sizes were known, the array has been held against them.
        if array.shape != shape:
            for dim, size in zip(dims, array.shape, strict=True):
                if not size:
                    raise ArgumentError(f"`{name}` is empty: `{dim}` must be at least 1")
                sizes.setdefault(dim, size)
    return found, sizes
