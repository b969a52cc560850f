"""The elementary functions of compiled code: within their stated error everywhere, and vectorised.

GATEWRIGHT_EXHAUSTIVE=1 runs every float32 there is through every function, some minutes in all.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding
import mpmath
import numpy as np
import pytest
from numba import njit, prange

from gatewright.loaded import load
from gatewright.runtime.cpu import functions, functions_waves

Array = Any
NAMES = ("sigmoid", "exp", "tanh", "log", "log1p", "sin", "cos")
TYPES = (np.float32, np.float64)
EVERY = [(name, dtype) for name in NAMES for dtype in TYPES]

# In ulp, as the module states them for every machine.
BOUND = functions.WORST_ULP

EDGES = (
    *(0.0, 1e-300, 1e-45, 1e-40, 1.1754944e-38, 2.2250738585072014e-308, 5e-324, 1e-20, 1e-8),
    *(0.25, 0.5, 0.7, 0.79999995, 0.8, 0.80000001, 1.0, 1.4142135, 2.0, 9.0, 9.25, 19.0, 19.5),
    *(20.0, 87.33654, 88.72283, 88.722839, 88.8, 89.0, 100.0, 103.27893, 103.972076, 104.0),
    *(708.3964185322641, 709.782712893384, 709.7827128933841, 709.8, 710.0, 744.4400719213812),
    *(745.1332191019411, 745.1332191019412, 746.0, 1e4, 2.0**20, 3e38, 1.7e308, math.inf),
    *(math.pi / 4, math.pi / 2, math.pi, 2 * math.pi, 11.0, 22.0, 355.0, 52174.0),
)


def jit(**options: Any) -> Callable[[Any], Any]:
    return njit(**options)  # type: ignore[no-any-return, unused-ignore]


def sigmoid(x: Any) -> Any:
    """Return the function in the precision of its argument."""
    return 1 / (1 + np.exp(-x))


def numpys(name: str) -> Any:
    return sigmoid if name == "sigmoid" else getattr(np, name)


@cache
def compiled(name: str) -> Any:
    """Return a compiled loop that applies a function of the module to an array."""
    function = getattr(functions, name)

    @jit(error_model="numpy")
    def loop(x: Array, out: Array) -> None:
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def apply(name: str, x: Array) -> Array:
    out = np.empty_like(x)
    compiled(name)(x, out)
    return out


def errors(found: Array, exact: Array) -> Array:
    """Return errors in ulp of the exact result; infinite where infinities, NaN or zeros differ."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(found.dtype)
        ulp = np.spacing(np.abs(rounded)).astype(exact.dtype)
        distance = np.abs(found.astype(exact.dtype) - exact) / ulp
        alike = (found == rounded) & (np.signbit(found) == np.signbit(rounded))
    alike |= np.isnan(found) & np.isnan(rounded)
    measured = np.isfinite(rounded) & np.isfinite(found) & (exact != 0)
    return np.where(measured, distance, np.where(alike, 0, math.inf))


def samples32() -> Array:
    bits = np.random.default_rng(7).integers(0, 1 << 32, 1 << 20, dtype=np.uint32)
    near = np.random.default_rng(8).uniform(-20, 20, 1 << 18)
    with np.errstate(all="ignore"):
        edges = np.array([*EDGES, *(-x for x in EDGES)]).astype(np.float32)
        up, down = (np.nextafter(edges, np.float32(end)) for end in (math.inf, -math.inf))
    edges = np.concatenate([edges, up, down])
    return np.concatenate([bits.view(np.float32), near.astype(np.float32), edges])


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_within_its_bound(name: str) -> None:
    with np.errstate(all="ignore"):
        x = samples32()
        exact = numpys(name)(x.astype(np.float64))
    found = errors(apply(name, x), exact)
    worst = int(found.argmax())
    assert found[worst] <= BOUND["float32"][name], float(x[worst]).hex()


def exactly(name: str, x: float) -> Any:
    """Return the function's value to 80 digits; NaN and infinities as in C."""
    if math.isnan(x) or (name in {"sin", "cos"} and math.isinf(x)):
        return mpmath.nan
    pole = {"log": 0.0, "log1p": -1.0}.get(name)
    if pole is not None and x <= pole:
        return mpmath.nan if x < pole else -mpmath.inf
    if name == "sigmoid":
        return 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
    function = getattr(mpmath, name)
    return function(mpmath.mpf(x))


OVERFLOW = mpmath.mpf(2) ** 1024 - mpmath.mpf(2) ** 970  # from here on float64 rounds to infinity


def error64(name: str, x: float, found: float) -> float:
    """Return the error of one float64 result in ulp of the exact result."""
    exact = exactly(name, x)
    overflows = mpmath.isfinite(exact) and exact >= OVERFLOW
    rounded = math.inf if overflows else float(exact)
    if not math.isfinite(rounded) or rounded == 0:
        alike = found == rounded or (math.isnan(found) and math.isnan(rounded))
        return 0.0 if alike else math.inf
    return float(abs(mpmath.mpf(found) - exact) / math.ulp(rounded)) if found == found else math.inf


def samples64(name: str) -> Array:
    stream = np.random.default_rng(9)
    ranges = {"exp": 745.0, "tanh": 20.0, "log": 2.0, "log1p": 1.0, "sin": 1e6, "cos": 1e6}
    ranges["sigmoid"] = 745.0
    wide = stream.uniform(-ranges[name], ranges[name], 1500)
    near = stream.uniform(-1.0, 1.0, 1500)
    powers = np.ldexp(stream.uniform(-1, 1, 500), stream.integers(-1070, 20, 500))
    edges = [x for x in EDGES if name not in {"sin", "cos"} or x <= functions_waves.FARTHEST]
    signed = np.array([*edges, *(-x for x in edges)])
    around = np.concatenate([np.nextafter(signed, np.zeros_like(signed)), signed])
    return np.concatenate([wide, near, powers, around])


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_within_its_bound(name: str) -> None:
    x = samples64(name)
    with mpmath.workdps(80):
        pairs = zip(x.tolist(), apply(name, x).tolist(), strict=True)
        found = [error64(name, at, value) for at, value in pairs]
    worst = int(np.argmax(found))
    assert found[worst] <= BOUND["float64"][name], float(x[worst]).hex()


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_float64_waves_far_away_are_nan_and_not_wrong(name: str) -> None:
    far = np.array([functions_waves.FARTHEST * (1 + 1e-15), 1e9, -1e300, math.inf, -math.inf])
    assert np.isnan(apply(name, far)).all()


@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_nan_stays_nan(name: str, dtype: Any) -> None:
    quiet = np.array([math.nan, -math.nan, 1.0] * 11, dtype)
    assert np.array_equal(np.isnan(apply(name, quiet)), np.isnan(quiet))


@pytest.mark.parametrize("dtype", TYPES)
def test_the_result_has_the_type_of_the_argument(dtype: Any) -> None:
    for name in (*NAMES, "sqrt"):
        function = getattr(functions, name)
        of_one = njit(lambda x, function=function: np.array([function(x)]))
        assert of_one(dtype(0.5)).dtype == dtype, name
        assert function(dtype(0.5)).dtype == dtype, name


@pytest.mark.parametrize("dtype", TYPES)
def test_zeros_keep_their_sign(dtype: Any) -> None:
    zeros = np.array([-0.0, 0.0] * 20, dtype)
    for name in ("tanh", "sin", "log1p", "sqrt"):
        assert np.array_equal(np.signbit(apply(name, zeros)), np.signbit(zeros)), name


@pytest.mark.parametrize("dtype", TYPES)
def test_tanh_is_odd_and_at_most_one(dtype: Any) -> None:
    x = np.linspace(0, 25, 100_003).astype(dtype)
    positive = apply("tanh", x)
    assert np.array_equal(apply("tanh", -x), -positive)
    assert positive.max() == 1


PROBE = """
cell: probe
title: One function of the input
inputs: {x: hidden}
states: {h: hidden}
equations:
  y: FUNCTION(x)
  h': h
output: y
"""
# What the files print from the functions above: exact values, and bounds in ulp from -87 and below.
PRINTED: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 1.7, 1.7),
    "softsign": (lambda x: np.where(np.isinf(x), np.nan, x / (1 + np.abs(x))), 1.5, 1.5),
    "silu": (lambda x: x / (1 + np.exp(-x)), 2.9, 53.0),
    "relu": (lambda x: np.maximum(x, 0), 0.0, 0.0),
    "abs": (np.abs, 0.0, 0.0),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), 0.0, 0.0),
}


@pytest.mark.parametrize("name", PRINTED)
def test_functions_printed_into_files_are_within_their_bounds(name: str, tmp_path: Path) -> None:
    path = tmp_path / "probe.yaml"
    path.write_text(PROBE.replace("FUNCTION", name), encoding="utf-8")
    kernels = load(path).compile(dtype="float32", threads=1)
    exact, bound, below = PRINTED[name]
    for x in blocks32():
        out = kernels.forward({}, x.reshape(1, 1, -1), keep=False).y.ravel()
        with np.errstate(all="ignore"):
            found = errors(out + 0.0, exact(x.astype(np.float64)) + 0.0)  # zeros of either sign
        assert found[~(x < -87)].max(initial=0) <= bound
        assert found[x < -87].max(initial=0) <= below


def blocks32() -> Iterator[Array]:
    """Yield samples, or with GATEWRIGHT_EXHAUSTIVE every float32 there is."""
    if "GATEWRIGHT_EXHAUSTIVE" not in os.environ:
        yield samples32()
        return
    size = 1 << 22
    for start in range(0, 1 << 32, size):
        yield np.arange(start, start + size, dtype=np.uint64).astype(np.uint32).view(np.float32)


def lanes_expected() -> int:
    """Return how many float32 lanes LLVM uses at least: it may prefer 256 bits to 512."""
    features = llvmlite.binding.get_host_cpu_features()
    chosen = os.environ.get("NUMBA_CPU_NAME") or os.environ.get("NUMBA_CPU_FEATURES")
    return 8 if features.get("avx2") and not chosen else 4


@pytest.mark.parametrize(("name", "dtype"), EVERY)
def test_loops_become_vectors(name: str, dtype: Any) -> None:
    apply(name, np.ones(64, dtype))
    loop = compiled(name)
    (code,) = (loop.inspect_llvm(s) for s in loop.signatures if s[0].dtype.name == dtype.__name__)
    narrow = dtype is np.float64 or name in {"sin", "cos"}  # these are computed in float64
    lanes = [int(n) for n in re.findall(r"@llvm\.fmuladd\.v(\d+)f(?:32|64)", code)]
    assert max(lanes, default=1) >= lanes_expected() // (2 if narrow else 1)
    assert not re.search(rf"call .*@(llvm\.)?{name}f?[.(]", code)


def test_a_cell_becomes_vectors() -> None:
    exp, tanh, real = functions.exp, functions.tanh, np.float32

    @jit(error_model="numpy", forceinline=True)
    def cell(a: Any, b: Any, c: Any) -> Any:
        kept = real(1) / (real(1) + exp(-a))
        following = kept * c + (real(1) - kept) * tanh(b)
        return following, tanh(following)

    @jit(error_model="numpy")
    def units(a: Array, b: Array, c: Array, h: Array) -> None:
        for unit in range(a.size):
            c[unit], h[unit] = cell(a[unit], b[unit], c[unit])

    units(*(np.ones(64, np.float32) for _ in range(4)))
    lanes = re.findall(r"@llvm\.fmuladd\.v(\d+)f32", units.inspect_llvm(units.signatures[0]))
    assert max((int(n) for n in lanes), default=1) >= lanes_expected()


def test_a_caller_with_fastmath_changes_nothing() -> None:
    function = functions.log1p

    @jit(error_model="numpy", fastmath=True)
    def loop(x: Array, out: Array) -> None:
        for i in range(x.size):
            out[i] = function(x[i])

    x = samples32()[:4096]
    out = np.empty_like(x)
    loop(x, out)
    assert np.array_equal(out, apply("log1p", x), equal_nan=True)


def test_without_compilation_they_are_those_of_numpy() -> None:
    program = """
import numpy as np
from gatewright.loaded import load
from gatewright.runtime.cpu import functions, functions_waves
assert functions.sigmoid(np.float32(0)) == 0.5 and functions.sigmoid(np.float64(-1000)) == 0
for name in ("exp", "tanh", "log", "log1p", "sin", "cos", "sqrt"):
    for dtype in (np.float32, np.float64):
        found = getattr(functions, name)(dtype(0.75))
        assert found == getattr(np, name)(dtype(0.75)) and found.dtype == dtype, name
assert functions.exp(np.float32(1000)) == np.inf and functions.log(np.float64(0)) == -np.inf
assert np.isnan(functions.sqrt(np.float64(-1))) and np.isnan(functions.tanh(np.float32("nan")))
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", program], env=environment, check=True)


def every_float32(function: Any, reference: Callable[[float], float]) -> Any:
    """Return a compiled function that runs all float32: worst ulp, where, and what differs."""

    @jit(error_model="numpy")
    def error(found: Any, exact: Any) -> Any:
        rounded = np.float32(exact)
        if np.isnan(rounded) or not np.isfinite(rounded) or exact == 0 or not np.isfinite(found):
            nans = np.isnan(rounded) and np.isnan(found)
            alike = rounded == found and np.signbit(rounded) == np.signbit(found)
            return 0.0 if nans or alike else np.inf
        place = max(math.frexp(np.float64(abs(rounded)))[1] - 24, -149)
        return abs(np.float64(found) - exact) / 2.0**place

    @jit(error_model="numpy")
    def part(start: int, size: int) -> Any:
        bits = np.arange(start, start + size).astype(np.uint32)
        x, out = bits.view(np.float32), np.empty(size, np.float32)
        for i in range(size):
            out[i] = function(x[i])
        worst, where = -1.0, np.float32(0)
        for i in range(size):
            ulp = error(out[i], reference(np.float64(x[i])))
            if ulp > worst:
                worst, where = ulp, x[i]
        return worst, where

    @jit(parallel=True)
    def run(parts: int) -> Any:
        worst, where = np.empty(parts), np.empty(parts, np.float32)
        for k in prange(parts):
            worst[k], where[k] = part(k * (2**32 // parts), 2**32 // parts)
        return worst, where

    return run


# Where float64 numbers are drawn from, besides what is near 0; the exponentials need more.
RANGES = {
    "log": ((0.0, 4.0), (0.6, 1.5)),
    "log1p": ((-1.0, 4.0), (-0.4, 0.5)),
    "sin": ((-1e6, 1e6), (-8.0, 8.0)),
    "cos": ((-1e6, 1e6), (-8.0, 8.0)),
}
EXPONENTIALS = ((-745.0, 745.0), (-40.0, 40.0), (30.0, 350.0), (-745.0, -700.0))

if "GATEWRIGHT_EXHAUSTIVE" in os.environ:

    @pytest.mark.parametrize("name", NAMES)
    def test_many_float64_are_within_their_bound(name: str) -> None:
        worst, where = 0.0, 0.0
        for low, high in (*RANGES.get(name, EXPONENTIALS), (-2.0, 2.0), (-0.1, 0.1)):
            x = np.random.default_rng(1).uniform(low, high, 1 << 22)
            with np.errstate(all="ignore"):
                found = errors(apply(name, x), numpys(name)(x.astype(np.longdouble)))
            k = int(found.argmax())
            worst, where = max((worst, where), (float(found[k]), float(x[k])))
        print(f"{name}: {worst:.4f} ulp at {where!r}")
        assert worst <= BOUND["float64"][name]

    @pytest.mark.parametrize("name", NAMES)
    def test_every_float32_is_within_its_bound(name: str) -> None:
        reference = jit(error_model="numpy")(sigmoid) if name == "sigmoid" else getattr(math, name)
        worst, where = every_float32(getattr(functions, name), reference)(4096)
        k = int(worst.argmax())
        print(f"{name}: {worst[k]:.4f} ulp at {float(where[k])!r} = {float(where[k]).hex()}")
        assert worst[k] <= BOUND["float32"][name]
