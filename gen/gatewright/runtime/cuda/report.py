"""Module -> Report: what the kernels of a generated CUDA file become, with no device or driver.

Every kernel of the file and every kernel of its matrix products is compiled to PTX, assembled for
each architecture and read. `faults` of a kernel are the things that must not be there: stack,
spills, local memory, and float64 arithmetic in single precision.

Why from text to machine code on every machine: a literal that Python makes float64 or an array that
an index pushes into local memory changes no number in a simulator, only the speed on a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from gatewright.runtime.cuda import products
from gatewright.runtime.cuda.availability import CudaUnavailableError, cuda, simulated
from gatewright.runtime.cuda.launch import Launcher
from gatewright.runtime.cuda.sass import machine_code, why_no_machine_code
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module

ARCHITECTURES = ("sm_80", "sm_90")


@dataclass(frozen=True)
class KernelReport:
    """One kernel for one architecture: bytes of stack and spills, counts of instructions.

    `local` counts loads and stores of local memory, `float64` arithmetic in double precision.
    """

    kernel: str
    arch: str
    dtype: str
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    local: int
    float64: int
    calls: int
    instructions: int

    @property
    def faults(self) -> tuple[str, ...]:
        """What must not be there, as sentences; empty if the kernel is clean."""
        counts = {
            "bytes of stack": self.stack,
            "bytes of spill stores": self.spill_stores,
            "bytes of spill loads": self.spill_loads,
            "accesses of local memory": self.local,
        }
        if self.dtype == "float32":
            counts["float64 instructions"] = self.float64
        where = f"{self.kernel} ({self.dtype}, {self.arch})"
        return tuple(f"{where} has {count} {what}" for what, count in counts.items() if count)

    def __str__(self) -> str:
        return table([self])


@dataclass(frozen=True)
class Report:
    """The kernels of one generated file."""

    cell: str
    kernels: tuple[KernelReport, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults of all kernels."""
        return tuple(fault for kernel in self.kernels for fault in kernel.faults)

    def __str__(self) -> str:
        return f"{self.cell}\n{table(self.kernels)}"


def why_no_report() -> str:
    """Return a sentence why kernels cannot be compiled here, empty if they can."""
    if simulated():
        return "the simulator compiles nothing: unset NUMBA_ENABLE_CUDASIM"
    if getattr(cuda, "implementation", "") != "NVIDIA":
        return "the package numba-cuda is missing: install gatewright[cuda]"
    if np.lib.NumpyVersion(np.__version__) >= "2.5.0":
        return f"numba-cuda needs NumPy below 2.5; this is {np.__version__}"
    return why_no_machine_code()


def report(module: Module, architectures: Iterable[str] = ARCHITECTURES) -> Report:
    """Return what the kernels of a loaded CUDA file become, those of its products included.

    Raises CudaUnavailableError, with a sentence, where the tools are missing.
    """
    found: list[KernelReport] = []
    for arch in architectures:
        for name, kernel in vars(module.namespace).items():
            if isinstance(kernel, Launcher):
                arguments = _arguments(kernel, module.layout, module.dtype)
                found.append(kernel_report(name, kernel.py_func, arguments, module.dtype, arch))
        found += products_report(module.dtype, arch)
    return Report(module.layout.cell, tuple(found))


@lru_cache(maxsize=32)
def products_report(dtype: str, arch: str) -> tuple[KernelReport, ...]:
    """Return what the kernels of the matrix products become; they are the same for every cell."""
    matrix = array_type(dtype, 2)
    return tuple(
        kernel_report(kernel.py_func.__name__, kernel.py_func, (matrix,) * 3, dtype, arch)
        for kernel in products.KERNELS
    )


def kernel_report(
    name: str, function: Callable[..., None], arguments: tuple[Any, ...], dtype: str, arch: str
) -> KernelReport:
    """Return what one kernel becomes; `arguments` are Numba types.

    Raises CudaUnavailableError where the tools are missing, AssemblyError if they refuse it.
    """
    if missing := why_no_report():
        raise CudaUnavailableError(missing)
    capability = int(arch[3:-1]), int(arch[-1])
    ptx, _ = cuda.compile_ptx(function, cuda.types.void(*arguments), cc=capability)
    code = machine_code(ptx, arch)
    return KernelReport(name, arch, dtype, *astuple(code))


def array_type(dtype: str, rank: int) -> Any:
    """Return Numba's type of what a kernel takes: a C-ordered array, for rank 0 a scalar."""
    real = getattr(cuda.types, dtype)
    return cuda.types.Array(real, rank, "C") if rank else real


def table(kernels: Iterable[KernelReport]) -> str:
    """Return reports as text, one line each."""
    heads = tuple(field.name.replace("_", " ") for field in fields(KernelReport))
    lines = [heads, *(tuple(str(value) for value in astuple(kernel)) for kernel in kernels)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at < 3 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _arguments(kernel: Launcher, layout: Layout, dtype: str) -> tuple[Any, ...]:
    code = kernel.py_func.__code__
    names = code.co_varnames[: code.co_argcount]
    # The sums take `more` first: whether to add to what a chunk before them left.
    flags = {"more": cuda.types.boolean}
    return tuple(flags.get(name) or array_type(dtype, _rank(name, layout)) for name in names)


def _rank(name: str, layout: Layout) -> int:
    if name in layout.constants:
        return 0
    if name in layout.parameters:
        return len(layout.parameters[name])
    place, *dims = layout.reverse.get(name, ("",))
    return len(dims) if place == "gradient" else 2
