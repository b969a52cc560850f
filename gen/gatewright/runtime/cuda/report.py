"""Codes -> Report: what kernels become for an architecture, with no device or driver.

`faults` of a kernel are the things that must not be there: stack, spills, local memory, float64
arithmetic in single precision, more registers or shared memory than a multiprocessor has.

Why from text to machine code on every machine: a literal that Python makes float64 or an array that
an index pushes into local memory changes no number in an emulator, only the speed on a device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields

from gatewright.runtime.cuda.availability import CudaUnavailableError
from gatewright.runtime.cuda.compiler import compiled, why_not_compiled
from gatewright.runtime.cuda.devices import Code
from gatewright.runtime.cuda.estimates import most_registers
from gatewright.runtime.cuda.kernel import Kernel, Kind
from gatewright.runtime.cuda.sass import MachineCode, machine_codes
from gatewright.runtime.load import load_module

ARCHITECTURES = ("sm_80", "sm_90", "sm_120")
# The most shared memory that a block can ask for, in bytes, by architecture.
SHARED = {"sm_80": 163 * 1024, "sm_90": 227 * 1024, "sm_100": 227 * 1024, "sm_120": 99 * 1024}
ROW_THREADS, SUM_THREADS = 128, 256


@dataclass(frozen=True)
class KernelReport:
    """One kernel for one architecture: bytes of stack, spills and shared memory, instructions.

    `local` counts loads and stores of local memory, `float64` arithmetic in double precision,
    `tensor` products of tiles. `calls` is no fault: a division is rounded as on the CPU, and what
    it calls is taken only where it meets numbers near the ends of the range.
    """

    kernel: str
    arch: str
    dtype: str
    threads: int
    shared: int
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    local: int
    float64: int
    calls: int
    tensor: int
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
        too_many = max(0, self.registers - most_registers(self.threads))
        counts["registers too many for its block"] = too_many
        counts["bytes of shared memory too many"] = max(0, self.shared - SHARED[self.arch])
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


def report(text: str, dtype: str, architectures: Iterable[str] = ARCHITECTURES) -> Report:
    """Return what the elementwise kernels and sums of a generated CUDA file become.

    Raises CudaUnavailableError, with a sentence, where the tools are missing.
    """
    codes = list(step_codes(text, dtype))
    layout = load_module(text, "cuda", dtype).layout
    found: list[KernelReport] = []
    for arch in architectures:
        found += kernel_reports([(code, _threads(code.kernel), 0) for code in codes], arch)
    return Report(layout.cell, tuple(found))


def _threads(kernel: Kernel) -> int:
    return SUM_THREADS if kernel.kind is Kind.UNITS else ROW_THREADS


def step_codes(text: str, dtype: str) -> Iterator[Code]:
    """Yield the kernels of a file that run a stage of a step, or a sum, at a time."""
    module = load_module(text, "cuda", dtype)
    for kernel in vars(module.namespace).values():
        if isinstance(kernel, Kernel) and kernel.kind is not Kind.WHOLE:
            yield Code(text, dtype, kernel, kernel.passed(module.layout))


def kernel_report(code: Code, arch: str, threads: int, shared: int = 0) -> KernelReport:
    """Return what one kernel becomes, for blocks of so many threads and bytes of shared memory.

    Raises CudaUnavailableError where the tools are missing, AssemblyError if they refuse it.
    """
    (found,) = kernel_reports([(code, threads, shared)], arch)
    return found


def kernel_reports(wanted: Sequence[tuple[Code, int, int]], arch: str) -> list[KernelReport]:
    """Return what kernels become, each with the threads and shared memory of its blocks.

    Raises as `kernel_report` does, and takes less time than one after the other.
    """
    if missing := why_not_compiled():
        raise CudaUnavailableError(missing)
    made = machine_codes([compiled(code, arch, threads)[0] for code, threads, _ in wanted], arch)
    return [
        _reported(code, arch, threads, shared, became)
        for (code, threads, shared), became in zip(wanted, made, strict=True)
    ]


def _reported(code: Code, arch: str, threads: int, shared: int, made: MachineCode) -> KernelReport:
    return KernelReport(
        kernel=code.kernel.name,
        arch=arch,
        dtype=code.dtype,
        threads=threads,
        shared=shared,
        registers=made.registers,
        stack=made.stack,
        spill_stores=made.spill_stores,
        spill_loads=made.spill_loads,
        local=made.local,
        float64=made.float64,
        calls=made.calls,
        tensor=made.tensor,
        instructions=made.instructions,
    )


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
