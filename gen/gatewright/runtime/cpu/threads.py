"""Threads that run the parts of a sequence: a pool of the operating system's own.

`run(function, plan, arguments)` runs `function(part, *arguments)` once per part, the first in the
calling thread, and returns when all have returned. Compiled functions release the interpreter lock,
and where the system lets compiled code sleep and be woken, they hand out their parts themselves
(`team.py`).

Why not Numba's parallel loops: the barrier inside a sequence needs every part on a thread of its
own at the same time, which none of Numba's threading layers promises; one of them is not safe to
call from two threads, another dies after a fork.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from gatewright.runtime.cpu import native
from gatewright.runtime.cpu.parts import Part, new_shared
from gatewright.runtime.cpu.routine import Routine
from gatewright.runtime.cpu.team import Team
from gatewright.runtime.engine import Plan

Job = tuple[Callable[..., Any], Part, Sequence[Any]]
# Whether compiled code can hand out its parts itself; a test may say that it cannot.
TEAMS = native.SLEEP


class _Worker:
    """A thread that runs one job after the other, called by Python."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.done = threading.Semaphore(0)
        self.error: BaseException | None = None
        threading.Thread(target=self._serve, daemon=True, name="gatewright").start()

    def _serve(self) -> None:
        while True:
            function, part, arguments = self.jobs.get()
            try:
                function(part, *arguments)
            except BaseException as error:  # handed to the caller of `run`
                self.error = error
            del function, part, arguments
            self.done.release()

    def result(self) -> BaseException | None:
        self.done.acquire()
        error, self.error = self.error, None
        return error


class _Pool:
    """Threads, made when first needed; a run that finds them busy keeps to its own thread."""

    def __init__(self) -> None:
        self.free = threading.Lock()
        self.workers: list[_Worker] = []
        self.team: Team | None = None

    def run(self, function: Callable[..., Any], plan: Plan, arguments: Sequence[Any]) -> None:
        if plan.threads == 1 or not self.free.acquire(blocking=False):
            function((0, 1, int(plan.by_units), new_shared(1)), *arguments)
            return
        try:
            if TEAMS and isinstance(function, Routine):
                self._team(plan.threads).run(function, plan, arguments)
            else:
                self._run(function, plan, arguments)
        finally:
            self.free.release()

    def _team(self, threads: int) -> Team:
        """Return a team of at least so many threads."""
        if self.team is None or self.team.threads < threads:
            self.stop()
            self.team = Team(threads)
        return self.team

    def stop(self) -> None:
        """Let the threads of the team end."""
        team, self.team = self.team, None
        if team is not None:
            team.stop()

    def _run(self, function: Callable[..., Any], plan: Plan, arguments: Sequence[Any]) -> None:
        while len(self.workers) < plan.threads - 1:
            self.workers.append(_Worker())
        shared = new_shared(plan.threads)
        parts = [(i, plan.threads, int(plan.by_units), shared) for i in range(plan.threads)]
        called = self.workers[: plan.threads - 1]
        for worker, part in zip(called, parts[1:], strict=True):
            worker.jobs.put((function, part, arguments))
        try:
            function(parts[0], *arguments)
        finally:
            errors = [error for error in [worker.result() for worker in called] if error]
        if errors:
            raise errors[0]


_pool = _Pool()


def _forget_pool() -> None:
    """Start anew in a forked child: threads do not survive a fork."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _stop_at_exit() -> None:
    """Let the team end, unless a thread that Python does not wait for is in the middle of a run."""
    if _pool.free.acquire(timeout=1.0):
        _pool.stop()


# A thread that still ran compiled code while Python tears itself down might run what is gone.
atexit.register(_stop_at_exit)


def run(function: Callable[..., Any], plan: Plan, arguments: Sequence[Any]) -> None:
    """Run every part of a plan; compile the function first, in the calling thread alone."""
    _pool.run(function, plan, arguments)
