"""Threads that compiled code hands its parts to: they sleep, wake, sit apart, fail and end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gatewright.runtime.cpu import native, team
from gatewright.runtime.cpu.compiled import driver
from gatewright.runtime.cpu.parts import meet, new_shared
from gatewright.runtime.cpu.team import Team
from gatewright.runtime.engine import Plan

pytestmark = pytest.mark.skipif(not native.SLEEP, reason="compiled code cannot sleep here")
THREADS = 3
PLAN = Plan(THREADS, True, 1, "")


@driver
def write(part: Any, target: Any, value: Any) -> None:
    """Write a value where each part belongs, and only then the sum of all."""
    target[part[0]] = value + part[0]
    meet(part)
    if part[0] == part[1] - 1:
        target[part[1]] = target[: part[1]].sum()


@driver
def fail(part: Any, failing: Any) -> None:
    """Fail in one part."""
    if part[0] == failing:
        raise ValueError("seeded")


@pytest.fixture
def crew() -> Iterator[Team]:
    found = Team(THREADS)
    yield found
    found.stop()


def state(crew: Team, index: int) -> int:
    return int(crew._numbers[team._FIRST + (2 * index + 1) * team._ROW + team._STATE])


def test_all_parts_run_whether_workers_wait_or_sleep(crew: Team) -> None:
    for value in range(200):
        target = np.zeros(THREADS + 1)
        if value % 40 == 39:
            deadline = time.monotonic() + 60
            while {state(crew, 1), state(crew, 2)} != {team._ASLEEP}:
                assert time.monotonic() < deadline, "a worker without work spins for ever"
                time.sleep(0.001)
        crew.run(write, PLAN, new_shared(THREADS), (target, float(value)))
        assert list(target) == [value, value + 1, value + 2, 3 * value + 3]


def test_fewer_parts_than_threads_leave_the_others_asleep(crew: Team) -> None:
    target = np.zeros(THREADS + 1)
    crew.run(write, Plan(2, True, 1, ""), new_shared(2), (target, 5.0))
    assert list(target) == [5, 6, 11, 0]


@pytest.mark.parametrize("failing", range(THREADS))
def test_a_part_that_fails_is_told_and_the_team_lives_on(crew: Team, failing: int) -> None:
    with pytest.raises(MemoryError, match="a thread of this run"):
        crew.run(fail, PLAN, new_shared(THREADS), (failing,))
    crew.run(fail, PLAN, new_shared(THREADS), (-1,))


def test_a_run_keeps_no_reference_to_its_arrays(crew: Team) -> None:
    target = np.zeros(THREADS + 1)
    before = sys.getrefcount(target)
    for _ in range(10):
        crew.run(write, PLAN, new_shared(THREADS), (target, 1.0))
    assert sys.getrefcount(target) == before


def test_stopped_workers_end(crew: Team) -> None:
    crew.run(write, PLAN, new_shared(THREADS), (np.zeros(THREADS + 1), 0.0))
    workers = crew._workers
    crew.stop()
    assert not any(worker.is_alive() for worker in workers)


needs_seats = pytest.mark.skipif(
    not native.SEATS or len(os.sched_getaffinity(0)) < 2, reason="one processor, or none is told"
)


@pytest.fixture
def everywhere() -> Iterator[set[int]]:
    allowed = os.sched_getaffinity(0)
    yield allowed
    os.sched_setaffinity(0, allowed)


@needs_seats
def test_a_thread_that_meets_another_moves(everywhere: set[int]) -> None:
    numbers = np.zeros(team._FIRST + 4 * team._ROW, np.int64)
    team._sit_first(numbers)
    (seat,) = os.sched_getaffinity(0)
    found = []

    def work() -> None:
        os.sched_setaffinity(0, {seat})  # where the system woke it
        team._sit(numbers, 1)
        found.append(os.sched_getaffinity(0))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found == [everywhere - {seat}]


@needs_seats
def test_a_thread_with_a_processor_of_its_own_stays(everywhere: set[int]) -> None:
    numbers = np.zeros(team._FIRST + 4 * team._ROW, np.int64)
    team._sit_first(numbers)
    (seat,) = os.sched_getaffinity(0)
    other = min(everywhere - {seat})
    os.sched_setaffinity(0, {other})
    team._sit(numbers, 1)
    assert os.sched_getaffinity(0) == {other}


@needs_seats
def test_the_caller_of_a_run_may_go_anywhere_again(crew: Team, everywhere: set[int]) -> None:
    crew.run(write, PLAN, new_shared(THREADS), (np.zeros(THREADS + 1), 0.0))
    assert os.sched_getaffinity(0) == everywhere
