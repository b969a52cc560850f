"""A part: which share of every array one thread works on, and how threads wait for each other.

A part is a tuple (index, count, by_units, shared). With `by_units` every thread owns a slice of the
units of each array, for all rows, and threads meet at a barrier before each product of a step;
without, every thread owns a slice of the rows and nobody waits. `shared` is an array of counters
that the threads of one run have in common.

Slices of units are whole halves of the runs of a packed operand, so a slice of a product is made of
whole tiles.

Why a barrier that spins: a step takes microseconds, and waking a sleeping thread takes longer. It
spins a bounded number of times and then yields, so that it ends even where there are more threads
than processors; every thread of a run is one of the operating system's, so none waits for another
to be started.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cpu.compiled import device
from gatewright.runtime.cpu.native import add_one, read, yield_processor
from gatewright.runtime.cpu.tiles import HALF, WIDE, width

Part = tuple[int, int, int, Any]
SPINS = 4000
# One counter for arrivals and one per thread, each on a cache line of its own.
LINE = 16


def new_shared(count: int) -> Any:
    """Return the counters of one run of `count` threads."""
    return np.zeros((count + 1) * LINE, np.int64)


def whole() -> Part:
    """Return the only part of a run on one thread."""
    return (0, 1, 0, new_shared(1))


@device
def meet(part: Part) -> None:
    """Wait until every thread of the run has come here, whichever way the work is split."""
    index, count, _, shared = part
    if count == 1:
        return
    mine = (index + 1) * LINE
    shared[mine] += 1
    goal = shared[mine] * count
    add_one(shared, 0)
    spins = 0
    while read(shared, 0) < goal:
        spins += 1
        if spins > SPINS:
            yield_processor()


@device
def wait(part: Part) -> None:
    """Wait for the other threads where they own units, as a product reads all of them."""
    if part[2]:
        meet(part)


@device
def by_rows(part: Part) -> Part:
    """Return the same thread's part where rows are split."""
    return (part[0], part[1], 0, part[3])


@device
def by_units(part: Part) -> Part:
    """Return the same thread's part where units are split."""
    return (part[0], part[1], 1, part[3])


@device
def first_row(part: Part, array: Any) -> Any:
    """Return the first row of an array [rows, units] that belongs to a part."""
    return 0 if part[2] else part[0] * array.shape[0] // part[1]


@device
def last_row(part: Part, array: Any) -> Any:
    """Return the row after the last of a part."""
    return array.shape[0] if part[2] else (part[0] + 1) * array.shape[0] // part[1]


@device
def rows_of(part: Part, array: Any) -> range:
    """Return the rows of an array [rows, units] that belong to a part."""
    # Unsigned: an index that might be negative is wrapped around, and that keeps LLVM from vectors.
    return range(np.uint64(first_row(part, array)), np.uint64(last_row(part, array)))


@device
def units_of(part: Part, array: Any) -> range:
    """Return the units of an array [rows, units] that belong to a part."""
    return range(np.uint64(first_unit(part, array)), np.uint64(last_unit(part, array)))


@device
def first_unit(part: Part, array: Any) -> Any:
    """Return the first unit of an array [rows, units] that belongs to a part."""
    units, size = array.shape[1], HALVES[array.itemsize]
    return min(units, part[0] * ((units + size - 1) // size) // part[1] * size) if part[2] else 0


@device
def last_unit(part: Part, array: Any) -> Any:
    """Return the unit after the last of a part."""
    units, size = array.shape[1], HALVES[array.itemsize]
    blocks = (units + size - 1) // size
    return min(units, (part[0] + 1) * blocks // part[1] * size) if part[2] else units


# By the size of a number in bytes: a run, and half of one.
WIDTHS = (0, 0, 0, 0, width(4), 0, 0, 0, width(8))
HALVES = tuple(size * HALF // WIDE for size in WIDTHS)
