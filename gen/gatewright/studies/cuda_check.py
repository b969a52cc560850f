"""Cells, device -> Findings: the kernels on a device against the float64 reference.

Every cell runs forward and backward in every mode: steps one by one or as one kernel, in double,
single and half precision, or with products of tf32. What falls back to another tier is said, with
the planner's reason.

Why three runs of each: at the second, steps that run one by one are recorded as a graph, and the
third replays it; what is compared is the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.devices import Code, Device
from gatewright.runtime.cuda.graphs import Graphs
from gatewright.runtime.cuda.launch import bound
from gatewright.runtime.cuda.report import step_codes
from gatewright.runtime.cuda.sequences import Sequences
from gatewright.runtime.cuda.steps import with_steps

RUNS = 3
# The outputs of a run that keeps nothing.
INFERRED = "y without a reverse"


@dataclass(frozen=True)
class Mode:
    """One way to run a cell, and the error relative to the largest number that it may have."""

    name: str
    dtype: str
    tier: int
    products: str
    tolerance: float


MODES = (
    Mode("float64, steps", "float64", 1, "", 1e-12),
    Mode("float32, steps", "float32", 1, "", 2e-5),
    Mode("float32, one kernel", "float32", 2, "", 2e-5),
    Mode("tf32, one kernel", "float32", 2, "tf32", 2.0**-8),
    Mode("float16, one kernel", "float32", 2, "float16", 2.0**-8),
    Mode("bfloat16, one kernel", "float32", 2, "bfloat16", 2.0**-5),
)


@dataclass(frozen=True)
class Sizes:
    """Time steps, rows, units and inputs."""

    T: int
    B: int
    H: int
    I: int  # noqa: E741

    def __str__(self) -> str:
        return f"T={self.T} B={self.B} H={self.H} I={self.I}"


# One block holds all of U; blocks meet; more rows than a block owns; sizes that nothing divides.
CHECKED = (Sizes(9, 5, 64, 33), Sizes(5, 16, 512, 64), Sizes(3, 70, 256, 32), Sizes(4, 3, 37, 5))
QUICK = (Sizes(3, 5, 64, 5),)


@dataclass(frozen=True)
class Finding:
    """One cell in one mode: the worst error and where it is, `pass`, `fail` or `tier 1`.

    `replayed` says how often steps were replayed as a graph.
    """

    cell: str
    mode: str
    sizes: Sizes
    verdict: str
    error: float | None
    where: str
    tolerance: float
    plans: dict[str, str]
    replayed: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        said = f"{self.cell}, {self.mode}, {self.sizes}: {self.verdict}"
        return f"{said}: {self.where}" if self.verdict == "fail" else said

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file says of it."""
        return asdict(self)


@dataclass(frozen=True)
class Problem:
    """Arguments of a sequence in float64, by name."""

    parameters: dict[str, Any]
    inputs: dict[str, Any]
    state: dict[str, Any]
    ct_y: Any
    ct_state: dict[str, Any]


def problem(cell: LoadedCell, sizes: Sizes) -> Problem:
    """Return arguments that are the same on every machine."""
    rng = np.random.default_rng([sizes.T, sizes.B, sizes.H, sizes.I])
    known = {dim: sizes.I if dim == "input" else sizes.H for dim in cell.cell.dims}
    inputs = {
        each.name: rng.standard_normal((sizes.T, sizes.B, *(known[dim] for dim in each.dims)))
        for each in cell.cell.inputs
    }

    def states() -> dict[str, Any]:
        return {
            each.name: rng.standard_normal((sizes.B, *(known[dim] for dim in each.dims)))
            for each in cell.cell.states
        }

    parameters = cell.init(dtype="float64", **known)
    return Problem(
        parameters, inputs, states(), rng.standard_normal((sizes.T, sizes.B, sizes.H)), states()
    )


def found(
    cell: LoadedCell,
    sizes: Sizes,
    mode: Mode,
    device: Device,
    graphs: Graphs | None = None,
) -> Finding:
    """Return how far a cell in one mode is from the reference; an exception is a failure."""
    plans: dict[str, str] = {}
    own: Sequences | None = None

    def finding(verdict: str, error: float | None, where: str) -> Finding:
        replayed = {n: each.replayed for n, each in own.graphed.items()} if own else {}
        name = cell.cell.identifier
        return Finding(
            name, mode.name, sizes, verdict, error, where, mode.tolerance, plans, replayed
        )

    try:
        own = Sequences(
            cell.source("cuda"), mode.dtype, device, tier=None if mode.tier == 2 else 1,
            graphs=graphs, products=mode.products,
        )  # fmt: skip
        chosen = own.plans(sizes.H, sizes.B)
        plans |= {direction: str(plan) for direction, plan in chosen.items()}
        if any(plan.tier < mode.tier for plan in chosen.values()):
            return finding("tier 1", None, "")
        got = solved(own, problem(cell, sizes), device, mode.dtype)
    except Exception as error:  # one kernel that fails must not hide the others
        return finding("fail", None, f"{type(error).__name__}: {error}".splitlines()[0])
    apart, where = worst(reference(cell, sizes), got)
    return finding("pass" if apart <= mode.tolerance else "fail", apart, where)


def solved(own: Sequences, given: Problem, device: Device, dtype: str) -> dict[str, Any]:
    """Run a sequence and its reverse several times; return all results of the last, by name."""

    def there(arrays: dict[str, Any]) -> dict[str, Any]:
        return {name: device.array(array.astype(dtype)) for name, array in arrays.items()}

    parameters, inputs, state = there(given.parameters), there(given.inputs), there(given.state)
    ct_y, ct_state = device.array(given.ct_y.astype(dtype)), there(given.ct_state)

    def once() -> dict[str, Any]:
        run = own.forward(parameters, inputs, state)
        gradients = own.backward(run, parameters, ct_y, ct_state)
        named = {"y": device.host(run.y)}
        for prefix, arrays in (
            ("", run.state),
            ("d_", gradients.inputs),
            ("d_", gradients.state),
            ("d_", gradients.parameters),
        ):
            named.update((f"{prefix}{name}", device.host(array)) for name, array in arrays.items())
        return named

    # A run gives back all of its memory before the next: a graph is for the same addresses.
    found = [once() for _ in range(RUNS)]
    inferred = device.host(own.forward(parameters, inputs, state, keep=False).y)
    return {**found[-1], INFERRED: inferred}


def codes(
    cells: Iterable[LoadedCell],
    sizes: Sequence[Sizes],
    device: Device,
    modes: Sequence[Mode] = MODES,
) -> Iterator[tuple[Code, int | None]]:
    """Yield every kernel that a check of these would launch, with the most threads of a block."""
    seen: set[Code] = set()
    for cell in cells:
        text = cell.source("cuda")
        for mode in modes:
            if mode.tier == 1:
                yield from ((code, None) for code in step_codes(text, mode.dtype))
                continue
            module = bound(text, mode.dtype, device)
            for steps in with_steps(text, module, device, products=mode.products).values():
                for each in sizes:
                    shape = steps.plan(each.H, each.B).shape
                    for keep in (True, False) if shape else ():
                        assert shape
                        if (code := steps.code(shape.sizes, keep)) not in seen:
                            seen.add(code)
                            yield code, shape.threads


@lru_cache(maxsize=8)
def reference(cell: LoadedCell, sizes: Sizes) -> dict[str, Any]:
    """Return all results of `problem` in float64, by name."""
    given = problem(cell, sizes)
    kernels = cell.compile("reference", "float64")
    run = kernels.forward(given.parameters, given.inputs, given.state)
    gradients = kernels.backward(run, given.ct_y, given.ct_state)
    x = gradients.x if isinstance(gradients.x, dict) else dict.fromkeys(given.inputs, gradients.x)
    groups = (("", run.state), ("d_", x), ("d_", gradients.state), ("d_", gradients.parameters))
    named = {f"{prefix}{n}": array for prefix, arrays in groups for n, array in arrays.items()}
    return {"y": run.y, INFERRED: run.y, **named}


def worst(wanted: dict[str, Any], got: dict[str, Any]) -> tuple[float, str]:
    """Return the largest of all errors, relative to the largest number of each, and where it is."""
    return max((_error(wanted[name], got[name]), name) for name in wanted)


def _error(wanted: Any, got: Any) -> float:
    """Return the largest difference relative to the largest number; infinite if it is not one."""
    scale = float(np.abs(wanted).max(initial=0)) or 1.0
    error = float(np.abs(wanted - got).max(initial=0)) / scale
    return error if np.isfinite(error) else float("inf")
