"""Cells, device -> times: our kernels beside cuDNN, an eager loop and torch.compile on one GPU.

Beside steps that run one by one stand the same calls without their kernels: what is left are
products of matrices, and PyTorch's copies and sums around them.

Each row says who ran what, in milliseconds, forward and forward with backward. Whoever fails says
why in its row, and the others go on.

Why medians of events on the stream, and no waiting between runs: the processor is ahead of the GPU,
as in training, and what counts is when work is done, not when it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Protocol

from gatewright.language.catalogue import known
from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.devices import Code, Device, Launched, Limits
from gatewright.runtime.cuda.graphs import Graphs
from gatewright.runtime.cuda.sequences import Sequences
from gatewright.runtime.cuda.tensors import dtype_of, torch
from gatewright.runtime.validate import Array
from gatewright.studies.cuda_check import MODES, Mode, Sizes, problem

# The size at which cells of an author's own are timed too.
LONG = Sizes(1024, 16, 768, 768)
TIMED = (
    ("lstm", LONG),
    ("gru_reset_after", LONG),
    ("gru", LONG),
    ("lstm_peephole", LONG),
    ("lstm", Sizes(256, 64, 1024, 1024)),
    ("elman", Sizes(512, 16, 64, 64)),
    ("indrnn", Sizes(512, 64, 512, 512)),
)
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
# cuDNN's layers that compute what a cell of ours does.
LAYERS = {"lstm": "LSTM", "gru_reset_after": "GRU", "elman": "RNN"}
# A loop of so many steps is compiled as one piece: more take minutes.
COMPILED_STEPS = 16
EAGER, COMPILED = "eager loop, float32", "torch.compile, float32"
PRODUCTS = "products alone, float32"
STEPS = next(mode for mode in MODES if mode.dtype == "float32" and mode.tier == 1)
NO_TIME = "it ran; what an emulator takes says nothing"
_WARM, _REPEATS = 5, 20


class Clock(Protocol):
    """Something that says how long work takes on a device."""

    def milliseconds(self, run: Callable[[], None]) -> float | None:
        """Return how long a run takes, None where that means nothing."""


class EventClock:
    """CUDA events on the current stream: the median of some runs after some others."""

    def milliseconds(self, run: Callable[[], None]) -> float | None:
        """Return the median time of a run."""
        cuda = torch().cuda
        for _ in range(_WARM):
            run()
        marks = [[cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(_REPEATS)]
        for begin, end in marks:
            begin.record()
            run()
            end.record()
        cuda.synchronize()
        return float(median(begin.elapsed_time(end) for begin, end in marks))


class NoClock:
    """Runs once and tells no time: what an emulator takes says nothing."""

    def milliseconds(self, run: Callable[[], None]) -> float | None:
        """Run, and return None."""
        run()
        return None


@dataclass(frozen=True)
class Timing:
    """One row: who ran which cell; `why` there is no time, empty if there is one."""

    cell: str
    sizes: Sizes
    who: str
    forward: float | None
    both: float | None
    why: str = ""

    def __str__(self) -> str:
        return (
            f"{self.cell}, {self.sizes}, {self.who}: {self.forward} ms, {self.both} ms {self.why}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file says of it."""
        return asdict(self)


Pair = tuple[Callable[[], None], Callable[[], None]]


def ours(mode: Mode) -> str:
    """Return who runs our kernels in a mode."""
    return f"gatewright, {mode.name}"


def theirs(cell: LoadedCell, precision: str) -> str:
    """Return who runs cuDNN's layer that computes what a cell does, empty if none does."""
    # The whole cell is compared: a file of an author's own may be called `lstm` too.
    layer = LAYERS.get(cell.cell.identifier, "") if known(cell.cell) else ""
    return layer and f"torch.nn.{layer}, {precision}"


def everybody(cell: LoadedCell) -> list[str]:
    """Return who can run a cell; who takes longest to begin is last."""
    layers = [theirs(cell, each) for each in PRECISIONS if theirs(cell, each)]
    return [*map(ours, MODES), PRODUCTS, *layers, EAGER, COMPILED]


class OnlyProducts:
    """A device on which none of our kernels is launched: what is left is PyTorch's own."""

    def __init__(self, device: Device) -> None:
        self.device = device

    @property
    def limits(self) -> Limits:
        """What a launch may ask for."""
        return self.device.limits

    def prepared(self, code: Code, shared: int = 0, threads: int | None = None) -> Launched:
        """Return a function that does nothing."""
        return lambda shape, arguments: None

    def zeros(self, count: int) -> Any:
        """Return new counters, all zero."""
        return self.device.zeros(count)

    def array(self, values: Array) -> Any:
        """Return an array of the device with the values of a NumPy array."""
        return self.device.array(values)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Return an array of the device with unspecified contents."""
        return self.device.empty(shape, dtype)

    def host(self, array: Any) -> Array:
        """Return a NumPy array with the contents of an array of the device."""
        return self.device.host(array)


def timing(
    cell: LoadedCell,
    sizes: Sizes,
    who: str,
    device: Device,
    place: str,
    clock: Clock,
    graphs: Graphs | None,
) -> Timing:
    """Return the times of one of `everybody`; who fails says why."""
    sizes = replace(sizes, T=min(sizes.T, COMPILED_STEPS)) if who == COMPILED else sizes
    name, modes = cell.cell.identifier, {ours(mode): mode for mode in MODES}
    try:
        if who in modes:
            forward, both = _ours(cell, sizes, modes[who], device, graphs)
        elif who == PRODUCTS:
            forward, both = _ours(cell, sizes, STEPS, OnlyProducts(device), graphs)
        elif who in (EAGER, COMPILED):
            forward, both = _eager(cell, sizes, place, who == COMPILED)
        else:
            forward, both = _layer(name, sizes, who.partition(", ")[2], place)
        times = clock.milliseconds(forward), clock.milliseconds(both)
    except Exception as error:  # a peer that cannot run is a row, not the end
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        return Timing(name, sizes, who, None, None, why)
    return Timing(name, sizes, who, *times, "" if None not in times else NO_TIME)


def _ours(
    cell: LoadedCell, sizes: Sizes, mode: Mode, device: Device, graphs: Graphs | None
) -> Pair:
    tier = None if mode.tier == 2 else 1
    own = Sequences(
        cell.source("cuda"), mode.dtype, device, tier=tier, graphs=graphs, products=mode.products
    )
    plans = own.plans(sizes.H, sizes.B)
    if fallen := [str(plan) for plan in plans.values() if plan.tier < mode.tier]:
        raise RuntimeError(fallen[0])
    given = problem(cell, sizes)

    def there(arrays: dict[str, Any]) -> dict[str, Any]:
        return {name: device.array(array.astype(mode.dtype)) for name, array in arrays.items()}

    parameters, inputs, state = there(given.parameters), there(given.inputs), there(given.state)
    ct_y, ct_state = device.array(given.ct_y.astype(mode.dtype)), there(given.ct_state)

    def both() -> None:
        own.backward(own.forward(parameters, inputs, state), parameters, ct_y, ct_state)

    return lambda: _ignored(own.forward(parameters, inputs, state, keep=False)), both


def _layer(name: str, sizes: Sizes, precision: str, place: str) -> Pair:
    """Return runs of cuDNN's layer; tf32 is float32 with products of tf32."""
    library = torch()
    dtype = dtype_of("float32" if precision == "tf32" else precision)
    layer = getattr(library.nn, LAYERS[name])(sizes.I, sizes.H, device=place, dtype=dtype)
    x = library.randn(sizes.T, sizes.B, sizes.I, device=place, dtype=dtype, requires_grad=True)
    ct = library.randn(sizes.T, sizes.B, sizes.H, device=place, dtype=dtype)

    def forward() -> None:
        with library.no_grad(), _Tf32(precision == "tf32"):
            layer(x)

    def both() -> None:
        with _Tf32(precision == "tf32"):
            layer(x)[0].backward(ct)

    return forward, both


def _eager(cell: LoadedCell, sizes: Sizes, place: str, compiled: bool) -> Pair:
    from gatewright.bridges.torch.eager import EagerSequence

    library = torch()
    given = problem(cell, sizes)
    arrays = (*given.inputs.values(), *given.state.values(), *given.parameters.values())
    tensors = [
        library.from_numpy(array.astype("float32")).to(place).requires_grad_() for array in arrays
    ]
    sequence: Any = EagerSequence(cell)
    run = library.compile(sequence) if compiled else sequence
    ct = library.from_numpy(given.ct_y.astype("float32")).to(place)

    def forward() -> None:
        with library.no_grad():
            run(tensors)

    return forward, lambda: _ignored(run(tensors)[0].backward(ct))


class _Tf32:
    """Sets whether PyTorch multiplies float32 as tf32, and sets it back."""

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.switches = (torch().backends.cuda.matmul, torch().backends.cudnn)
        self.before = [switch.allow_tf32 for switch in self.switches]

    def __enter__(self) -> None:
        for switch in self.switches:
            switch.allow_tf32 = self.allowed

    def __exit__(self, *error: object) -> None:
        for switch, before in zip(self.switches, self.before, strict=True):
            switch.allow_tf32 = before


def _ignored(result: object) -> None:
    """Drop a result: its memory is given back before the next run."""
