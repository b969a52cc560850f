"""Interleaving and numbers of runs, with a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest

from gatewright.cli.bench import SECONDS as PROMISED_SECONDS
from gatewright.studies import timing
from gatewright.studies.problem import Candidate, Outcome
from gatewright.studies.timing import LONG_RUNS, LONG_RUNS_OF_LOOPS, MOST_RUNS, ROUNDS, medians


class Clock:
    """Time that passes only while a candidate runs or waits."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, list[str]()

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def candidate(self, name: str, *seconds: float, loop: bool = False) -> Candidate:
        """Return a candidate whose runs take so long, the last number again and again."""
        left = list(seconds)

        def run() -> None:
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        def unread(found: Any) -> Outcome:
            raise AssertionError(f"{name} was read while timing")

        return Candidate(name, run, unread, loop)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_candidates_take_turns_and_another_is_first_each_time(clock: Clock) -> None:
    pair = [clock.candidate("a", 0.2), clock.candidate("b", 0.4)]
    found = medians(pair, seconds=0.0)
    assert [each.repetitions for each in found] == [ROUNDS, ROUNDS]
    assert [each.seconds for each in found] == pytest.approx([0.2, 0.4])
    estimates, turns = clock.order[:2], clock.order[2:]
    assert estimates == ["a", "b"]
    assert turns == ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]


def test_short_runs_fill_their_time_after_one_that_is_not_counted(clock: Clock) -> None:
    (found,) = medians([clock.candidate("a", 0.01)], seconds=0.3)
    assert found.repetitions == 30
    assert len(clock.order) == 1 + ROUNDS + 30
    (found,) = medians([clock.candidate("b", 1e-6)], seconds=60.0)
    assert found.repetitions == ROUNDS * MOST_RUNS


def test_long_runs_are_few_and_the_estimate_is_one_of_them(clock: Clock) -> None:
    pair = [clock.candidate("a", 5.0, 1.0, 2.0), clock.candidate("b", 3.0, 4.0, loop=True)]
    found = medians(pair, seconds=0.3)
    assert [each.repetitions for each in found] == [LONG_RUNS, LONG_RUNS_OF_LOOPS]
    assert [each.seconds for each in found] == pytest.approx([2.0, 3.5])
    assert sorted(clock.order) == ["a"] * LONG_RUNS + ["b"] * LONG_RUNS_OF_LOOPS


def test_a_run_is_cut_short_when_the_machine_becomes_busy(clock: Clock) -> None:
    (found,) = medians([clock.candidate("a", 0.001, 0.5)], seconds=0.3)
    assert found.repetitions == ROUNDS


def test_the_command_line_states_the_default_that_is_used() -> None:
    assert PROMISED_SECONDS == timing.SECONDS
