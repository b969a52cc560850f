"""A team of threads that compiled code hands its parts to, and that sleep in between.

The calling thread publishes the addresses of code and of its arguments to every worker and runs
part 0 itself. A worker takes a seat, runs its part, and waits for the next: it spins for a while,
as a training loop comes back soon, and then asks the operating system to wake it.

Why not threads that Python hands jobs to (`threads.py`, which serves where this cannot): each would
need the interpreter lock and unpack all arguments for itself, one after the other. That took as
long as dozens of time steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gatewright.runtime.cpu import native
from gatewright.runtime.cpu.compiled import device, plain
from gatewright.runtime.cpu.native import (
    exchange,
    pause,
    read,
    replace,
    sleep,
    wake,
    yield_processor,
)
from gatewright.runtime.cpu.parts import LINE, SPINS
from gatewright.runtime.cpu.seats import BEGIN, ROW, leave, sit, sit_first
from gatewright.runtime.engine import Plan

_WORD, _STATUS = ir.IntType(64), ir.IntType(32)
_SEATS = native.SEATS

# The index of a part that stands for all parts.
EVERYONE = -1
# The numbers of a team, in rows of two cache lines: first the counters of `meet`, among them where
# the other rows begin. Those are the sets of `seats.py`, two and one for every thread, and after
# each of the latter the thread's state and job.
_STATE, _CODE, _DATA, _FAILED = range(4)
_IDLE, _BUSY, _ASLEEP, _STOP = range(4)
# How often a worker looks for its next job before it sleeps: about half a millisecond.
_LINGER = 20_000


@device
def _slot(team: Any, index: int) -> int:
    """Return where the row of a thread's state begins."""
    return team[BEGIN] + (3 + 2 * index) * ROW  # type: ignore[no-any-return]


@intrinsic
def _run_part(typing: Any, code: Any, data: Any, index: Any) -> Any:
    """Run one part, by the addresses of its code and arguments; return 0 for success."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shape = ir.FunctionType(_STATUS, [_WORD.as_pointer(), _WORD])
        place = builder.inttoptr(arguments[0], shape.as_pointer())
        frame = builder.inttoptr(arguments[1], _WORD.as_pointer())
        return builder.call(place, [frame, arguments[2]])

    return types.int32(types.int64, types.int64, types.int64), codegen


_run: Any = _run_part


@plain
def hand_out(code: int, data: int, index: int, threads: int, team: Any) -> Any:
    """Run one part or all, by the addresses of code and arguments; return how many failed."""
    if index != EVERYONE or threads == 1:
        return _run(code, data, max(index, 0))
    for thread in range(threads + 1):
        team[thread * LINE] = 0
    if _SEATS:
        sit_first(team)
    for index in range(1, threads):
        slot = _slot(team, index)
        team[slot + _CODE], team[slot + _DATA], team[slot + _FAILED] = code, data, 0
        if exchange(team, slot, _BUSY) == _ASLEEP:
            wake(team, slot)
    failed = _run(code, data, 0)
    for index in range(1, threads):
        slot = _slot(team, index)
        spins = 0
        while read(team, slot) == _BUSY:
            spins += 1
            if spins > SPINS:
                yield_processor()
        failed += team[slot + _FAILED]
    if _SEATS:
        leave(team)
    return failed


@plain
def _serve(team: Any, index: int) -> None:
    """Run the parts that are handed to a worker until it is told to stop."""
    slot = _slot(team, index)
    while True:
        spins = 0
        while read(team, slot) == _IDLE:
            pause()
            spins += 1
            if spins > _LINGER and replace(team, slot, _IDLE, _ASLEEP):
                while read(team, slot) == _ASLEEP:
                    sleep(team, slot, _ASLEEP)
        if read(team, slot) == _STOP:
            return
        if _SEATS:
            sit(team, index)
        team[slot + _FAILED] = _run(team[slot + _CODE], team[slot + _DATA], index)
        exchange(team, slot, _IDLE)


class Team:
    """So many threads: the calling one, and workers that end with `stop`."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._begin = (threads + 1) * LINE
        self._numbers = np.zeros(self._begin + (2 + 2 * threads) * ROW, np.int64)
        self._numbers[BEGIN] = self._begin
        self._workers = [
            threading.Thread(
                target=_serve, args=(self._numbers, index), daemon=True, name="gatewright"
            )
            for index in range(1, threads)
        ]
        for worker in self._workers:
            worker.start()

    def run(self, driver: Callable[..., Any], plan: Plan, arguments: Sequence[Any]) -> None:
        """Run all parts of a plan with at most this many threads.

        Raises MemoryError if a part failed: compiled code fails for nothing else.
        """
        driver((EVERYONE, plan.threads, int(plan.by_units), self._numbers), *arguments)

    def stop(self) -> None:
        """Let all workers end."""
        for index in range(1, self.threads):
            place = self._begin + (3 + 2 * index) * ROW + _STATE
            self._numbers[place] = _STOP
            native.wake_from_python(self._numbers, place)
        for worker in self._workers:
            worker.join()
