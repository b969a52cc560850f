"""Every kernel of every cell, compiled to machine code without a device, and faults put in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from gatewright.language import catalogue
from gatewright.loaded import load
from gatewright.runtime.cuda import all_units, exp, first_unit, products, sass
from gatewright.runtime.cuda.availability import cuda
from gatewright.runtime.cuda.launch import Launcher
from gatewright.runtime.cuda.report import Report, array_type, kernel_report, report, why_no_report
from gatewright.runtime.load import Module, load_module

pytestmark = pytest.mark.skipif(bool(why_no_report()), reason=why_no_report() or "-")

CELLS = catalogue.names()
DTYPES = ("float32", "float64")
ARCHITECTURES = ("sm_80", "sm_90")


@cache
def source(cell: str) -> str:
    return load(cell).source("cuda")


@cache
def reported(cell: str, dtype: str, arch: str) -> Report:
    return report(load_module(source(cell), "cuda", dtype), (arch,))


def launchers(module: Module) -> set[str]:
    return {name for name, item in vars(module.namespace).items() if isinstance(item, Launcher)}


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_kernels_keep_everything_in_registers(cell: str, dtype: str, arch: str) -> None:
    found = reported(cell, dtype, arch)
    module = load_module(source(cell), "cuda", dtype)
    expected = launchers(module) | {kernel.py_func.__name__ for kernel in products.KERNELS}
    assert {kernel.kernel for kernel in found.kernels} == expected
    assert len(launchers(module)) >= 3
    assert found.faults == ()
    for kernel in found.kernels:
        # 128 threads of a block share 65536 registers.
        assert 0 < kernel.registers <= 255
        assert kernel.instructions > 0
        assert (kernel.float64 > 0) == (dtype == "float64"), str(kernel)


def test_a_bare_literal_is_seen_as_float64_arithmetic() -> None:
    text = source("lstm").replace("real(1) / (real(1) + exp(-x))", "1.0 / (1.0 + exp(-x))")
    assert text != source("lstm")
    found = report(load_module(text, "cuda", "float32"), ("sm_90",))
    assert [fault.split()[0] for fault in found.faults] == ["cell_rows"]
    assert "float64 instructions" in found.faults[0]


def faults(kernel: Callable[..., None]) -> tuple[str, ...]:
    vector = array_type("float32", 1)
    return kernel_report("kernel", kernel, (vector, vector), "float32", "sm_90").faults


def test_a_local_array_with_a_moving_index_is_seen() -> None:
    float32 = cuda.types.float32

    def kernel(x: Any, y: Any) -> None:
        kept = cuda.local.array(16, float32)
        for at in range(x.shape[0]):
            kept[at & 15] = x[at]
        for unit in range(first_unit(), y.shape[0], all_units()):
            y[unit] = kept[int(x[unit])]

    found = faults(kernel)
    assert any("bytes of stack" in fault for fault in found)
    assert any("accesses of local memory" in fault for fault in found)


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="ptxas is not installed")
def test_ptxas_gives_a_report_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sass, "_has_nvjitlink", lambda: False)
    matrix = array_type("float64", 2)
    kernel = products.product_rows.py_func
    found = kernel_report("product_rows", kernel, (matrix,) * 3, "float64", "sm_90")
    linked = reported("lstm", "float64", "sm_90").kernels
    assert found.faults == ()
    assert found.registers > 0
    assert [k.float64 for k in linked if k.kernel == "product_rows"] == [found.float64]


def test_a_refused_kernel_shows_the_assemblers_log() -> None:
    with pytest.raises(sass.AssemblyError, match=r"\S"):
        sass.machine_code("this is not PTX", "sm_90")


def test_a_kernel_without_faults_has_none() -> None:
    real = np.float32

    def kernel(x: Any, y: Any) -> None:
        for unit in range(first_unit(), y.shape[0], all_units()):
            y[unit] = real(1) / (real(1) + exp(-x[unit]))

    assert faults(kernel) == ()


def test_a_report_prints_as_a_table() -> None:
    lines = str(reported("lstm", "float32", "sm_90")).splitlines()
    assert lines[0] == "lstm"
    assert lines[1].split()[:5] == ["kernel", "arch", "dtype", "registers", "stack"]
    assert lines[2].split()[:3] == ["cell_rows", "sm_90", "float32"]
    assert len({len(line) for line in lines[1:]}) == 1
