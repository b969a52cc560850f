"""Candidates -> Timings: medians of interleaved runs, in a time that can be foreseen.

Every candidate has run once before, to be compared and compiled. It is run once more for an
estimate. Then runs come in five rounds: in a round every candidate has its turn, another one first
each time; a turn is a pause, one run that is not counted where runs are short, and then as many
timed runs as a fifth of its `seconds` allows, at least one and at most a hundred.

A candidate whose run takes longer than a second gets three runs, of which the estimate is the
first, and an eager loop two. That is meant to keep the full grid of one cell, 64 points with every
peer, near ten minutes on four quiet cores; compiling, of ours and of JAX, comes on top and is never
in a timed run. How many runs a median is of is kept in the result.

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

SECONDS = 0.3
ROUNDS = 5
LONG_SECONDS = 1.0
# Runs of a candidate that takes longer than that for one, and of a loop that does.
LONG_RUNS, LONG_RUNS_OF_LOOPS = 3, 2
MOST_RUNS = 100
PAUSE = 0.06


@dataclass(frozen=True)
class Timing:
    """The median of some runs, in seconds."""

    seconds: float
    repetitions: int


@dataclass(frozen=True)
class _Plan:
    """How a candidate is timed: in how many rounds, and for how many runs and seconds in each.

    `counted` is the estimate where it is one of the runs.
    """

    candidate: Candidate
    rounds: int
    runs: int
    seconds: float
    counted: tuple[float, ...] = ()


def medians(
    candidates: Sequence[Candidate], seconds: float = SECONDS, pause: float = PAUSE
) -> list[Timing]:
    """Return the median time of each candidate, each of which has run before.

    Every candidate runs at least five times, or as often as the head of this module says if a run
    is long, and at most about `seconds` if that is longer.
    """
    plans = []
    for candidate in candidates:
        time.sleep(pause)
        plans.append(_plan(candidate, _timed(candidate.run), seconds))
    found = [list(plan.counted) for plan in plans]
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
    if estimate > LONG_SECONDS:
        wanted = LONG_RUNS_OF_LOOPS if candidate.loop else LONG_RUNS
        return _Plan(candidate, wanted - 1, 1, seconds, (estimate,))
    share = seconds / ROUNDS
    runs = max(1, min(MOST_RUNS, int(share / max(estimate, 1e-9))))
    return _Plan(candidate, ROUNDS, runs, share)


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
