"""A machine -> the speed of its own tiles: what a large packed product reaches, per second.

The product is that of a step with four gates of 512 units, its weights packed once, for so many
rows that every thread has tiles enough. It is split by rows and by units in turn; the faster way
counts, as a plan would choose it.

Why our own product and not a BLAS: it is the most that any step of ours could reach, while a BLAS
may have picked slower kernels for this processor, and then every percentage would look better.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from gatewright.runtime.cpu.packing import pack, packed_shape
from gatewright.runtime.cpu.parts import whole
from gatewright.runtime.cpu.products import product
from gatewright.runtime.cpu.threads import run
from gatewright.runtime.engine import Plan
from gatewright.runtime.load import DTYPES
from gatewright.runtime.validate import ArgumentError, Array, checked_size

# The weights of a layer with four gates; rows for each thread, so that a run takes milliseconds.
UNITS, GATES, ROWS, FEWEST_ROWS = 512, 4, 384, 1536
ROUNDS, RUNS = 5, 7


class LargeProduct:
    """A product for `threads` threads: `run` computes `results[k] = operand @ weights[k].T`.

    `operand` is [rows, 512], each of the four `weights` [512, 512], each of `results` [rows, 512].
    """

    def __init__(self, dtype: str, threads: int) -> None:
        stream = np.random.default_rng(0)
        rows = max(FEWEST_ROWS, ROWS * threads)

        def draw(*shape: int) -> Array:
            return stream.uniform(-1.0, 1.0, shape).astype(dtype)

        self.threads = threads
        self.operand = draw(rows, UNITS)
        self.weights = tuple(draw(UNITS, UNITS) for _ in range(GATES))
        self.results = tuple(np.zeros((rows, UNITS), dtype) for _ in range(GATES))
        shape = packed_shape(UNITS, UNITS, self.operand.itemsize)
        self._packed = tuple(np.empty(shape, dtype) for _ in range(GATES))
        pack(whole(), self.weights, self._packed)

    @property
    def operations(self) -> int:
        """Multiplications and additions of one run."""
        return 2 * self.operand.size * UNITS * GATES

    def run(self, by_units: bool) -> float:
        """Compute all results, units or rows split between the threads; return the seconds."""
        plan = Plan(self.threads, by_units, 1, "the peak")
        arguments: tuple[Any, ...] = (self.operand, self._packed, self.results)
        start = time.perf_counter()
        run(product, plan, arguments)
        return time.perf_counter() - start

    def speed(self) -> float:
        """Return floating-point operations per second now, split the way that is faster."""
        splits = (False, True) if self.threads > 1 else (False,)
        return self.operations / min(
            statistics.median(self.run(by_units) for _ in range(RUNS)) for by_units in splits
        )


def peak(dtype: str = "float32", threads: int = 1) -> float:
    """Return floating-point operations per second of our packed product on so many threads.

    Each way to split it is compiled and run first; then the best of some medians counts.
    Takes about a second. Raises ArgumentError for another dtype than float32 and float64, or for a
    number of threads that is not positive.
    """
    if dtype not in DTYPES:
        raise ArgumentError(f"`dtype` must be float32 or float64; got {dtype!r}")
    large = LargeProduct(dtype, checked_size("threads", threads))
    large.speed()
    return max(large.speed() for _ in range(ROUNDS))
