"""Fixtures: compiled kernels are shared, since compiling one cell takes seconds.

What one process of a session compiles, the others find on disk, in a folder that is new at its
start and removed at its end.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from gatewright.loaded import load
from gatewright.runtime.kernels import HostMemory, Kernels
from gatewright.runtime.load import load_module
from gatewright.runtime.processors import processors

# Set at import, before any worker starts: they inherit it. Nobody's own cache is read or written.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["GATEWRIGHT_CACHE"] = tempfile.mkdtemp(prefix="gatewright-tests-")
    atexit.register(shutil.rmtree, os.environ["GATEWRIGHT_CACHE"], ignore_errors=True)

# As many devices as a mesh needs in which a sum over devices is one; JAX reads it once.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

KernelsOf = Callable[..., Kernels]


def pytest_collection_finish() -> None:
    """Let the garbage collector leave out what was imported: compilers make it run often.

    It would walk through every object of PyTorch, JAX and Numba again and again.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start a worker for each processor that this process may use.

    Where a peer has brought `psutil`, `-n auto` would count the cores of the machine: half of two
    processors that share a core, and too many where some are set aside.
    """
    return processors()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker neighbouring tests: what one compiled, the next finds in memory.

    A worker that is done takes from the end of another's. Other distributions than `load`, which
    is what nobody asked for, are as asked.
    """
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@cache
def _kernels(cell: str, dtype: str, fill: float | None) -> Kernels:
    return Kernels(load_module(load(cell).source("cpu"), "cpu", dtype), HostMemory(fill))


@pytest.fixture(scope="session")
def kernels_of() -> KernelsOf:
    """Return CPU kernels of a cell; `fill` is what fresh buffers hold before they are written."""

    def kernels(cell: str, dtype: str = "float64", fill: float | None = None) -> Kernels:
        return _kernels(cell, dtype, fill)

    return kernels


# With GATEWRIGHT_REQUIRE_PEERS set, as in continuous integration, a test may be skipped only for
# want of a GPU, or of Coq, which no package of Python brings (where it is installed, the script
# prints its count): a peer that failed to install must not turn its tests into silence.
REQUIRE_PEERS = bool(os.environ.get("GATEWRIGHT_REQUIRE_PEERS"))
MAY_BE_MISSING = ("needs a CUDA device", "coqc is not installed")
_unexpected: list[str] = []


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not any(each in str(report.longrepr) for each in MAY_BE_MISSING):
        _unexpected.append(f"{report.nodeid}: {report.longrepr}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note_skip(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REQUIRE_PEERS:
        for line in _unexpected:
            terminalreporter.write_line(f"skipped where nothing may be: {line}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if REQUIRE_PEERS and _unexpected and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
