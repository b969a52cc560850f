"""Threads that compiled code hands its parts to: they sleep, wake, sit apart, fail and end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gatewright.runtime.cpu import native, seats, team
from gatewright.runtime.cpu.drivers import driver
from gatewright.runtime.cpu.parts import meet
from gatewright.runtime.cpu.team import Team
from gatewright.runtime.engine import Plan

needs_sleep = pytest.mark.skipif(not native.SLEEP, reason="compiled code cannot sleep here")
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
    return int(crew._numbers[crew._begin + (3 + 2 * index) * seats.ROW + team._STATE])


@needs_sleep
def test_all_parts_run_whether_workers_wait_or_sleep(crew: Team) -> None:
    for value in range(200):
        target = np.zeros(THREADS + 1)
        if value % 40 == 39:
            deadline = time.monotonic() + 60
            while {state(crew, 1), state(crew, 2)} != {team._ASLEEP}:
                assert time.monotonic() < deadline, "a worker without work spins for ever"
                time.sleep(0.001)
        crew.run(write, PLAN, (target, float(value)))
        assert list(target) == [value, value + 1, value + 2, 3 * value + 3]


@needs_sleep
def test_fewer_parts_than_threads_leave_the_others_asleep(crew: Team) -> None:
    target = np.zeros(THREADS + 1)
    crew.run(write, Plan(2, True, 1, ""), (target, 5.0))
    assert list(target) == [5, 6, 11, 0]


@needs_sleep
@pytest.mark.parametrize("failing", range(THREADS))
def test_a_part_that_fails_is_told_and_the_team_lives_on(crew: Team, failing: int) -> None:
    with pytest.raises(MemoryError, match="a part of this run"):
        crew.run(fail, PLAN, (failing,))
    crew.run(fail, PLAN, (-1,))


@needs_sleep
def test_a_run_keeps_no_reference_to_its_arrays(crew: Team) -> None:
    target = np.zeros(THREADS + 1)
    before = sys.getrefcount(target)
    for _ in range(10):
        crew.run(write, PLAN, (target, 1.0))
    assert sys.getrefcount(target) == before


@needs_sleep
def test_stopped_workers_end(crew: Team) -> None:
    crew.run(write, PLAN, (np.zeros(THREADS + 1), 0.0))
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


def numbers_of_a_team() -> Any:
    found = Team(1)
    return np.concatenate([found._numbers, np.zeros(2 * seats.ROW, np.int64)])


@needs_seats
def test_a_thread_that_meets_another_moves(everywhere: set[int]) -> None:
    numbers = numbers_of_a_team()
    seats.sit_first(numbers)
    (seat,) = os.sched_getaffinity(0)
    found = []

    def work() -> None:
        os.sched_setaffinity(0, {seat})  # where the system woke it
        seats.sit(numbers, 1)
        found.append(os.sched_getaffinity(0))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found == [everywhere - {seat}]


@needs_seats
def test_a_thread_with_a_processor_of_its_own_stays(everywhere: set[int]) -> None:
    numbers = numbers_of_a_team()
    seats.sit_first(numbers)
    (seat,) = os.sched_getaffinity(0)
    other = min(everywhere - {seat})
    os.sched_setaffinity(0, {other})
    seats.sit(numbers, 1)
    assert os.sched_getaffinity(0) == {other}


@needs_seats
def test_the_caller_of_a_run_may_go_anywhere_again(crew: Team, everywhere: set[int]) -> None:
    crew.run(write, PLAN, (np.zeros(THREADS + 1), 0.0))
    assert os.sched_getaffinity(0) == everywhere


# A processor and a system that nothing is known of: Python hands out the parts.
ELSEWHERE = """
import platform, sys
import numba
platform.machine = lambda: "mystery"
import numpy as np
import gatewright
from gatewright.runtime.cpu import native
assert not native.SLEEP and not native.SEATS
loaded = gatewright.load("elman")
parameters = loaded.init(input=40, hidden=200, seed=1)
x = np.random.default_rng(0).standard_normal((30, 60, 40)).astype("float32")
found = []
for threads in (1, 3):
    kernels = loaded.compile(threads=threads)
    run = kernels.forward(parameters, x)
    gradients = kernels.backward(run, np.ones_like(run.y))
    found.append([run.y, *gradients.parameters.values()])
print(all(np.array_equal(a, b) for a, b in zip(*found)))
"""


def test_other_systems_run_all_parts_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "GATEWRIGHT_CACHE": "off"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


# The main thread ends while another, which nobody waits for, runs one sequence after the other.
ENDING = """
import threading, time
import numpy as np
import gatewright
loaded = gatewright.load("elman")
parameters = loaded.init(input=40, hidden=200, seed=1)
kernels = loaded.compile(threads=3)
x = np.zeros((200, 60, 40), "float32")
kernels.forward(parameters, x)
def work():
    while True:
        kernels.forward(parameters, x)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
print("ending")
"""


@pytest.mark.parametrize("attempt", range(3))
def test_a_process_may_end_in_the_middle_of_a_run(attempt: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ending\n"), done.stderr
