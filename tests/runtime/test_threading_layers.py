"""Our threads beside Numba's own, whichever of its three threading layers a program has chosen."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

# A program that uses Numba's parallel loops, our kernels from two Python threads at once, and
# parallel loops again; it prints whether all results have the bits of one thread.
PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from numba import config, njit, prange, threading_layer

config.THREADING_LAYER = sys.argv[1]
import gatewright

@njit(parallel=True)
def total(array):
    found = 0.0
    for n in prange(array.size):
        found += array[n]
    return found

ones = np.ones(10_000)
assert total(ones) == 10_000
assert threading_layer() == sys.argv[1]
loaded = gatewright.load("elman")
parameters = loaded.init(input=40, hidden=200, seed=1)
x = np.random.default_rng(0).standard_normal((30, 60, 40)).astype("float32")

def result(threads):
    kernels = loaded.compile(threads=threads)
    run = kernels.forward(parameters, x)
    return [run.y, *kernels.backward(run, np.ones_like(run.y)).parameters.values()]

expected = result(1)
sizes = dict(T=30, B=60, input=40, hidden=200)
assert loaded.compile(threads=3).plans(sizes)["forward"].threads > 1
with ThreadPoolExecutor(2) as pool:
    found = [pool.submit(result, 3) for _ in range(6)]
    same = all(np.array_equal(a, b) for each in found for a, b in zip(expected, each.result()))
assert total(ones) == 10_000
print("same bits" if same else "other bits")
"""


def layers() -> list[str]:
    """Return the layers of this Numba: `tbb` needs a package of its own, `omp` a library."""
    found = ["workqueue"]
    if importlib.util.find_spec("numba.np.ufunc.omppool") is not None:
        found.append("omp")
    if importlib.util.find_spec("tbb") is not None:
        found.append("tbb")
    return found


@pytest.mark.parametrize("layer", layers())
def test_kernels_run_beside_numbas_own_threads(layer: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, layer],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "same bits\n"), done.stderr
