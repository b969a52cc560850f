"""Jobs -> Report: our kernels beside the libraries', the same inputs, agreement checked first.

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
    for name in wanted or PEERS:
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


def bench(
    jobs: Sequence[Job],
    peers: Sequence[str],
    seconds: float = 0.5,
    notes: Sequence[str] = (),
    done: Callable[[], object] = lambda: None,
) -> Report:
    """Measure every job, calling `done` after each; `seconds` is for each candidate of a job."""
    described = machine.describe()
    rows: list[Row] = []
    peaks: list[Peak] = []
    context = multiprocessing.get_context("spawn")
    for threads in dict.fromkeys(job.threads for job in jobs):
        with process.environment(threads), ProcessPoolExecutor(1, context) as pool:
            peaks.append(pool.submit(process.peak, threads).result())
            for job in jobs:
                if job.threads == threads:
                    rows.append(pool.submit(process.measure, job, peers, seconds).result())
                    done()
    if disturbed := sum(row.disturbed for row in rows):
        notes = [
            *notes,
            f"{disturbed} of {len(rows)} points (marked ~) were measured while other processes "
            f"used more than {QUIET_PERCENT:g}% of the machine: their ratios are in no mean",
        ]
    return Report(described, _protocol(seconds), tuple(notes), tuple(peaks), tuple(rows))


def _protocol(seconds: float) -> dict[str, object]:
    return {
        "dtype": "float32",
        "input_size": "H",
        "time": "median of interleaved runs, microseconds per time step",
        "ratio": "the peer's time divided by ours",
        "training": "forward and backward, gradients of inputs, states and parameters",
        "operations": "2 T B times the numbers in all matrices; training three times that",
        "rounds": timing.ROUNDS,
        "quiet_percent": QUIET_PERCENT,
        "pause_seconds": timing.PAUSE,
        "seconds_per_candidate": seconds,
        "output_tolerance": OUTPUT_TOLERANCE,
        "gradient_tolerance": GRADIENT_TOLERANCE,
    }
