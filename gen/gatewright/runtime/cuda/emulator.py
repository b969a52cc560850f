"""Kernel, grid, arrays -> the arrays as a device would leave them, or EmulationError.

All blocks are resident and every thread is a generator that pauses where it waits for others, so
grid barriers, warp operations and shared memory work as on a device. Which thread goes on is drawn
from a seed, or first or last come first. Found out are: leaving an array, unaligned vectors, shared
memory that nobody wrote, two threads at one place without a barrier between them, a barrier that
only some threads reach, and threads that wait for each other for ever.

Why not the simulator of Numba: it runs blocks one after another, which makes a grid barrier wrong
without a word, knows no warps, and looks for none of these faults.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewright.runtime.cuda.emulator_memory import (
    Accesses,
    Actor,
    Array,
    EmulationError,
    Pointer,
    SharedMemory,
)

WARP = 32
ORDERS = ("first", "last", "random")
Size = tuple[int, int]


@dataclass(frozen=True)
class Buffer:
    """An argument of an emulated kernel: a flat view of memory, rows `pitch` elements apart."""

    flat: Array
    width: int
    pitch: int


@dataclass(frozen=True)
class Meeting:
    """A request of a thread: wait at `site` for its block, or its warp.

    `combine` makes an answer for each thread of their values.
    """

    site: str
    of_warp: bool = False
    value: Any = None
    combine: Callable[[list[Any]], list[Any]] | None = None


@dataclass(frozen=True)
class Patience:
    """A request of a thread: wait until a counter has reached a value."""

    site: str
    counter: Pointer
    index: int
    value: int

    @property
    def address(self) -> int:
        """Where the counter is."""
        return self.counter.base + self.index * self.counter.size

    @property
    def over(self) -> bool:
        """Whether the counter has reached the value."""
        return bool(self.counter.flat[self.index] >= self.value)


class Thread:
    """One thread: its block, its number there, and where it is."""

    def __init__(self, block: int, number: int, body: Generator[Any, Any, None]) -> None:
        self.block = block
        self.number = number
        self.body = body
        self.answer: Any = None
        self.site = ""


class Machine:
    """A grid of blocks that runs one kernel once."""

    def __init__(
        self, grid: Size, block: Size, shared: int = 0, order: str = "first", seed: int = 0
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}; got {order!r}")
        self.grid, self.block = grid, block
        self.order = order
        self.random = random.Random(seed)
        self.blocks = grid[0] * grid[1]
        self.threads_of_block = block[0] * block[1]
        self.actor = Actor(self.blocks)
        self.known = Accesses(self.actor)
        self.shared = [SharedMemory(shared, Accesses(self.actor)) for _ in range(self.blocks)]
        self.told: dict[int, list[int]] = {}
        # Copies of each thread that are begun and not waited for.
        self.begun: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        self.patient: list[tuple[Thread, Patience]] = []
        self.meetings: dict[tuple[int, int | None], list[tuple[Thread, Meeting]]] = {}

    def run(
        self, function: Callable[..., Any], names: Sequence[str], arguments: Sequence[Any]
    ) -> None:
        """Run a kernel on Buffers and numbers. Raises EmulationError, with the thread."""
        given = [
            Pointer(value.flat, name, value.width, value.pitch, self.known)
            if isinstance(value, Buffer)
            else value
            for name, value in zip(names, arguments, strict=True)
        ]
        with _current(self), np.errstate(all="ignore"):
            self._play(list(self._begun(function, given)))

    def _begun(self, function: Callable[..., Any], given: Sequence[Any]) -> Iterator[Thread]:
        """Yield all threads that wait for others; of a kernel that never waits, all have run."""
        for block in range(self.blocks):
            for number in range(self.threads_of_block):
                self.actor.block, self.actor.thread = block, number
                body = function(*given)
                if body is not None:
                    yield Thread(block, number, body)

    def _play(self, ready: list[Thread]) -> None:
        while ready:
            thread = self._chosen(ready)
            self.actor.block, self.actor.thread = thread.block, thread.number
            try:
                request = thread.body.send(thread.answer)
            except StopIteration:
                request = None
            thread.answer = None
            if isinstance(request, Patience):
                thread.site = request.site
                self.patient.append((thread, request))
            elif request is not None:
                thread.site = request.site
                ready += self._met(thread, request)
            ready += self._patience_over()
        if left := [thread for thread, _ in self.patient] + [
            thread for waiting in self.meetings.values() for thread, _ in waiting
        ]:
            raise EmulationError(
                f"deadlock: {len(left)} threads wait for ever, the first is block {left[0].block} "
                f"thread {left[0].number} at {left[0].site}"
            )

    def _chosen(self, ready: list[Thread]) -> Thread:
        at = {"first": 0, "last": -1}.get(self.order)
        return ready.pop(self.random.randrange(len(ready)) if at is None else at)

    def _patience_over(self) -> list[Thread]:
        """Return the threads whose counter has reached what they wait for."""
        over = [(thread, request) for thread, request in self.patient if request.over]
        for thread, request in over:
            self.patient.remove((thread, request))
            self.actor.block = thread.block
            self.actor.acquire(self.told.get(request.address, [0] * self.blocks))
        return [thread for thread, _ in over]

    def _met(self, thread: Thread, meeting: Meeting) -> list[Thread]:
        """Add a thread to its meeting; return all of it, with answers, if none is missing."""
        warp = thread.number // WARP if meeting.of_warp else None
        waiting = self.meetings.setdefault((thread.block, warp), [])
        if waiting and waiting[0][1].site != meeting.site:
            other, there = waiting[0]
            raise EmulationError(
                f"divergence in block {thread.block}: thread {other.number} waits at {there.site}, "
                f"thread {thread.number} at {meeting.site}"
            )
        waiting.append((thread, meeting))
        size = min(WARP, self.threads_of_block) if meeting.of_warp else self.threads_of_block
        if len(waiting) < size:
            return []
        del self.meetings[thread.block, warp]
        waiting.sort(key=lambda pair: pair[0].number)
        if meeting.combine is None:
            self.actor.synchronised(thread.block)
        else:
            answers = meeting.combine([each.value for _, each in waiting])
            for (each, _), answer in zip(waiting, answers, strict=True):
                each.answer = answer
        return [each for each, _ in waiting]


_machines: list[Machine] = []


def machine() -> Machine:
    """Return the machine whose kernel runs now."""
    if not _machines:
        raise EmulationError("this is part of a kernel: only a launch runs it")
    return _machines[-1]


@contextmanager
def _current(running: Machine) -> Iterator[None]:
    """Make a machine the one whose kernel runs now."""
    _machines.append(running)
    try:
        yield
    finally:
        _machines.pop()
