"""A GPU -> a Device: machine code from the compiler or carried along, launched through the driver.

Kernels run on PyTorch's current stream, on the memory of its tensors.

Why PyTorch owns memory and streams: products are its own, so kernels must follow them in order.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from gatewright.runtime.cuda.availability import CudaUnavailableError
from gatewright.runtime.cuda.cubins import machine_code_of
from gatewright.runtime.cuda.devices import Code, Launch, Launched, Limits
from gatewright.runtime.cuda.kernel import Passed
from gatewright.runtime.cuda.libcuda import Driver, DriverError, driver
from gatewright.runtime.cuda.tensors import dtype_of, torch
from gatewright.runtime.validate import Array

_NUMBERS = {"float32": ctypes.c_float, "float64": ctypes.c_double}
# 128 threads fit with the 255 registers that a thread may have at most.
_ROW_THREADS, _UNIT_THREADS, _LANES = 128, 32, 8


class Gpu:
    """One GPU; `index` is PyTorch's number for it."""

    def __init__(self, index: int, found: Driver) -> None:
        self.index = index
        self.driver = found
        self.properties = found.properties(index)
        self._threads = threading.local()

    @property
    def limits(self) -> Limits:
        """What a launch may ask for."""
        return Limits(
            _ROW_THREADS,
            _UNIT_THREADS,
            _LANES,
            self.properties.multiprocessors,
            self.properties.shared,
        )

    def zeros(self, count: int) -> Any:
        """Return new counters, all zero."""
        return torch().zeros(count, dtype=dtype_of("int32"), device=self.name)

    def prepared(self, code: Code, shared: int = 0, threads: int | None = None) -> Launched:
        """Return a function that launches a kernel on tensors and numbers.

        Raises CudaUnavailableError if the device has too little shared memory or no machine code.
        """
        if shared > self.properties.shared:
            raise CudaUnavailableError(
                f"kernel `{code.kernel.name}` needs {shared} bytes of shared memory for a block, "
                f"and this GPU ({self.properties.arch}) has {self.properties.shared}"
            )
        cubin, entry = machine_code_of(code, self.properties.arch, threads)
        # A module belongs to the context in which it is loaded: PyTorch's.
        torch().cuda.init()
        with torch().cuda.device(self.index):
            torch().empty(1, device=self.name)
            self._bind()
            function = self.driver.function(cubin, entry, shared)

        def launch(shape: Launch, arguments: Sequence[Any]) -> None:
            values = [
                _value(value, passed, code.dtype)
                for value, passed in zip(arguments, code.passed, strict=True)
            ]
            self._bind()
            stream = torch().cuda.current_stream(self.index).cuda_stream
            self.driver.launch(
                function, shape.grid, shape.block, shape.shared, stream, values, shape.together
            )

        return launch

    def _bind(self) -> None:
        if not getattr(self._threads, "bound", False):
            self.driver.bind(self.index)
            self._threads.bound = True

    @property
    def name(self) -> str:
        """PyTorch's name of the device."""
        return f"cuda:{self.index}"

    def array(self, values: Array) -> Any:
        """Return a tensor on the device with the values of a NumPy array."""
        return torch().from_numpy(values).to(self.name)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Return a tensor on the device with unspecified contents."""
        return torch().empty(shape, dtype=dtype_of(dtype), device=self.name)

    def host(self, array: Any) -> Array:
        """Return a NumPy array with the contents of a tensor."""
        found: Array = array.detach().cpu().numpy() if hasattr(array, "cpu") else np.asarray(array)
        return found


def why_no_gpu() -> str:
    """Return why no kernel can run on a GPU here, empty if one can."""
    try:
        if reason := driver().why_no_device():
            return reason
        if not torch().cuda.is_available():
            return "this PyTorch was built without CUDA"
    except (CudaUnavailableError, DriverError) as error:
        return str(error)
    return ""


@cache
def gpu(index: int) -> Gpu:
    """Return a GPU by PyTorch's number for it. Raises CudaUnavailableError where it is missing."""
    found = driver()
    if reason := found.why_no_device():
        raise CudaUnavailableError(reason)
    return Gpu(index, found)


def _value(value: Any, passed: Passed, dtype: str) -> Any:
    if passed is Passed.SIZE:
        return ctypes.c_int64(value)
    if passed is Passed.CONSTANT:
        return _NUMBERS[dtype](value)
    return ctypes.c_uint64(value.data_ptr())
