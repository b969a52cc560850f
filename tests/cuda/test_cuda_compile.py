"""Every kernel of every cell, compiled to machine code without a device, and faults put in."""

from __future__ import annotations

import shutil
from functools import cache

import pytest

from gatewright.language import catalogue
from gatewright.loaded import load
from gatewright.runtime.cuda import sass
from gatewright.runtime.cuda.compiler import compiled, why_not_compiled
from gatewright.runtime.cuda.devices import Code
from gatewright.runtime.cuda.report import (
    ARCHITECTURES,
    KernelReport,
    Report,
    kernel_report,
    report,
    step_codes,
)

pytestmark = pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled() or "-")

CELLS = [
    (name, tuple(sorted(choices.items())))
    for name in catalogue.names()
    for choices in catalogue.variants(catalogue.read_spec(name))
]
DTYPES = ("float32", "float64")


@cache
def source(cell: str, choices: tuple[tuple[str, str], ...] = ()) -> str:
    return load(cell, **dict(choices)).source("cuda")


@cache
def reported(cell: str, dtype: str, arch: str) -> Report:
    return report(source(cell), dtype, (arch,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("cell", "choices"), CELLS)
def test_kernels_keep_everything_in_registers(
    cell: str, choices: tuple[tuple[str, str], ...], dtype: str
) -> None:
    text = source(cell, choices)
    found = report(text, dtype)
    names = [code.kernel.name for code in step_codes(text, dtype)]
    assert len(names) >= 3
    assert [(kernel.arch, kernel.kernel) for kernel in found.kernels] == [
        (arch, name) for arch in ARCHITECTURES for name in names
    ]
    assert found.faults == ()
    for kernel in found.kernels:
        assert 0 < kernel.registers <= 255
        assert kernel.instructions > 0
        assert (kernel.float64 > 0) == (dtype == "float64"), str(kernel)


@pytest.mark.parametrize("function", ["sin", "cos"])
def test_sine_and_cosine_need_no_local_memory(function: str) -> None:
    text = source("elman").replace("tanh(", f"{function}(").replace("    tanh,", f"    {function},")
    assert text != source("elman")
    assert report(text, "float32").faults == ()


def test_a_bare_literal_is_seen_as_float64_arithmetic() -> None:
    text = source("lstm").replace("real(1) / (real(1) + exp(-x))", "1.0 / (1.0 + exp(-x))")
    assert text != source("lstm")
    found = report(text, "float32", ("sm_90",))
    assert [fault.split()[0] for fault in found.faults] == ["cell_rows"]
    assert "float64 instructions" in found.faults[0]


def sums(text: str) -> Code:
    return next(code for code in step_codes(text, "float32") if code.kernel.name == "sums")


def test_a_kernel_with_too_many_registers_or_too_much_shared_memory_is_seen() -> None:
    found = kernel_report(sums(source("lstm")), "sm_90", 256, shared=227 * 1024)
    assert found.faults == ()
    more = kernel_report(sums(source("lstm")), "sm_90", 256, shared=227 * 1024 + 1)
    assert more.faults == ("sums (float32, sm_90) has 1 bytes of shared memory too many",)
    wide = KernelReport("k", "sm_90", "float32", 1024, 0, 65, 0, 0, 0, 0, 0, 0, 0, 1)
    assert wide.faults == ("k (float32, sm_90) has 1 registers too many for its block",)
    # 14 warps are four of a quarter of the registers, and two quarters have room for another.
    uneven = KernelReport("k", "sm_90", "float32", 448, 0, 129, 0, 0, 0, 0, 0, 0, 0, 1)
    assert uneven.faults == ("k (float32, sm_90) has 1 registers too many for its block",)


def test_spills_and_local_memory_are_seen() -> None:
    kept = KernelReport("k", "sm_90", "float64", 32, 0, 255, 8, 16, 24, 3, 9, 0, 0, 1)
    assert [fault.split(" has ")[1] for fault in kept.faults] == [
        "8 bytes of stack",
        "16 bytes of spill stores",
        "24 bytes of spill loads",
        "3 accesses of local memory",
    ]


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="ptxas is not installed")
def test_ptxas_gives_a_report_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sass, "_has_nvjitlink", lambda: False)
    found = kernel_report(sums(source("lstm")), "sm_90", 256)
    linked = [k for k in reported("lstm", "float32", "sm_90").kernels if k.kernel == "sums"]
    assert found.faults == ()
    assert found.registers > 0
    assert [k.float64 for k in linked] == [found.float64]


def test_a_refused_kernel_shows_the_assemblers_log() -> None:
    with pytest.raises(sass.AssemblyError, match=r"\S"):
        sass.assembled("this is not PTX", "sm_90")


def test_kernels_that_are_read_together_are_counted_apart() -> None:
    made = [compiled(code, "sm_90", 128)[0] for code in step_codes(source("gru"), "float32")]
    alone = [sass.machine_codes([each], "sm_90")[0] for each in made]
    assert sass.machine_codes(made, "sm_90") == alone
    assert len(set(alone)) > 2


def test_a_report_prints_as_a_table() -> None:
    lines = str(reported("lstm", "float32", "sm_90")).splitlines()
    assert lines[0] == "lstm"
    assert lines[1].split()[:5] == ["kernel", "arch", "dtype", "threads", "shared"]
    assert lines[2].split()[:3] == ["cell_rows", "sm_90", "float32"]
    assert len({len(line) for line in lines[1:]}) == 1
