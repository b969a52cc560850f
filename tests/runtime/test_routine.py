from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.errors import TypingError

import gatewright
from gatewright.runtime.load import load_module

TEXT = """from numpy import float64 as real

from gatewright.runtime.cpu import device, driver

LAYOUT = None


@device
def doubled(x):
    return x * real(2)


@driver
def inner(x, y):
    aside = np.empty(x.size, x.dtype)
    for i in range(x.size):
        aside[i] = doubled(x[i])
    y[:] = aside


@driver
def outer(x, y):
    inner(x, y)
    y[0] += real(1)
""".replace("LAYOUT", "import numpy as np\n\nLAYOUT", 1)


@pytest.fixture(autouse=True, params=["kept", "not kept"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(tmp_path) if request.param == "kept" else "off")


def call(routine: Any) -> list[float]:
    x, y = np.arange(3, dtype=np.float32), np.zeros(3, np.float32)
    routine(x, y)
    return y.tolist()


def callable_from_python(routine: Any) -> list[bool]:
    """Return for every compiled form whether it has the wrapper that unpacks arguments."""
    engine = routine.targetctx.codegen()._engine
    names = [found.fndesc.llvm_cpython_wrapper_name for found in routine.overloads.values()]
    return [engine.is_symbol_defined(name) for name in names]


@pytest.mark.parametrize("names", ["outer inner", "inner outer", "inner outer inner outer"])
def test_a_function_may_be_called_from_python_and_from_others(names: str) -> None:
    for _ in range(2):  # the second time from disk
        module = load_module(TEXT, "cpu", "float32")
        for name in names.split():
            assert call(module.routine(name)) == ([1, 2, 4] if name == "outer" else [0, 2, 4])
        doubled: Any = module.routine("doubled")
        assert doubled(np.float32(4)) == 8


def test_a_function_inside_gets_no_machine_code_until_python_calls_it() -> None:
    module = load_module(TEXT, "cpu", "float32")
    call(module.routine("outer"))
    inner: Any = module.routine("inner")
    assert callable_from_python(inner) == [False]
    call(inner)
    assert callable_from_python(inner) == [True]


RAISING = """from numpy import float64 as real

from gatewright.runtime.cpu import driver

LAYOUT = None


@driver
def inner(x, y):
    if x.size == 3:
        raise ValueError("three", x.size)
    raise KeyError("not three")


@driver
def outer(x, y):
    inner(x, y)
"""


def test_an_error_inside_reaches_python() -> None:
    for _ in range(2):
        outer: Any = load_module(RAISING, "cpu", "float32").routine("outer")
        with pytest.raises(ValueError) as found:
            call(outer)
        assert found.value.args == ("three", 3)
        with pytest.raises(KeyError):
            outer(np.zeros(2, np.float32), np.zeros(2, np.float32))


def test_wrong_types_are_refused() -> None:
    outer: Any = load_module(TEXT, "cpu", "float32").routine("outer")
    for _ in range(2):
        with pytest.raises(TypingError):
            outer("text", 3)


def test_a_routine_can_be_pickled_where_its_function_can() -> None:
    from gatewright.runtime.cpu.parts import by_units

    assert pickle.loads(pickle.dumps(by_units)) is by_units


NUMBER = """
import os
from gatewright.runtime.cpu import device
from numba.core.bytecode import FunctionIdentity
print(next(FunctionIdentity._unique_ids), flush=True)
if hasattr(os, "fork"):
    child = os.fork()
    print(next(FunctionIdentity._unique_ids), flush=True)
    os._exit(0) if child == 0 else os.waitpid(child, 0)
"""


def test_no_two_processes_number_functions_alike() -> None:
    numbers: list[int] = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", NUMBER],
            env={**os.environ, "PYTHONPATH": str(Path(gatewright.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        )
        numbers += map(int, done.stdout.split())
    assert len(set(numbers)) == len(numbers) >= 2
    gaps = np.diff(sorted(numbers)).tolist()
    # The number after the first is the parent's own; all others are far apart.
    assert sum(gap < 2**20 for gap in gaps) <= 2
    assert min(numbers) >= 2**60
