"""Narrower vectors than this machine's: the code that other machines would get is right too."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Cells of one and two stages and without a product in the loop, at odd sizes, in single precision,
# and one of them in double: outputs and all gradients beside the interpreted Programs.
PROGRAM = """
import sys
import numpy as np
import gatewright
from gatewright.runtime.cpu import tiles

assert tiles.vector_bytes() == int(sys.argv[1]), tiles.vector_bytes()
worst = {}
for dtype in ("float64", "float32"):
    for name in ("gru", "lstm_peephole", "indrnn")[: 1 if dtype == "float64" else 3]:
        loaded = gatewright.load(name)
        kernels = loaded.compile(dtype=dtype, threads=2)
        reference = loaded.compile(target="reference", dtype="float64")
        for T, B, I, H in ((3, 1, 5, 7), (2, 7, 33, 65), (4, 13, 20, 150)):
            parameters = loaded.init(input=I, hidden=H, seed=H, dtype=dtype)
            x = np.random.default_rng(0).standard_normal((T, B, I)).astype(dtype)
            found = []
            for each, kind in ((kernels, dtype), (reference, "float64")):
                given = {n: a.astype(kind) for n, a in parameters.items()}
                run = each.forward(given, x.astype(kind))
                back = each.backward(run, np.ones_like(run.y))
                found.append([run.y, back.x, *back.state.values(), *back.parameters.values()])
            for a, b in zip(*found):
                error = np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)
                worst[dtype] = max(worst.get(dtype, 0.0), float(error))
assert worst["float64"] < 1e-13, worst
assert worst["float32"] < 1e-5, worst
print("right")
"""


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="these are features of x86"
)
@pytest.mark.parametrize(
    ("width", "name", "features"),
    [
        pytest.param(32, "haswell", "+avx2,+avx,+fma,+sse4.2,+bmi,+bmi2,-avx512f", id="AVX2"),
        pytest.param(16, "x86-64", "+sse2,-avx,-avx2,-fma,-avx512f", id="SSE2"),
    ],
)
def test_kernels_are_right_with_narrower_vectors(width: int, name: str, features: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(width)],
        env={**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr[-2000:]
