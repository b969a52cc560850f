"""Candidates -> Timings: medians of interleaved runs.

Runs come in rounds. In a round every candidate has its turn, another one first each time; a turn is
a pause, one run that is not counted where runs are short, and then as many timed runs as its share
of the time allows.

Why the pause: threads of OpenMP and of other pools spin for a while after their work, and the next
candidate would pay for it. Why the uncounted run: caches are cold and threads asleep after a pause.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatewright.studies.problem import Candidate

ROUNDS = 5
# A loop that needs longer than this for one run is run this many times instead.
LONG_SECONDS, ROUNDS_OF_LONG_LOOPS = 1.0, 3
MOST_RUNS = 100
PAUSE = 0.06


@dataclass(frozen=True)
class Timing:
    """The median of some runs, in seconds."""

    seconds: float
    repetitions: int


@dataclass(frozen=True)
class _Plan:
    candidate: Candidate
    rounds: int
    runs: int
    seconds: float


def medians(
    candidates: Sequence[Candidate], seconds: float = 0.5, pause: float = PAUSE
) -> list[Timing]:
    """Return the median time of each candidate, each of which has run before.

    Every candidate runs at least five times (a long loop three times) and at most about `seconds`
    if that is longer.
    """
    plans = []
    for candidate in candidates:
        time.sleep(pause)
        plans.append(_plan(candidate, _timed(candidate.run), seconds))
    found: list[list[float]] = [[] for _ in plans]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(ROUNDS):
            for offset in range(len(plans)):
                index = (turn + offset) % len(plans)
                if turn < plans[index].rounds:
                    found[index] += _turn(plans[index], pause)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return [Timing(statistics.median(times), len(times)) for times in found]


def _plan(candidate: Candidate, estimate: float, seconds: float) -> _Plan:
    long = candidate.loop and estimate > LONG_SECONDS
    rounds = ROUNDS_OF_LONG_LOOPS if long else ROUNDS
    runs = int(seconds / rounds / max(estimate, 1e-9))
    return _Plan(candidate, rounds, max(1, min(MOST_RUNS, runs)), seconds / rounds)


def _turn(plan: _Plan, pause: float) -> list[float]:
    time.sleep(pause)
    run = plan.candidate.run
    if plan.runs > 1:
        run()
    times = [_timed(run)]
    # On a machine that is suddenly busy, runs take longer than the estimate said.
    while len(times) < plan.runs and sum(times) < 2 * plan.seconds:
        times.append(_timed(run))
    return times


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    found = run()
    taken = time.perf_counter() - start
    del found  # not while the clock runs
    return taken
