"""Where kernels run: the seam between the host's code and a GPU or the emulator.

Both kinds launch by the same call and keep arrays; a test of the host's code with an emulated
device therefore runs every line of it but the driver's calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gatewright.runtime.cuda.availability import require_cuda, simulated
from gatewright.runtime.cuda.emulator import Buffer, Machine, Size
from gatewright.runtime.cuda.kernel import Kernel, Passed
from gatewright.runtime.cuda.matrices import extent, matrices_of
from gatewright.runtime.cuda.realms import emulated
from gatewright.runtime.cuda.tensors import dtype_of, is_tensor, torch
from gatewright.runtime.validate import Array


@dataclass(frozen=True)
class Limits:
    """What a launch may ask for.

    Threads of a block of a `rows` kernel, units and rows of a block of a `units` kernel,
    multiprocessors, bytes of shared memory of a block, and whether threads hold weights in
    registers: for sm_80 the assembler spills them where it does not for sm_90.
    """

    row_threads: int
    unit_threads: int
    lanes: int
    multiprocessors: int
    shared: int
    held: bool = True


def holds_weights(arch: str) -> bool:
    """Tell whether threads of an architecture such as `sm_90` hold weights in registers."""
    return int(arch.removeprefix("sm_")) >= 90


@dataclass(frozen=True)
class Code:
    """One kernel of one generated file: its text, its precision, and how arguments are passed."""

    text: str
    dtype: str
    kernel: Kernel
    passed: tuple[Passed, ...]


@dataclass(frozen=True)
class Launch:
    """The shape of a launch; `together` means that all blocks must be resident at once."""

    grid: Size
    block: Size
    shared: int = 0
    together: bool = False


Launched = Callable[[Launch, Sequence[Any]], None]


class Device(Protocol):
    """Something that runs kernels."""

    @property
    def limits(self) -> Limits:
        """What a launch may ask for."""

    def prepared(self, code: Code, shared: int = 0, threads: int | None = None) -> Launched:
        """Return a function that launches a kernel on arrays and numbers.

        `shared` is bytes of shared memory, `threads` the most of a block.
        """

    def zeros(self, count: int) -> Any:
        """Return new counters, all zero."""

    def array(self, values: Array) -> Any:
        """Return an array of the device with the values of a NumPy array."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Return an array of the device with unspecified contents."""

    def host(self, array: Any) -> Array:
        """Return a NumPy array with the contents of an array of the device."""


class EmulatedDevice:
    """Runs kernels in the emulator, on NumPy arrays or, with `tensors`, on PyTorch's.

    Every launch takes the next seed; `launches` counts them by kernel. Its blocks are small,
    unless other `limits` are given. What nobody wrote is NaN.
    """

    def __init__(
        self,
        order: str = "random",
        seed: int = 0,
        tensors: bool = False,
        limits: Limits = Limits(4, 2, 2, 8, 227 * 1024),
    ) -> None:
        self.order = order
        self.seed = seed
        self.tensors = tensors
        self.launches: dict[str, int] = {}
        self._limits = limits

    @property
    def limits(self) -> Limits:
        """What a launch may ask for."""
        return self._limits

    def zeros(self, count: int) -> Any:
        """Return new counters, all zero."""
        if self.tensors:
            return torch().zeros(count, dtype=dtype_of("int32"))
        return np.zeros(count, np.int32)

    def prepared(self, code: Code, shared: int = 0, threads: int | None = None) -> Launched:
        """Return a function that runs a kernel in the emulator."""
        function = emulated(code.text, code.dtype, code.kernel.name)
        name = code.kernel.name

        def launch(shape: Launch, arguments: Sequence[Any]) -> None:
            self.launches[name] = self.launches.get(name, 0) + 1
            self.seed += 1
            machine = Machine(shape.grid, shape.block, shape.shared, self.order, self.seed)
            given = [
                _buffer(value) if passed in (Passed.POINTER, Passed.COUNTER) else value
                for value, passed in zip(arguments, code.passed, strict=True)
            ]
            machine.run(function, code.kernel.names, given)

        return launch

    def array(self, values: Array) -> Any:
        """Return an array with the values of a NumPy array; it may be the array itself."""
        return torch().from_numpy(values) if self.tensors else values

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Return an array with unspecified contents."""
        if self.tensors:
            return torch().full(shape, np.nan, dtype=dtype_of(dtype))
        return np.full(shape, np.nan, dtype)

    def host(self, array: Any) -> Array:
        """Return a NumPy array with the contents of an array, or the array itself."""
        return _numpy(array)


def default_device() -> Device:
    """Return the GPU of this machine, or the emulator where that was asked for.

    Raises CudaUnavailableError, with a sentence, where there is neither.
    """
    require_cuda()
    if simulated():
        return EmulatedDevice()
    from gatewright.runtime.cuda.gpu import gpu

    return gpu(0)


def _numpy(array: Any) -> Array:
    found: Array = array.detach().numpy() if is_tensor(array) else np.asarray(array)
    return found


def _buffer(array: Any) -> Buffer:
    """Return the memory from the first element of a view to its last, and how its rows lie."""
    values = _numpy(array)
    strides = matrices_of(values).strides(values)
    flat = np.lib.stride_tricks.as_strided(
        values, (extent(values.shape, strides),), (values.itemsize,)
    )
    if values.ndim < 2 or values.size == values.shape[-1]:
        return Buffer(flat, max(values.size, 1), max(values.size, 1))
    return Buffer(flat, values.shape[-1], _pitch(values.shape, strides))


def _pitch(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return the distance between rows; a dimension of size one may have any stride."""
    return min(stride for size, stride in zip(shape[:-1], strides[:-1], strict=True) if size > 1)
