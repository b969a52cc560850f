"""Python functions -> launchers: kernels that are called like plain functions.

A kernel takes its grid from the shape of its last argument, which is one of its results: [rows,
units] for `rows`, [units] for `units`. Threads along x visit units, threads along y rows, and the
loops of a kernel stride over what a grid cannot cover. An empty result launches nothing.

Why the simulator gets a wrapper around each kernel: it replaces the name `cuda` in the globals of
the kernel alone, and in Numba's own version each device function swaps that name again while other
threads are reading it. Device functions are therefore plain functions there, and the wrapper lives
in the one module that says `cuda`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache, update_wrapper
from typing import Any, TypeVar

import numpy as np

from gatewright.runtime.cuda.availability import cuda, require_cuda, simulated

Function = TypeVar("Function", bound=Callable[..., Any])
Geometry = tuple[tuple[int, int], tuple[int, int]]

# Registers of a block: 128 threads fit with the 255 registers that a thread may have at most. Sums
# have one thread per unit, so small blocks reach more multiprocessors. The simulator's threads are
# operating system threads; its tiny grids make every loop stride.
ROW_THREADS, UNIT_THREADS, MOST_BLOCKS = (4, 4, 2) if simulated() else (128, 32, 65535)


def device(function: Function) -> Function:
    """Make a function that kernels call; it is expanded where it is called."""
    if simulated():
        return function
    compiled: Function = cuda.jit(device=True, inline="always")(function)
    return compiled


def driver(function: Function) -> Function:
    """Return a host function that launches kernels as it is."""
    return function


def rows(function: Callable[..., None]) -> Launcher:
    """Make a kernel that visits every row and unit of its last argument [rows, units]."""
    return Launcher(function, ROW_THREADS)


def units(function: Callable[..., None]) -> Launcher:
    """Make a kernel that visits every unit of its last argument [units], and all rows itself."""
    return Launcher(function, UNIT_THREADS)


class Launcher:
    """A kernel, its Python text as `py_func`; a call with arrays and scalars launches it."""

    def __init__(self, function: Callable[..., None], threads: int) -> None:
        update_wrapper(self, function)
        self.py_func = function
        self.threads = threads
        self._kernel = cuda.jit(_in_simulator(function) if simulated() else function)
        # The simulator's kernels remember one grid only.
        self._configured = self._configure if simulated() else lru_cache(64)(self._configure)

    def __repr__(self) -> str:
        return f"Launcher({self.py_func.__name__!r}, threads={self.threads})"

    def __call__(self, *arguments: Any) -> None:
        """Launch the kernel on the default stream, or do nothing if its last argument is empty.

        Raises CudaUnavailableError where there is no device.
        """
        require_cuda()
        shape = tuple(arguments[-1].shape)
        if 0 in shape:
            return
        down, across = shape if len(shape) > 1 else (1, *shape)
        grid, block = geometry(down, across, self.threads)
        self._configured(grid, block)(*(_on_device(argument) for argument in arguments))

    def _configure(self, grid: tuple[int, int], block: tuple[int, int]) -> Any:
        with warnings.catch_warnings():
            # A cell of few units is small on purpose.
            warnings.filterwarnings("ignore", message="Grid size .* under-utilization")
            return self._kernel[grid, block]


def geometry(rows: int, units: int, threads: int, blocks: int = MOST_BLOCKS) -> Geometry:
    """Return (grid, block), each (x, y), for `threads` threads a block and `blocks` a direction."""
    across = min(threads, _power_of_two(units))
    down = min(threads // across, _power_of_two(rows))
    grid = min(-(-units // across), blocks), min(-(-rows // down), blocks)
    return grid, (across, down)


@device
def first_row() -> Any:
    """Return the first row of this thread."""
    return cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y


@device
def all_rows() -> Any:
    """Return how many rows the grid visits at once."""
    return cuda.gridDim.y * cuda.blockDim.y


@device
def first_unit() -> Any:
    """Return the first unit of this thread."""
    return cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x


@device
def all_units() -> Any:
    """Return how many units the grid visits at once."""
    return cuda.gridDim.x * cuda.blockDim.x


def _power_of_two(size: int) -> int:
    """Return the smallest power of two that is not below a size."""
    return 1 << (size - 1).bit_length()


def _on_device(argument: Any) -> Any:
    """Return what a kernel takes: DeviceMemory keeps empty arrays on the host."""
    empty = isinstance(argument, np.ndarray) and argument.ndim > 0 and not argument.size
    return cuda.to_device(argument) if empty else argument


def _in_simulator(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a kernel for the simulator: as on a device, floating point raises and warns nothing."""

    def simulated_kernel(*arguments: Any) -> None:
        with np.errstate(all="ignore"):
            function(*arguments)

    simulated_kernel.__name__ = function.__name__
    return simulated_kernel
