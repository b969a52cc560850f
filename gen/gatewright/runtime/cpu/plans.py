"""The CPU's engine: matrices packed, work shared between threads by a plan that can say why.

A plan either gives every thread a slice of the units, with a barrier before each product of a step,
or a slice of the rows of the batch, with none; or it keeps to one thread.

Why a cost model of a few terms and no tuning run: a run that is to be repeated must not depend on
what else the machine did while it was tuned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gatewright.runtime.buffers import buffers
from gatewright.runtime.cpu.parts import WIDTHS
from gatewright.runtime.cpu.products import pack, pack_transposed, packed_shape
from gatewright.runtime.cpu.threads import Plan, processors, run
from gatewright.runtime.engine import Work

# Multiply-adds per second of one core, what a barrier takes, and what one core's cache holds. Only
# their ratios matter, and only where two plans are close.
RATE, BARRIER, CACHE = 8e10, 6e-7, 1 << 20
# Starting the other threads takes longer than this much work on one.
SMALL = 4e-5


def plan_steps(work: Work, threads: int) -> Plan:
    """Return the plan for the time steps of a sequence."""
    size = WIDTHS[work.itemsize]
    runs = -(-work.units // size)
    alone = work.T * work.B * (work.multiplied + 50.0 * work.units) / RATE
    if threads == 1 or alone < SMALL:
        return Plan(1, False, f"{alone * 1e6:.0f} us of work: one thread")
    by_units = min(threads, runs)
    share = -(-runs // by_units) / runs
    units_time = alone * share + work.T * work.products * BARRIER
    by_rows = min(threads, work.B)
    rows = -(-work.B // by_rows)
    misses = 1.5 if work.multiplied * work.itemsize > CACHE else 1.0
    rows_time = alone * rows / work.B * misses * max(1.0, 6.0 / rows)
    best = min(alone, units_time, rows_time)
    times = f"alone {alone:.1e} s, by units {units_time:.1e} s, by rows {rows_time:.1e} s"
    if best == alone:
        return Plan(1, False, f"one thread: {times}")
    if best == units_time:
        return Plan(by_units, True, f"{by_units} threads by units: {times}")
    return Plan(by_rows, False, f"{by_rows} threads by rows: {times}")


def plan_rows(work: Work, threads: int) -> Plan:
    """Return the plan for what runs for all time steps at once."""
    alone = work.T * work.B * (work.multiplied + 50.0 * work.units) / RATE
    count = 1 if alone < SMALL else max(1, min(threads, work.T * work.B))
    return Plan(count, False, f"{count} threads by rows")


@dataclass(frozen=True)
class CpuEngine:
    """Packs matrices and runs routines on up to `threads` threads (all processors if None)."""

    threads: int | None = None

    @property
    def limit(self) -> int:
        """How many threads a run may use; GATEWRIGHT_THREADS is the default of all runs."""
        return self.threads or int(os.environ.get("GATEWRIGHT_THREADS", 0)) or processors()

    def matrix(self, array: Any, transposed: bool) -> Any:
        """Return a matrix packed for the products of one direction."""
        rows, columns = array.shape[::-1] if transposed else array.shape
        packed = buffers.empty(packed_shape(rows, columns, array.itemsize), str(array.dtype))
        count = self.limit if array.size > 1 << 16 else 1
        routine = pack_transposed if transposed else pack
        run(routine, Plan(count, False, "packing"), ((array,), (packed,)))
        return packed

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], work: Work) -> None:
        """Call a routine that runs all time steps at once, its rows split between threads."""
        run(routine, plan_rows(work, self.limit), arguments)

    def run_steps(self, routine: Callable[..., Any], arguments: Sequence[Any], work: Work) -> None:
        """Call the routine that runs one time step after the other, as planned."""
        run(routine, plan_steps(work, self.limit), arguments)


engine = CpuEngine()
