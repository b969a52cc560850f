"""The CPU's engine: matrices packed, work shared between threads by a plan that can say why.

A plan either gives every thread a slice of the units, with a barrier before each product of a step,
or a slice of the rows of the batch, with none; or it keeps to one thread.

Why a cost model of a few terms and no tuning run: a run that is to be repeated must not depend on
what else the machine did while it was tuned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from gatewright.runtime.buffers import buffers
from gatewright.runtime.cpu.packing import pack, pack_transposed, packed_shape
from gatewright.runtime.cpu.parts import WIDTHS
from gatewright.runtime.cpu.threads import run
from gatewright.runtime.engine import Plan, Work
from gatewright.runtime.processors import processors

# What one core does: multiply-adds per second, bytes per second from beyond its own cache, and what
# that cache holds. What a barrier takes, and how much longer the slowest of several threads needs
# where all wait for it. Only their ratios matter, and only where two plans are close.
RATE, STREAM, CACHE, BARRIER, SLOWEST = 1.2e11, 7e10, 1 << 20, 6e-7, 1.1
# An elementwise operation costs as much as this many multiply-adds of a product.
ELEMENTWISE = 60.0
# Starting the other threads takes longer than this much work on one.
SMALL = 3e-5
# A chunk has at least so many rows, as each reads all matrices and each gradient once.
ROWS = 512


def plan(work: Work, threads: int) -> Plan:
    """Return the plan for one direction of a sequence."""
    count, by_units, why = _split(work, threads)
    rows = max(ROWS, CACHE // 2 * count // max(work.width * work.itemsize, 1))
    chunk = min(max(1, rows // max(work.B, 1)), max(work.T, 1))
    times = "time step" if chunk == 1 else "time steps"
    return Plan(count, by_units, chunk, f"{why}; chunks of {chunk} {times}")


def _split(work: Work, threads: int) -> tuple[int, bool, str]:
    at_once = work.T * work.B * work.at_once / RATE
    alone = at_once + work.T * _step(work, work.B, 1)
    if threads == 1 or alone < SMALL:
        return 1, False, f"{alone * 1e6:.0f} us of work: one thread"
    runs = -(-work.units // WIDTHS[work.itemsize])
    by_units = min(threads, runs)
    share = runs / -(-runs // by_units)
    units_time = at_once / share + work.T * (
        SLOWEST * _step(work, work.B, share) + work.barriers * BARRIER
    )
    by_rows = min(threads, max(work.B, 1))
    rows_time = at_once / by_rows + work.T * _step(work, -(-work.B // by_rows), 1)
    best = min(alone, units_time, rows_time)
    times = f"alone {alone:.1e} s, by units {units_time:.1e} s, by rows {rows_time:.1e} s"
    if best == alone:
        return 1, False, f"one thread: {times}"
    if best == rows_time:
        return by_rows, False, f"{by_rows} threads by rows: {times}"
    return by_units, True, f"{by_units} threads by units: {times}"


def _step(work: Work, rows: int, share: float) -> float:
    """Return the seconds of one step on one thread that owns some rows and a share of the units.

    Matrices that the core's cache holds arrive while it computes; others it waits for.
    """
    size = work.stepped * work.itemsize / share
    computed = rows * (work.stepped + ELEMENTWISE * work.units) / share / RATE
    if size > CACHE:
        return computed + size / STREAM
    return max(computed, size / STREAM / 2)


@dataclass(frozen=True)
class CpuEngine:
    """Packs matrices and runs routines on up to `threads` threads (all processors if None)."""

    threads: int | None = None

    @property
    def limit(self) -> int:
        """How many threads a run may use; GATEWRIGHT_THREADS is the default of all runs."""
        return self.threads or int(os.environ.get("GATEWRIGHT_THREADS", 0)) or processors()

    def matrices(self, arrays: Mapping[str, Any], transposed: bool) -> Mapping[str, Any]:
        """Return matrices packed for the products of one direction."""
        if not arrays:
            return {}
        given = tuple(arrays.values())
        shapes, dtype, large = _packing(tuple([e.shape for e in given]), given[0].dtype, transposed)
        packed = buffers.arrays(dict(zip(arrays, shapes, strict=True)), dtype)
        routine = pack_transposed if transposed else pack
        split = Plan(self.limit if large else 1, False, 1, "packing")
        run(routine, split, (given, tuple(packed.values())))
        return packed

    def plan(self, work: Work) -> Plan:
        """Return the plan for one direction of a sequence."""
        return plan(work, self.limit)

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], plan: Plan) -> None:
        """Call a routine, as planned."""
        run(routine, plan, arguments)


@lru_cache(256)
def _packing(
    shapes: tuple[tuple[int, int], ...], kind: Any, transposed: bool
) -> tuple[tuple[tuple[int, int, int], ...], str, bool]:
    """Return the shapes of packed matrices, their dtype's name, and whether they are large."""
    sides = [shape[::-1] if transposed else shape for shape in shapes]
    found = tuple(packed_shape(*each, kind.itemsize) for each in sides)
    return found, str(kind), sum(map(prod, shapes)) > 1 << 16


engine = CpuEngine()
