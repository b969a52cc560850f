"""The threads of a run -> processors: each thread takes one that no other thread of the run is on.

An operating system likes to wake a thread on the processor of the one that woke it, which is about
to wait, it thinks. Ours is not: it works on its own part, and two threads that share a processor
take turns at every barrier of every step, while other processors idle.

Why only where two have met, and the caller only until all have begun: a thread that was given a
processor for good would stay on it when another program wants that one.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

_sched_getcpu: Any = (
    getattr(ctypes.CDLL(None), "sched_getcpu", None) if os.name == "posix" else None
)
KNOWN = _sched_getcpu is not None and hasattr(os, "sched_setaffinity")


def current() -> int:
    """Return the processor that the calling thread is on, where it is `KNOWN`."""
    return int(_sched_getcpu())


class Seats:
    """The processors that the threads of one run have taken so far; made by the calling thread.

    Threads of Python take their seats one after the other, as they hold the interpreter lock.
    """

    def __init__(self, threads: int) -> None:
        self._awaited = threads - 1
        self._caller = threading.get_native_id()
        self._taken: set[int] = set()
        self._allowed: set[int] = set()
        if KNOWN:
            self._allowed = os.sched_getaffinity(0)
            self._sit(0, {current()})

    def take(self) -> None:
        """Take the processor that the calling thread is on; if another thread has it, move."""
        if not KNOWN:
            return
        seat = current()
        free = self._allowed - self._taken
        if seat in self._taken and free:
            self._sit(0, free)
        else:
            self._taken.add(seat)
        self._awaited -= 1
        if not self._awaited:
            self.leave()

    def leave(self) -> None:
        """Let the calling thread of the run go where it may go."""
        if self._allowed:
            self._sit(self._caller, self._allowed, taken=False)

    def _sit(self, thread: int, processors: set[int], taken: bool = True) -> None:
        try:
            os.sched_setaffinity(thread, processors)
        except OSError:  # a system that forbids it places threads itself
            return
        if taken:
            self._taken.add(current())
