"""Dict of arrays -> checked parameters of a cell: what every bridge asks of its caller.

Why here and not in each bridge: whichever library the weights go to, a mistake in them gets the
sentence that the kernels give.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gatewright.language.cell import Cell
from gatewright.loaded import LoadedCell
from gatewright.runtime.validate import ArgumentError, Array, checked_array, checked_dict

REAL = ("float32", "float64")


class Checked(NamedTuple):
    """Parameters by name, the size of every dimension they have, and their one dtype."""

    arrays: dict[str, Array]
    sizes: dict[str, int]
    dtype: str


def cell_of(cell: object, source: str = "gatewright.load") -> Cell:
    """Return what the language knows of a loaded cell.

    Raises ArgumentError for anything else, which says that it comes from `source`.
    """
    if not isinstance(cell, LoadedCell):
        given = type(cell).__name__
        raise ArgumentError(f"`cell` must come from {source}; got {given}")
    return cell.cell


def checked_parameters(cell: Cell, given: object) -> Checked:
    """Return the parameters of a cell, all float32 or all float64.

    Raises ArgumentError if one is missing, unknown, of another dtype or shape, or empty.
    """
    arrays = checked_dict("parameters", given, tuple(each.name for each in cell.parameters))
    dtype = dtype_of(arrays)
    sizes: dict[str, int] = {}
    found: dict[str, Array] = {}
    for name, dims in ((each.name, each.dims) for each in cell.parameters):
        shape = tuple(sizes.get(dim, dim) for dim in dims)
        array = checked_array(name, arrays[name], shape, dtype)
        for dim, size in zip(dims, array.shape, strict=True):
            if not size:
                raise ArgumentError(f"`{name}` is empty: `{dim}` must be at least 1")
            sizes.setdefault(dim, size)
        found[name] = array.reshape(array.shape if dims else ())
    return Checked(found, sizes, dtype)


def dtype_of(arrays: Mapping[str, Any]) -> str:
    """Return the dtype of the first array, if it is one that cells are computed in.

    Raises ArgumentError if it is another, or no array.
    """
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ArgumentError(f"`{name}` must be a NumPy array; got {type(array).__name__}")
        dtype = str(array.dtype)
        if dtype not in REAL:
            raise ArgumentError(f"`{name}` must have dtype float32 or float64; got {dtype}")
        return dtype
    return "float32"


def read_weights(path: str | Path) -> dict[str, Array]:
    """Return the arrays of an `.npz` file by name. Raises ArgumentError if it cannot be read."""
    try:
        # NumPy would leave a broken file open.
        with Path(path).open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name; save a dict with numpy.savez")
            with archive:
                return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # of zipfile, zlib or NumPy: a file may be broken anywhere
        raise ArgumentError(f"cannot read {path} as .npz: {error}") from None
