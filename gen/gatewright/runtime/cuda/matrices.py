"""Arrays of NumPy or PyTorch -> the few operations that matrix products need, by the same names.

Why both: products of kernels on a GPU are PyTorch's, since those can be captured in a CUDA graph;
the emulator must also run where PyTorch is not installed.
"""

from __future__ import annotations

from math import prod
from typing import Any, Protocol

import numpy as np

from gatewright.runtime.cuda.tensors import torch

Array = Any


class Matrices(Protocol):
    """What products ask of an array library."""

    def address(self, array: Array) -> int:
        """Return where an array's first element is."""

    def strides(self, array: Array) -> tuple[int, ...]:
        """Return the distances between neighbours of each dimension, in elements."""

    def strided(self, array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        """Return a view that begins where an array does."""

    def multiply(self, left: Array, right: Array, target: Array, add: bool) -> None:
        """Write the product of two matrices into a third, or add it."""

    def empty(self, shape: tuple[int, ...], like: Array) -> Array:
        """Return a new array where another one is."""

    def add_rows(self, array: Array, target: Array, add: bool) -> None:
        """Write the sum of an array's rows into a vector, or add it."""


class NumpyMatrices:
    """NumPy's arrays."""

    def address(self, array: Array) -> int:
        """Return where an array's first element is."""
        return int(array.__array_interface__["data"][0])

    def strides(self, array: Array) -> tuple[int, ...]:
        """Return the distances between neighbours of each dimension, in elements."""
        return tuple(stride // array.itemsize for stride in array.strides)

    def strided(self, array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        """Return a view that begins where an array does."""
        steps = tuple(stride * array.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(array, shape, steps)

    def multiply(self, left: Array, right: Array, target: Array, add: bool) -> None:
        """Write the product of two matrices into a third, or add it."""
        target[...] = left @ right + (target if add else 0)

    def empty(self, shape: tuple[int, ...], like: Array) -> Array:
        """Return a new array where another one is."""
        return np.empty(shape, like.dtype)

    def add_rows(self, array: Array, target: Array, add: bool) -> None:
        """Write the sum of an array's rows into a vector, or add it."""
        target[...] = array.sum(0) + (target if add else 0)


class TorchMatrices:
    """PyTorch's tensors, wherever they are."""

    def address(self, array: Array) -> int:
        """Return where an array's first element is."""
        return int(array.data_ptr())

    def strides(self, array: Array) -> tuple[int, ...]:
        """Return the distances between neighbours of each dimension, in elements."""
        return tuple(array.stride())

    def strided(self, array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        """Return a view that begins where an array does."""
        return array.as_strided(shape, strides)

    def multiply(self, left: Array, right: Array, target: Array, add: bool) -> None:
        """Write the product of two matrices into a third, or add it."""
        if add:
            target.addmm_(left, right)
        else:
            torch().mm(left, right, out=target)

    def empty(self, shape: tuple[int, ...], like: Array) -> Array:
        """Return a new array where another one is."""
        return like.new_empty(shape)

    def add_rows(self, array: Array, target: Array, add: bool) -> None:
        """Write the sum of an array's rows into a vector, or add it."""
        if add:
            target.add_(array.sum(0))
        else:
            torch().sum(array, 0, out=target)


_NUMPY, _TORCH = NumpyMatrices(), TorchMatrices()


def matrices_of(array: Array) -> Matrices:
    """Return the operations of the library that an array belongs to."""
    return _NUMPY if isinstance(array, np.ndarray) else _TORCH


def extent(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return how many elements lie from the first to the last of a view, both counted."""
    if not prod(shape):
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
