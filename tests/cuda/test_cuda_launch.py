"""Launchers without a device: their grids cover everything, and a launch says what is missing."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from gatewright.loaded import load
from gatewright.runtime import cuda
from gatewright.runtime.cuda import launch
from gatewright.runtime.cuda.launch import ROW_THREADS, UNIT_THREADS, geometry
from gatewright.runtime.cuda.products import product_rows
from gatewright.runtime.errors import BackendMissingError
from gatewright.runtime.load import load_module

SIZES = (1, 2, 3, 31, 32, 33, 127, 128, 129, 1000, 65536)
no_device = pytest.mark.skipif(cuda.available(), reason="there is a device")


@pytest.mark.parametrize("threads", [ROW_THREADS, UNIT_THREADS])
def test_a_grid_covers_every_row_and_unit_and_wastes_little(threads: int) -> None:
    for rows, units in itertools.product(SIZES, SIZES):
        (across, down), (wide, high) = geometry(rows, units, threads)
        assert 1 <= wide * high <= threads
        assert units <= across * wide < units + wide
        assert down == 65535 or rows <= down * high < rows + high
        assert wide < 2 * units
        assert high < 2 * rows


def test_a_grid_stays_within_what_a_device_takes() -> None:
    (across, down), _ = geometry(2**31 - 1, 1, ROW_THREADS)
    assert (across, down) == (1, 65535)
    (across, down), _ = geometry(1, 2**31 - 1, ROW_THREADS)
    assert (across, down) == (65535, 1)


def test_small_grids_bring_no_warning() -> None:
    configured = product_rows._configured((1, 1), (4, 4))
    assert configured is product_rows._configured((1, 1), (4, 4))


def test_a_grid_comes_from_the_last_argument_and_empty_results_launch_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def configured(grid: Any, block: Any) -> Any:
        seen.append((grid, block))
        return lambda *arguments: seen.append(len(arguments))

    monkeypatch.setattr(launch, "require_cuda", lambda: None)

    def kernel(x: Any, y: Any) -> None:
        raise AssertionError("only a device runs this")

    by_rows, by_units = cuda.rows(kernel), cuda.units(kernel)
    for launcher in (by_rows, by_units):
        monkeypatch.setattr(launcher, "_configured", configured)
    one = np.ones((2, 2))
    by_rows(one, np.ones((5, 100)))
    by_units(one, np.ones(100))
    for shape in ((0, 3), (3, 0)):
        by_rows(one, np.ones(shape))
    by_units(one, np.ones(0))
    assert seen == [((1, 5), (128, 1)), 2, ((4, 1), (32, 1)), 2]


@no_device
def test_a_launch_without_a_device_says_how_to_simulate_one() -> None:
    matrix = np.ones((2, 2))
    with pytest.raises(cuda.CudaUnavailableError, match="set NUMBA_ENABLE_CUDASIM=1 before Python"):
        product_rows(matrix, matrix, matrix)
    with pytest.raises(cuda.CudaUnavailableError, match=r"^CUDA is not available \(.*\); set "):
        cuda.DeviceMemory()
    with pytest.raises(BackendMissingError):
        load("lstm").compile("cuda")


@no_device
def test_a_generated_file_loads_without_a_device() -> None:
    module = load_module(load("gru").source("cuda"), "cuda", "float32")
    assert module.layout.cell == "gru"
    assert "cell_vjp_1_rows" in repr(module.routine("cell_vjp_1_rows"))
