"""Tasks -> their rows, each from a process that may hang or die without the others.

A task runs in a process of its own kind, which goes on to the next one as long as it is healthy;
else another is started. After a deadline the tasks that are left are not begun.

Why: what a kernel does to memory that is not its own stays with its process, blocks that wait for
each other wait forever, and somebody who has a GPU for ten minutes wants the other rows.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol

LOST, LEFT, LATE = "fail", "not run", "there was no time left"


class Task(Protocol):
    """Something to do, that can be pickled."""

    def run(self) -> Any:
        """Return a row of results."""

    def lost(self, verdict: str, why: str) -> Any:
        """Return the row of a task that has none of its own: `fail` or `not run`."""


def at_once(tasks: Iterable[Task], until: float = float("inf")) -> Iterator[Any]:
    """Yield the rows of tasks that run in this process; none is begun after `until`."""
    for task in tasks:
        yield task.lost(LEFT, LATE) if time.monotonic() >= until else task.run()


def attended(
    tasks: Iterable[Task],
    healthy: Callable[[], bool],
    seconds: float,
    until: float = float("inf"),
) -> Iterator[Any]:
    """Yield the rows of tasks, none of which may take longer than so many seconds.

    `healthy` tells a process whether it can go on after a task. At `until`, a time of
    `time.monotonic`, the one that runs is ended, and none is begun after it.
    """
    worker: _Worker | None = None
    try:
        for task in tasks:
            if time.monotonic() >= until:
                yield task.lost(LEFT, LATE)
                continue
            worker = worker or _Worker(healthy)
            row, goes_on = worker.row(task, seconds, until - time.monotonic())
            if not goes_on:
                worker.stop()
                worker = None
            yield row
    finally:
        if worker is not None:
            worker.stop()


class _Worker:
    """A process that runs tasks."""

    def __init__(self, healthy: Callable[[], bool]) -> None:
        # What has touched a GPU cannot be forked.
        processes = multiprocessing.get_context("spawn")
        self.connection, there = processes.Pipe()
        # Not a daemon, as what compiles models starts processes too.
        self.process = processes.Process(target=_serve, args=(there, healthy))
        self.process.start()
        there.close()

    def row(self, task: Task, seconds: float, left: float) -> tuple[Any, bool]:
        """Return the row of a task, and whether the process can go on."""
        try:
            self.connection.send(task)
            if not self.connection.poll(max(0.0, min(seconds, left))):
                if left < seconds:
                    return task.lost(LEFT, LATE), False
                return task.lost(LOST, f"no end after {seconds:.0f} seconds"), False
            row, goes_on = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(10)
            why = f"its process ended with exit code {self.process.exitcode}"
            return task.lost(LOST, why), False
        return row, goes_on

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self.process.kill()
        self.process.join(10)


def _serve(connection: Connection, healthy: Callable[[], bool]) -> None:
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                row = task.run()
            except Exception as error:
                row = task.lost(LOST, f"{type(error).__name__}: {error}".splitlines()[0])
            connection.send((row, healthy()))
