"""The words of generated CUDA files for the compiler: what Numba makes of them.

Importing needs numba-cuda; no device and no driver.

Why every function of kernels is inlined: only then does Numba compile one without asking a driver
for the device it is meant for.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, TypeVar

from gatewright.runtime.cuda.numba_cuda import numba_cuda
from gatewright.runtime.cuda.products import flat, outer, product, product_transposed
from gatewright.runtime.cuda.trigonometry import sine_and_cosine
from gatewright.runtime.engine import PlainEngine

__all__ = [
    "all_rows",
    "cos",
    "device",
    "driver",
    "engine",
    "exp",
    "flat",
    "log",
    "log1p",
    "outer",
    "product",
    "product_transposed",
    "rows",
    "sin",
    "sqrt",
    "tanh",
    "this_row",
    "this_unit",
    "units",
    "whole",
]

Function = TypeVar("Function", bound=Callable[..., Any])

engine = PlainEngine()
cuda = numba_cuda()
exp, log, log1p, sqrt, tanh = math.exp, math.log, math.log1p, math.sqrt, math.tanh
sin, cos = math.sin, math.cos


def device(function: Function) -> Function:
    """Make a function that kernels call; it is expanded where it is called."""
    made: Function = cuda.jit(device=True, inline="always")(function)
    return made


def driver(function: Function) -> Function:
    """Return a function of the host as it is; it is not compiled."""
    return function


rows = units = whole = driver


@device
def this_row() -> Any:
    """Return the row of this thread."""
    return cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y


@device
def all_rows() -> Any:
    """Return how many rows the grid has threads for."""
    return cuda.gridDim.x * cuda.blockDim.y


@device
def this_unit() -> Any:
    """Return the unit of this thread."""
    return cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x


def single_precision() -> dict[str, Any]:
    """Return the words that a kernel in single precision takes instead of those of `math`."""
    types, libdevice = cuda.types, importlib.import_module("numba.cuda.libdevice")
    sine, cosine = sine_and_cosine(
        device, types.uint64, types.float32, types.int64, libdevice.float_as_int
    )
    return {"sin": sine, "cos": cosine}
