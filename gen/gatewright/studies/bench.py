"""Jobs -> Report: our kernels beside the libraries', the same inputs, agreement checked first.

A run can begin with the report of an earlier one: points that are in it are not measured again,
unless other processes disturbed them. After every point the report so far is handed out.

Why one process per number of threads: OpenBLAS, OpenMP and XLA settle theirs once, when they load.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from gatewright.runtime.errors import BackendMissingError
from gatewright.studies import machine, process, timing
from gatewright.studies.agreement import GRADIENT_TOLERANCE, OUTPUT_TOLERANCE
from gatewright.studies.jobs import Job
from gatewright.studies.merge import merge, require_same_kernels
from gatewright.studies.report import QUIET_PERCENT, Peak, Report, Row

# What each peer imports, and what brings it.
PEERS: dict[str, tuple[tuple[str, ...], str]] = {
    "torch": (("torch",), "gatewright[torch]"),
    "jax": (("jax",), "gatewright[jax]"),
    "onnxruntime": (("onnx", "onnxruntime"), "gatewright[onnx]"),
}


def present(wanted: Sequence[str] = ()) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the peers to compare with, and a sentence for each that is not there.

    Raises BackendMissingError for one that was asked for by name.
    """
    found, notes = [], []
    for name in (each for each in PEERS if each in wanted or not wanted):
        modules, requirement = PEERS[name]
        missing = [each for each in modules if importlib.util.find_spec(each) is None]
        if not missing:
            found.append(name)
            continue
        how = f"{' and '.join(missing)} is not installed: pip install '{requirement}'"
        if wanted:
            raise BackendMissingError(f"cannot compare with {name}: {how}")
        notes.append(f"no comparison with {name}: {how}")
    return tuple(found), tuple(notes)


def begin(
    jobs: Sequence[Job],
    peers: Sequence[str],
    seconds: float = timing.SECONDS,
    notes: Sequence[str] = (),
    earlier: Report | None = None,
) -> tuple[Report, list[Job]]:
    """Return the report that a run starts from, and the jobs that it still has to do.

    Raises MergeError if the earlier report is of another machine, or was made in another way, or
    if one of its cells was another one.
    """
    start = Report(machine.describe(), protocol(peers, seconds), tuple(notes), (), ())
    if earlier is None:
        return start, list(jobs)
    for subject in dict.fromkeys(job.subject for job in jobs):
        require_same_kernels(earlier, subject.load().cell.identifier, subject.digest())
    done = {row.key for row in earlier.rows if not row.disturbed}
    return merge([earlier, start]), [job for job in jobs if job.key not in done]


def bench(
    start: Report,
    jobs: Sequence[Job],
    peers: Sequence[str],
    seconds: float = timing.SECONDS,
    done: Callable[[Report], object] = lambda report: None,
) -> Report:
    """Measure jobs, add them to a report, and call `done` with the report after each.

    `seconds` is for each candidate of a job. Raises MergeError if the machine is not as fast as
    the report says, BrokenProcessPool if the system ends the process that measures.
    """
    report = start
    context = multiprocessing.get_context("spawn")

    def add(peaks: tuple[Peak, ...], rows: tuple[Row, ...]) -> Report:
        return merge([report, Report(start.machine, start.protocol, (), peaks, rows)])

    for threads in dict.fromkeys(job.threads for job in jobs):
        with process.environment(threads), ProcessPoolExecutor(1, context) as pool:
            peak = pool.submit(process.peak, threads).result()
            report = add((peak,), ())
            for job in jobs:
                if job.threads == threads:
                    row = pool.submit(process.measure, job, peers, seconds).result()
                    report = add((peak,), (row,))
                    done(report)
    return report


def protocol(peers: Sequence[str], seconds: float) -> dict[str, object]:
    """Return how times are taken: what two runs must have in common to be compared."""
    return {
        "peers": list(peers),
        "dtype": "float32",
        "input_size": "H",
        "time": "median of interleaved runs, microseconds per time step",
        "ratio": "the peer's time divided by ours",
        "training": "forward and backward, gradients of inputs, states and parameters",
        "operations": "2 T B times the numbers in all matrices; training three times that",
        "rounds": timing.ROUNDS,
        "runs_above_one_second": timing.LONG_RUNS,
        "runs_of_loops_above_one_second": timing.LONG_RUNS_OF_LOOPS,
        "quiet_percent": QUIET_PERCENT,
        "pause_seconds": timing.PAUSE,
        "seconds_per_candidate": seconds,
        "output_tolerance": OUTPUT_TOLERANCE,
        "gradient_tolerance": GRADIENT_TOLERANCE,
    }
