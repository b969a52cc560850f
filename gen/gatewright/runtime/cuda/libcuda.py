"""libcuda -> modules, kernels and launches: the few calls of NVIDIA's driver that kernels need.

Why through `ctypes` and not through a package: machine code compiled ahead of time then runs with
nothing but the driver, whatever versions of which packages are installed beside it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from gatewright.runtime.cuda.availability import CudaUnavailableError

# The driver must know the toolkit that made our machine code: CUDA 13.0 came with driver 580.
NEEDED_VERSION, NEEDED_DRIVER = 13000, 580
_MOST_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_ATTRIBUTES = {"multiprocessors": 16, "major": 75, "minor": 76, "shared": 97, "cooperative": 95}
_NO_DEVICE = 100
_PLAIN_SHARED = 48 * 1024


class DriverError(RuntimeError):
    """A call of the driver failed; the message says which one and how."""


@dataclass(frozen=True)
class Properties:
    """What a device is: `shared` is the most bytes of shared memory that a block can have."""

    arch: str
    multiprocessors: int
    shared: int
    cooperative: bool


class Driver:
    """NVIDIA's driver; `library` is libcuda, or in tests what stands for it."""

    def __init__(self, library: Any) -> None:
        self.library = library

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver. Raises DriverError if it fails."""
        if code := getattr(self.library, name)(*arguments):
            raise DriverError(f"{name} failed: {self._error(code)}")

    @property
    def version(self) -> str:
        """The newest CUDA that the driver knows, such as `13.0`."""
        found = ctypes.c_int()
        self.call("cuDriverGetVersion", ctypes.byref(found))
        return _dotted(found.value)

    def why_no_device(self) -> str:
        """Return a sentence why no kernel can run with this driver, empty if one can."""
        version = ctypes.c_int()
        if code := self.library.cuInit(0):
            if code == _NO_DEVICE:
                return "there is no CUDA device"
            return f"the CUDA driver does not start: {self._error(code)}"
        self.call("cuDriverGetVersion", ctypes.byref(version))
        if version.value < NEEDED_VERSION:
            return (
                f"the CUDA driver is for CUDA {_dotted(version.value)}, and the kernels need "
                f"{_dotted(NEEDED_VERSION)}: install driver {NEEDED_DRIVER} or newer"
            )
        count = ctypes.c_int()
        self.call("cuDeviceGetCount", ctypes.byref(count))
        return "" if count.value else "there is no CUDA device"

    def properties(self, index: int) -> Properties:
        """Return what device number `index` is."""
        device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(device), index)
        found = {}
        for name, number in _ATTRIBUTES.items():
            value = ctypes.c_int()
            self.call("cuDeviceGetAttribute", ctypes.byref(value), number, device)
            found[name] = value.value
        arch = f"sm_{found['major']}{found['minor']}"
        cooperative = bool(found["cooperative"])
        return Properties(arch, found["multiprocessors"], found["shared"], cooperative)

    def bind(self, index: int) -> None:
        """Make the context of a device, which the CUDA runtime shares, that of this thread.

        The runtime does so only at its own first call in a thread that needs one: in a thread where
        PyTorch runs gradients, that may be after our first.
        """
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuCtxGetCurrent", ctypes.byref(context))
        if not context.value:
            self.call("cuDeviceGet", ctypes.byref(device), index)
            self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
            self.call("cuCtxSetCurrent", context)

    def function(self, cubin: bytes, entry: str, shared: int) -> ctypes.c_void_p:
        """Load machine code; return its kernel, allowed to use so many bytes of shared memory."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), cubin)
        self.call("cuModuleGetFunction", ctypes.byref(function), module, entry.encode())
        if shared > _PLAIN_SHARED:
            self.call("cuFuncSetAttribute", function, _MOST_SHARED, ctypes.c_int(shared))
        return function

    def blocks_at_once(self, function: ctypes.c_void_p, threads: int, shared: int) -> int:
        """Return how many blocks of a kernel one multiprocessor runs at once."""
        count = ctypes.c_int()
        self.call(
            "cuOccupancyMaxActiveBlocksPerMultiprocessor",
            ctypes.byref(count),
            function,
            ctypes.c_int(threads),
            ctypes.c_size_t(shared),
        )
        return count.value

    def launch(
        self,
        function: ctypes.c_void_p,
        grid: tuple[int, int],
        block: tuple[int, int],
        shared: int,
        stream: int,
        arguments: Sequence[Any],
        together: bool,
    ) -> None:
        """Launch a kernel on `ctypes` values; with `together`, all blocks run at once or none."""
        pointers = (ctypes.c_void_p * max(len(arguments), 1))(
            *(ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in arguments)
        )
        shape = [ctypes.c_uint(size) for size in (*grid, 1, *block, 1, shared)]
        handle = ctypes.c_void_p(stream)
        if together:
            self.call("cuLaunchCooperativeKernel", function, *shape, handle, pointers)
        else:
            self.call("cuLaunchKernel", function, *shape, handle, pointers, None)

    def _error(self, code: int) -> str:
        text = ctypes.c_char_p()
        self.library.cuGetErrorString(code, ctypes.byref(text))
        said = (text.value or b"unknown error").decode(errors="replace")
        return f"{said} (CUDA error {code})"


@cache
def driver() -> Driver:
    """Return the driver of this machine. Raises CudaUnavailableError where there is none."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            return Driver(ctypes.CDLL(name))
        except OSError:
            continue
    raise CudaUnavailableError("there is no NVIDIA driver: libcuda.so.1 cannot be loaded")


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
