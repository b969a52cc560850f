"""Job -> Row, in a process of its own for each number of threads.

The process is started in `environment`, as most libraries read their number of threads from the
environment once, when they load. Then `peak` and `measure` are called in it. A point at which other
processes were busy, or the machine slower than its peak, is measured again, once, and the quieter
attempt is kept.

Why the machine's speed is looked at too: the host of a virtual machine now and then lets two of its
processors take turns on one core, for seconds or minutes, and no counter of the guest shows it.

Why the environment is that of the parent: a script that imports NumPy at its top would load it in
the new process before any code of ours could run there.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from gatewright.studies.jobs import Job
from gatewright.studies.machine import Watch
from gatewright.studies.report import QUIET_PERCENT, Comparison, Peak, Row, rounded

if TYPE_CHECKING:
    from gatewright.runtime.cpu.peak import LargeProduct
    from gatewright.studies.agreement import Agreement
    from gatewright.studies.problem import Candidate
    from gatewright.studies.timing import Timing

# OpenMP, MKL, OpenBLAS, Apple's Accelerate, Numba and ours; NPROC is XLA's.
VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "GATEWRIGHT_THREADS",
    "NPROC",
)
ATTEMPTS, WAIT_SECONDS = 2, 2.0
PEAK_ATTEMPTS = 4
# How much slower than at its peak our product may be just before or after a point: more than
# medians of few runs differ on a quiet machine, and less than what a shared core costs.
SLOWER_PERCENT = 20.0


@contextmanager
def environment(threads: int) -> Iterator[None]:
    """Tell libraries of new processes how many threads they may use, and JAX to stay on the CPU."""
    wanted = {**dict.fromkeys(VARIABLES, str(threads)), "JAX_PLATFORMS": "cpu"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def peak(threads: int) -> Peak:
    """Measure the speed of our own tiles in single precision, again while others are busy.

    The highest counts: a peak that others lowered would make every percentage look better.
    """
    from gatewright.runtime import cpu

    found = []
    for _ in range(PEAK_ATTEMPTS):
        watch = Watch()
        found.append(cpu.peak("float32", threads))
        if (watch.others_percent() or 0.0) <= QUIET_PERCENT:
            break
    return Peak(threads, rounded(max(found) / 1e9), "our own packed product")


def measure(job: Job, peers: Sequence[str], seconds: float) -> Row:
    """Measure our kernels and the peers' at one point."""
    from gatewright.studies import ours
    from gatewright.studies.problem import draw

    problem = draw(job.subject.load(), job.size)
    own = ours.candidate(job.subject, problem, job.task, job.threads)
    others: list[Candidate] = []
    for peer in peers:
        others += _peer(peer).candidates(problem, job.task, job.threads)
    found: list[Row] = []
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(WAIT_SECONDS)
        watch, slower = Watch(), slower_percent(job.threads)
        row = compare(job, own, others, seconds)
        slower = max(slower, slower_percent(job.threads))
        busy = taken_percent(watch.others_percent(), slower)
        found.append(dataclasses.replace(row, others_percent=busy))
        if busy is None or busy <= QUIET_PERCENT:
            break
    return min(found, key=lambda each: each.others_percent or 0.0)


@cache
def _product(threads: int) -> LargeProduct:
    from gatewright.runtime.cpu.peak import LargeProduct

    large = LargeProduct("float32", threads)
    large.speed()
    return large


def slower_percent(threads: int) -> float:
    """Return how much slower our product is now than the peak that was measured."""
    return max(0.0, 100.0 - _product(threads).speed() / peak(threads).gflops / 1e7)


def taken_percent(busy: float | None, slower: float) -> float | None:
    """Return what others took: what they used, or what the machine lost if that is too much."""
    return rounded(max(slower, busy or 0.0), 3) if slower > SLOWER_PERCENT else busy


def _peer(name: str) -> Any:
    """Return the module of a peer, which imports its library."""
    match name:
        case "torch":
            from gatewright.studies import peers_torch

            return peers_torch
        case "jax":
            from gatewright.studies import peers_jax

            return peers_jax
        case _:
            from gatewright.studies import peers_onnxruntime

            return peers_onnxruntime


def compare(job: Job, own: Candidate, others: Sequence[Candidate], seconds: float) -> Row:
    """Check that all candidates agree with ours, then time ours and those that do."""
    from gatewright.studies.agreement import agreement
    from gatewright.studies.timing import medians

    expected = own.read(own.run())
    checked = [(other, agreement(expected, other.read(other.run()))) for other in others]
    del expected
    timed = [own, *(other for other, found in checked if found.agrees)]
    timings = dict(zip((each.name for each in timed), medians(timed, seconds), strict=True))
    mine, size = timings[own.name], job.size
    us_per_step = _us_per_step(mine, job)
    speed = job.operations(job.subject.load().cell) / mine.seconds / 1e9
    return Row(
        cell=job.subject.load().cell.identifier,
        kernels=job.subject.digest(),
        task=job.task,
        threads=job.threads,
        B=size.B,
        H=size.H,
        T=size.T,
        us_per_step=us_per_step,
        percent_of_peak=rounded(100.0 * speed / peak(job.threads).gflops, 3),
        repetitions=mine.repetitions,
        others_percent=None,
        peers=tuple(
            _comparison(other.name, found, timings.get(other.name), job, us_per_step)
            for other, found in checked
        ),
    )


def _us_per_step(timing: Timing, job: Job) -> float:
    return rounded(timing.seconds * 1e6 / job.size.T)


def _comparison(
    name: str, found: Agreement, timing: Timing | None, job: Job, ours: float
) -> Comparison:
    error = None if found.error is None else rounded(found.error, 1)
    if timing is None:
        return Comparison(name, False, error, found.where, None, None, 0)
    theirs = _us_per_step(timing, job)
    return Comparison(name, True, error, "", theirs, rounded(theirs / ours), timing.repetitions)
