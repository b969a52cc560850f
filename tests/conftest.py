"""Fixtures: compiled kernels are shared, since compiling one cell takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from gatewright.loaded import load
from gatewright.runtime.kernels import HostMemory, Kernels
from gatewright.runtime.load import load_module

KernelsOf = Callable[..., Kernels]


@cache
def _kernels(cell: str, dtype: str, fill: float | None) -> Kernels:
    return Kernels(load_module(load(cell).source("cpu"), "cpu", dtype), HostMemory(fill))


@pytest.fixture(scope="session")
def kernels_of() -> KernelsOf:
    """Return CPU kernels of a cell; `fill` is what fresh buffers hold before they are written."""

    def kernels(cell: str, dtype: str = "float64", fill: float | None = None) -> Kernels:
        return _kernels(cell, dtype, fill)

    return kernels
