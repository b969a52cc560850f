"""Threads that run the parts of a sequence: a pool of the operating system's own.

`run(function, plan, arguments)` calls `function(part, *arguments)` once per part, the first in the
calling thread, and returns when all have returned. Compiled functions release the interpreter lock.

Why not Numba's parallel loops: the barrier inside a sequence needs every part on a thread of its
own at the same time, which none of Numba's threading layers promises; one of them is not safe to
call from two threads, another dies after a fork.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from gatewright.runtime.cpu.parts import Part, new_shared
from gatewright.runtime.cpu.seats import Seats
from gatewright.runtime.engine import Plan

Job = tuple[Callable[..., Any], Part, Sequence[Any], Seats]


class _Worker:
    """A thread that runs one job after the other."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.done = threading.Semaphore(0)
        self.error: BaseException | None = None
        threading.Thread(target=self._serve, daemon=True, name="gatewright").start()

    def _serve(self) -> None:
        while True:
            function, part, arguments, seats = self.jobs.get()
            try:
                seats.take()
                function(part, *arguments)
            except BaseException as error:  # handed to the caller of `run`
                self.error = error
            del function, part, arguments, seats
            self.done.release()

    def result(self) -> BaseException | None:
        self.done.acquire()
        error, self.error = self.error, None
        return error


class _Pool:
    """Workers, made when first needed; a run that finds them busy keeps to its own thread."""

    def __init__(self) -> None:
        self.free = threading.Lock()
        self.workers: list[_Worker] = []

    def run(self, function: Callable[..., Any], plan: Plan, arguments: Sequence[Any]) -> None:
        if plan.threads == 1 or not self.free.acquire(blocking=False):
            function((0, 1, int(plan.by_units), new_shared(1)), *arguments)
            return
        try:
            while len(self.workers) < plan.threads - 1:
                self.workers.append(_Worker())
            shared = new_shared(plan.threads)
            parts = [(i, plan.threads, int(plan.by_units), shared) for i in range(plan.threads)]
            called = self.workers[: plan.threads - 1]
            seats = Seats(plan.threads)
            for worker, part in zip(called, parts[1:], strict=True):
                worker.jobs.put((function, part, arguments, seats))
            try:
                function(parts[0], *arguments)
            finally:
                errors = [error for error in [worker.result() for worker in called] if error]
                seats.leave()
        finally:
            self.free.release()
        if errors:
            raise errors[0]


_pool = _Pool()


def _forget_pool() -> None:
    """Start anew in a forked child: threads do not survive a fork."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def run(function: Callable[..., Any], plan: Plan, arguments: Sequence[Any]) -> None:
    """Run every part of a plan; compile the function first, in the calling thread alone."""
    _pool.run(function, plan, arguments)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
