"""Launches: their shapes, what they refuse, and NVIDIA's driver in a stand-in."""

from __future__ import annotations

import ctypes
import importlib.metadata
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewright.cli.app import run
from gatewright.loaded import load
from gatewright.runtime import cuda
from gatewright.runtime.cuda import compiler, cubins, gpu, libcuda, numba_cuda
from gatewright.runtime.cuda.availability import CudaUnavailableError
from gatewright.runtime.cuda.compiler import why_not_compiled
from gatewright.runtime.cuda.devices import EmulatedDevice, Launch, Limits, default_device
from gatewright.runtime.cuda.kernel import Kernel, Kind
from gatewright.runtime.cuda.launch import bound, geometry, sum_geometry
from gatewright.runtime.cuda.libcuda import Driver, DriverError, Properties
from gatewright.runtime.cuda.report import step_codes
from gatewright.runtime.errors import BackendMissingError
from gatewright.runtime.load import load_module

SIZES = (1, 2, 3, 31, 32, 33, 127, 128, 129, 1000, 65536)
no_device = pytest.mark.skipif(cuda.available(), reason="there is a device")
compiles = pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled() or "-")


class Wide(EmulatedDevice):
    """An emulated device with the blocks of a GPU."""

    @property
    def limits(self) -> Limits:
        return Limits(128, 32, 8, 132, 227 * 1024)


def test_a_grid_has_a_thread_for_every_row_and_unit_and_wastes_little() -> None:
    for rows, units in itertools.product(SIZES, SIZES):
        shape = geometry(rows, units, Wide())
        (high, wide), (across, down) = shape.grid, shape.block
        assert across * down <= 128
        assert rows <= high * down < 2 * rows
        assert units <= wide * across < units + across < 3 * units
        assert wide <= 65535


def test_a_sum_has_lanes_with_rows_enough() -> None:
    for rows, units in itertools.product(SIZES, SIZES):
        shape = sum_geometry(rows, units, Wide())
        assert shape.block == (32, 8)
        lanes = shape.grid[0] * 8
        assert lanes == 8 or rows / lanes > 8
        assert lanes <= 256
        assert units <= shape.grid[1] * 32 < units + 32


def test_a_kernel_on_its_own_is_not_launched() -> None:
    module = load_module(load("gru").source("cuda"), "cuda", "float32")
    assert module.layout.cell == "gru"
    kernel = module.routine("cell_vjp_1_rows")
    assert isinstance(kernel, Kernel)
    assert kernel.kind is Kind.ROWS
    with pytest.raises(RuntimeError, match="`cell_vjp_1_rows` is not bound to a device"):
        kernel()
    with pytest.raises(RuntimeError, match="`exp` is a word of kernels"):
        module.routine("sigmoid")(1.0)


def test_an_array_that_stands_alone_where_a_column_is_wanted_is_refused() -> None:
    module = bound(load("elman").source("cuda"), "float32", EmulatedDevice())
    one = np.zeros((2, 3), np.float32)
    b = np.zeros(3, np.float32)
    module.routine("cell_rows")(one, one, b, one)
    with pytest.raises(ValueError, match=r"`W_x` of cell_rows has strides \(6, 1\)"):
        module.routine("cell_rows")(np.zeros((2, 6), np.float32)[:, :3], one, b, one)


def test_an_empty_result_launches_nothing() -> None:
    device = EmulatedDevice()
    module = bound(load("elman").source("cuda"), "float32", device)
    empty = np.zeros((0, 3), np.float32)
    module.routine("cell_rows")(empty, empty, np.zeros(3, np.float32), empty)
    assert device.launches == {}


@no_device
def test_a_launch_without_a_device_says_how_to_emulate_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CudaUnavailableError, match=r"^CUDA is not available \(.*\); set GATEWR"):
        default_device()
    with pytest.raises(BackendMissingError):
        load("lstm").compile("cuda")
    monkeypatch.setenv("GATEWRIGHT_CUDA", "emulate")
    assert isinstance(default_device(), EmulatedDevice)
    assert load("lstm").compile("cuda").target == "cuda"


class FakeLibrary:
    """Stands for libcuda: answers from a table, and writes down its calls."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"version": 13000, "count": 1, "init": 0, "fails": "", **answers}
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append((name, *arguments))
            if name == self.answers["fails"]:
                return 999
            return int(self._answer(name, arguments) or 0)

        return call

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> int | None:
        attributes = {16: 132, 75: 9, 76: 0, 95: 1, 97: 227 * 1024}
        written = {
            "cuDriverGetVersion": self.answers["version"],
            "cuDeviceGetCount": self.answers["count"],
            "cuOccupancyMaxActiveBlocksPerMultiprocessor": 2,
        }
        if name == "cuInit":
            return int(self.answers["init"])
        if name == "cuDeviceGetAttribute":
            arguments[0]._obj.value = attributes[arguments[1]]
        elif name == "cuGetErrorString":
            arguments[1]._obj.value = b"something is wrong"
        elif name in written:
            arguments[0]._obj.value = written[name]
        return None


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({}, ""),
        ({"version": 13020}, ""),
        (
            {"version": 12040},
            "the CUDA driver is for CUDA 12.4, and the kernels need 13.0: install driver 580 or "
            "newer",
        ),
        ({"init": 100}, "there is no CUDA device"),
        ({"count": 0}, "there is no CUDA device"),
        (
            {"init": 803},
            "the CUDA driver does not start: something is wrong (CUDA error 803)",
        ),
    ],
)
def test_what_is_wrong_with_a_driver_is_one_sentence(
    answers: dict[str, Any],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Driver(FakeLibrary(**answers))
    assert found.why_no_device() == sentence
    if sentence:
        monkeypatch.setattr(gpu, "driver", lambda: found)
        assert run(["grad", "elman", "--target", "cuda", "--jobs", "1"]) == 0
        capsys.readouterr()
        with pytest.raises(CudaUnavailableError) as raised:
            default_device()
        assert sentence in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_machine_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    libcuda.driver.cache_clear()
    try:
        assert gpu.why_no_gpu() == "there is no NVIDIA driver: libcuda.so.1 cannot be loaded"
    finally:
        libcuda.driver.cache_clear()


def test_a_launch_passes_shape_stream_and_arguments_to_the_driver() -> None:
    library = FakeLibrary()
    found = Driver(library)
    assert found.properties(0) == Properties("sm_90", 132, 227 * 1024, True)
    function = found.function(b"cubin", "kernel", 100 * 1024)
    assert [call[0] for call in library.calls[-3:]] == [
        "cuModuleLoadData",
        "cuModuleGetFunction",
        "cuFuncSetAttribute",
    ]
    assert library.calls[-1][2:][0] == 8
    assert library.calls[-1][3].value == 100 * 1024
    values = (ctypes.c_int64(7), ctypes.c_float(0.5))
    found.launch(function, (2, 3), (32, 4), 1000, 77, values, False)
    name, _, *shape, stream, pointers, extra = library.calls[-1]
    assert name == "cuLaunchKernel"
    assert [size.value for size in shape] == [2, 3, 1, 32, 4, 1, 1000]
    assert (stream.value, extra) == (77, None)
    assert ctypes.cast(pointers[0], ctypes.POINTER(ctypes.c_int64))[0] == 7
    assert ctypes.cast(pointers[1], ctypes.POINTER(ctypes.c_float))[0] == 0.5
    found.launch(function, (2, 3), (32, 4), 1000, 77, values, True)
    assert library.calls[-1][0] == "cuLaunchCooperativeKernel"
    assert found.blocks_at_once(function, 256, 1000) == 2
    found.function(b"cubin", "kernel", 1000)
    assert library.calls[-1][0] == "cuModuleGetFunction"


def test_a_call_that_fails_names_the_call() -> None:
    found = Driver(FakeLibrary(fails="cuModuleLoadData"))
    with pytest.raises(DriverError, match=r"cuModuleLoadData failed: something is wrong \(CUDA"):
        found.function(b"cubin", "kernel", 0)


def test_too_little_shared_memory_is_one_sentence() -> None:
    device = gpu.Gpu(0, Driver(FakeLibrary()))
    code = next(step_codes(load("elman").source("cuda"), "float32"))
    with pytest.raises(CudaUnavailableError) as raised:
        device.prepared(code, 300 * 1024)
    assert str(raised.value) == (
        "kernel `cell_rows` needs 307200 bytes of shared memory for a block, and this GPU (sm_90) "
        "has 232448"
    )


def test_a_wrong_compiler_or_numpy_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def why(version: str, numpy: str) -> str:
        monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
        monkeypatch.setattr(np, "__version__", numpy)
        numba_cuda.why_no_compiler.cache_clear()
        return numba_cuda.why_no_compiler()

    try:
        assert why("0.30.4", "2.4.6") == ""
        assert why("0.31.0", "2.4.6").startswith("numba-cuda 0.30 is needed; this is 0.31.0: ")
        assert why("0.30.4", "2.5.0") == "numba-cuda needs NumPy below 2.5; this is 2.5.0"
    finally:
        monkeypatch.undo()
        numba_cuda.why_no_compiler.cache_clear()


@compiles
def test_machine_code_that_was_packed_runs_where_nothing_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = list(step_codes(load("elman").source("cuda"), "float32"))
    assert cubins.pack([(code, None) for code in codes], ["sm_80"], tmp_path) == len(codes)
    names = {
        entry["file"] for entry in json.loads((tmp_path / "manifest.json").read_text())["kernels"]
    }
    assert names == {path.name for path in tmp_path.glob("*.cubin")}
    monkeypatch.setattr(cubins, "why_not_compiled", lambda: "no compiler")
    with pytest.raises(CudaUnavailableError, match="no machine code of `cell_rows` for sm_86"):
        cubins.machine_code_of(codes[0], "sm_86")
    monkeypatch.setenv("GATEWRIGHT_CUBINS", str(tmp_path))
    made, entry = compiler.compiled(codes[0], "sm_80")
    assert cubins.machine_code_of(codes[0], "sm_80") == (made.cubin, entry)
    assert cubins.machine_code_of(codes[0], "sm_86") == (made.cubin, entry)
    with pytest.raises(CudaUnavailableError, match="for sm_90"):
        cubins.machine_code_of(codes[0], "sm_90")
    other = list(step_codes(load("gru").source("cuda"), "float32"))
    with pytest.raises(CudaUnavailableError, match="no machine code of `cell_1_rows`"):
        cubins.machine_code_of(other[0], "sm_80")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CudaUnavailableError, match="holds no machine code"):
        cubins.carried(tmp_path)


def test_an_emulated_launch_takes_sizes_and_arrays() -> None:
    device = EmulatedDevice()
    code = next(step_codes(load("elman").source("cuda"), "float32"))
    launch = device.prepared(code)
    one = np.full((2, 3), 0.25, np.float32)
    target = np.zeros((2, 3), np.float32)
    launch(Launch((1, 1), (4, 2)), (2, 3, one, one, np.zeros(3, np.float32), target))
    assert np.allclose(target, np.tanh(0.5))
