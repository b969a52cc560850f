"""Whole sequences, forward and backward, on a device against the CPU target.

The simulator must be chosen before Numba is imported, so one process runs all cells on it and this
file reads what it found. The last test needs a real device.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gatewright.language import catalogue
from gatewright.runtime.cuda import available, why_unavailable

SCRIPT = Path(__file__).with_name("cells_on_device.py")
CELLS = catalogue.names()
TOLERANCE = {"float64": 1e-13, "float32": 1e-5}


@cache
def measured(
    *names: str, simulate: bool = True, built_in: bool = False, compiled: bool = False
) -> dict[str, Any]:
    """Return what cells_on_device.py prints; `built_in` hides numba-cuda.

    Unless `compiled`, the CPU target runs as plain Python, which spares a minute of compiling.
    """
    environment = dict(
        os.environ,
        NUMBA_ENABLE_CUDASIM=str(int(simulate)),
        NUMBA_DISABLE_JIT=str(int(not compiled)),
        PYTHONPATH=os.pathsep.join(path for path in sys.path if path),
    )
    # Without `site` no .pth file is read, and one of those is how numba-cuda takes over numba.cuda.
    options = ["-S"] if built_in else []
    command = [sys.executable, "-W", "error", *options, str(SCRIPT), *names]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def check(errors: dict[str, float]) -> None:
    assert len(errors) == 7
    for case, error in errors.items():
        assert error <= TOLERANCE[case.split()[0]], case


@pytest.mark.parametrize("cell", CELLS)
def test_a_simulated_device_agrees_with_the_cpu(cell: str) -> None:
    check(measured(*CELLS)[cell])


def test_it_agrees_with_the_compiled_cpu_target() -> None:
    found = measured("lstm", "gru", compiled=True)
    check(found["lstm"])
    check(found["gru"])


@pytest.mark.parametrize("cell", CELLS)
def test_the_simulator_inside_numba_will_do(cell: str) -> None:
    found = measured(*CELLS, built_in=True)
    if found["implementation"] == "NVIDIA":
        pytest.skip("this Numba has no CUDA simulator of its own")
    check(found[cell])


def test_products_overwrite_and_only_outer_with_more_adds() -> None:
    errors = measured(*CELLS)["products"]
    assert len(errors) == 8
    assert max(errors.values()) <= 1e-14, errors


def test_a_simulator_reports_that_it_compiles_nothing() -> None:
    assert measured(*CELLS)["no report"].startswith("the simulator compiles nothing: unset NUMBA")


def test_overflow_is_silent_as_on_a_device() -> None:
    assert measured(*CELLS)["overflow"] == [0.0, 1.0]


@pytest.mark.gpu
@pytest.mark.skipif(not available(), reason=f"needs a CUDA device: {why_unavailable()}")
def test_a_device_agrees_with_the_compiled_cpu_target() -> None:
    found = measured(*CELLS, simulate=False, compiled=True)
    for cell in CELLS:
        check(found[cell])
    assert max(found["products"].values()) <= 1e-14
    assert found["overflow"] == [0.0, 1.0]
