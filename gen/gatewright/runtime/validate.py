"""Arguments -> checked arrays: everything a kernel could trip over is refused or copied here.

Kernels index without bounds checks, so a wrong shape would read or write foreign memory. Every
array passes through `checked_array`: right dtype, right shape, native byte order; one that is not
contiguous, aligned and writeable is copied, so kernels see a single array type.

Why no silent casts: a float32 array in a float64 run would lose the precision that the caller
asked for, and an integer array is almost always a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LARGEST = 2**31 - 1


class ArgumentError(ValueError):
    """An argument that does not fit the cell; the message is one sentence that says how."""


def checked_array(name: str, value: object, shape: tuple[int | str, ...], dtype: Any) -> Array:
    """Return `value` as a contiguous array of the given shape.

    A string in `shape` stands for a size that may be anything. Raises ArgumentError that names the
    array, what was expected and what was given.
    """
    # An array that fits as it is, and most do, should cost no more than a look.
    if (
        type(value) is np.ndarray
        and value.dtype == dtype
        and value.flags.carray
        and _fits(value.shape, shape)
        and value.size <= LARGEST
    ):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(f"`{name}` is a masked array; fill it first, for example `.filled(0)`")
    if isinstance(value, np.generic):
        # What arithmetic makes of an array without axes, such as a scalar that learns.
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        given = type(value).__name__
        raise ArgumentError(f"`{name}` must be a NumPy array; got {given}")
    wanted = np.dtype(dtype)
    if value.dtype != wanted:
        hint = f"convert it with `.astype(numpy.{wanted})`"
        raise ArgumentError(f"`{name}` must have dtype {wanted}; got {value.dtype}: {hint}")
    if not _fits(value.shape, shape):
        text = ", ".join(str(size) for size in shape)
        raise ArgumentError(f"`{name}` must have shape [{text}]; got {list(value.shape)}")
    if value.size > LARGEST:
        raise ArgumentError(f"`{name}` has {value.size} elements; at most {LARGEST} are supported")
    contiguous: Array = np.require(np.asarray(value), requirements=("C", "A", "W"))
    return contiguous


def _fits(found: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    if found == wanted:
        return True
    if len(found) != len(wanted):
        return False
    for size, got in zip(wanted, found, strict=True):
        if size != got and not isinstance(size, str):
            return False
    return True


def checked_dict(kind: str, value: object, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Return `value` if it is a mapping with exactly the given names; else raise ArgumentError."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{kind} must be a dict of arrays; got {type(value).__name__}")
    missing = [name for name in names if name not in value]
    extra = [str(name) for name in value if name not in names]
    if missing:
        raise ArgumentError(f"{kind} lack {_listed(missing)}; this cell has {_listed(names)}")
    if extra:
        raise ArgumentError(f"{kind} have unknown {_listed(extra)}; this cell has {_listed(names)}")
    return value


def checked_size(name: str, value: object) -> int:
    """Return a size if it is a positive whole number that is not too large."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise ArgumentError(f"`{name}` must be a whole number; got {value!r}")
    size = int(value)
    if not 1 <= size <= LARGEST:
        raise ArgumentError(f"`{name}` must be between 1 and {LARGEST}; got {size}")
    return size


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
