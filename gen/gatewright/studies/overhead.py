"""LoadedCell -> Overheads: what the PyTorch layer adds to the time of the kernels that it runs.

Layer and kernels get the same arrays and take turns in one process, in the way of `timing`. A
kernel call validates and allocates as it does for every user; what the layer adds is its own
Python, PyTorch's dispatch and bookkeeping, and any copy of an array.

Why the median of paired ratios: whoever disturbs the machine disturbs both of a pair. Why it comes
with an interval: on several threads single ratios differ by more than the target, and a median that
happens to lie below it says nothing if the true one may as well lie above.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gatewright.bridges.torch.layer import layer
from gatewright.loaded import LoadedCell
from gatewright.runtime.validate import ArgumentError
from gatewright.studies.jobs import Size
from gatewright.studies.problem import Problem, draw

TARGET_PERCENT = 5.0
SIZE = Size(B=64, H=256, T=128)
LEAST_PAIRS, MOST_PAIRS = 11, 2001
TOLERANCE = 1e-6
Call = Callable[[], Any]


# Of so many standard deviations is an interval that holds the true value 95 times of 100.
DEVIATIONS = 1.96


@dataclass(frozen=True)
class Overhead:
    """Median seconds of kernels and layer for one task, and of how many pairs of runs.

    `percent` is the median of what the layer adds in each pair; the true one is between `low` and
    `high`, 95 times of 100.
    """

    cell: str
    task: str
    size: Size
    threads: int
    kernels: float
    layer: float
    percent: float
    low: float
    high: float
    pairs: int

    @property
    def reached(self) -> bool | None:
        """Tell whether the layer adds less than the project's target; None: that is not clear."""
        if self.high < TARGET_PERCENT:
            return True
        return False if self.low >= TARGET_PERCENT else None


def overheads(loaded: LoadedCell, size: Size, threads: int, seconds: float) -> Iterator[Overhead]:
    """Yield what the layer adds in inference and in training.

    Pairs of runs take about `seconds` for each, and are eleven at the least. Raises ArgumentError
    if the layer computes something else than the kernels.
    """
    torch.set_num_threads(threads)
    problem = draw(loaded, size)
    raw, wrapped = _kernel_calls(loaded, problem, threads), _layer_calls(loaded, problem, threads)
    for task in ("inference", "training"):
        calls = raw[task], wrapped[task]
        first, second = (call() for call in calls)
        if not np.allclose(first, second, rtol=0, atol=TOLERANCE * float(np.abs(first).max())):
            raise ArgumentError(f"the layer's {task} computes something else than its kernels")
        pairs = _pairs(calls, seconds)
        kernels, layer = (statistics.median(each) for each in zip(*pairs, strict=True))
        added = sorted(100 * (b / a - 1) for a, b in pairs)
        percent, (low, high) = statistics.median(added), interval(added)
        name = loaded.cell.identifier
        yield Overhead(name, task, size, threads, kernels, layer, percent, low, high, len(pairs))


def interval(ordered: Sequence[float]) -> tuple[float, float]:
    """Return between which of some values in order the true median lies, 95 times of 100.

    How many of n values lie below the true median is a binomial number, whatever they are spread
    like: n / 2 with a standard deviation of sqrt(n) / 2.
    """
    n = len(ordered)
    reach = DEVIATIONS * math.sqrt(n) / 2
    first = max(0, math.floor(n / 2 - reach) - 1)
    return ordered[first], ordered[n - 1 - first]


def _kernel_calls(loaded: LoadedCell, problem: Problem, threads: int) -> dict[str, Call]:
    """Return the two tasks by kernels; each returns one array by which it can be recognised."""
    kernels = loaded.compile("cpu", "float32", threads)
    (x,) = problem.inputs.values()

    def infer() -> Any:
        return kernels.forward(problem.parameters, x, problem.state, keep=False).y

    def train() -> Any:
        run = kernels.forward(problem.parameters, x, problem.state)
        return kernels.backward(run, problem.ct_y).x

    return {"inference": infer, "training": train}


def _layer_calls(loaded: LoadedCell, problem: Problem, threads: int) -> dict[str, Call]:
    size = problem.size
    found = layer(loaded, size.H, size.H, threads=threads)
    with torch.no_grad():
        for name, parameter in found.get_submodule("l0").named_parameters():
            parameter.copy_(torch.from_numpy(problem.parameters[name]))
    x = torch.tensor(next(iter(problem.inputs.values())), requires_grad=True)
    states = [torch.tensor(each[None], requires_grad=True) for each in problem.state.values()]
    hidden = tuple(states) if len(states) > 1 else states[0]
    leaves, ct_y = [x, *states, *found.parameters()], torch.from_numpy(problem.ct_y)

    def infer() -> Any:
        with torch.no_grad():
            return found(x, hidden)[0].numpy()

    def train() -> Any:
        y, _ = found(x, hidden)
        return torch.autograd.grad(y, leaves, ct_y)[0].numpy()

    return {"inference": infer, "training": train}


def _pairs(calls: tuple[Call, Call], seconds: float) -> list[tuple[float, float]]:
    """Return the times of both, in pairs that begin with one and the other in turn."""
    estimate = max(_timed(call) for call in calls for _ in range(3))
    count = max(LEAST_PAIRS, min(MOST_PAIRS, int(seconds / max(estimate, 1e-9))))
    found = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for k in range(count):
            order = (0, 1) if k % 2 else (1, 0)
            times = {each: _timed(calls[each]) for each in order}
            found.append((times[0], times[1]))
    finally:
        if collecting:
            gc.enable()
    return found


def _timed(call: Call) -> float:
    start = time.perf_counter()
    found = call()
    taken = time.perf_counter() - start
    del found  # not while the clock runs
    return taken
