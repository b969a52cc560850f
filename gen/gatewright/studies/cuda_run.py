"""Cells -> the content of a GPU's result file: device, checks, times, sanitizer.

On a GPU everything runs in a process that may hang or die without the others, and the file is
complete after each row: what is there when time is up counts.

Why one function for a GPU and the emulator: what is tested without a device is then all of this but
the clock and the driver.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import Any

from gatewright.loaded import LoadedCell, load
from gatewright.runtime.cuda.availability import require_cuda, simulated
from gatewright.runtime.cuda.devices import Code, Device, EmulatedDevice
from gatewright.runtime.cuda.graphs import Graphs, TorchGraphs
from gatewright.runtime.cuda.tensors import torch
from gatewright.studies import cuda_layers
from gatewright.studies.attended import LATE, Task, at_once, attended
from gatewright.studies.cuda_check import (
    CHECKED,
    MODES,
    QUICK,
    Finding,
    Mode,
    Sizes,
    codes,
    found,
)
from gatewright.studies.cuda_sanitizer import CELLS as WATCHED
from gatewright.studies.cuda_sanitizer import Sanitized, sanitized
from gatewright.studies.cuda_time import (
    TIMED,
    Clock,
    EventClock,
    NoClock,
    Timing,
    everybody,
    timing,
)
from gatewright.studies.machine import describe

# The emulator takes a second for what a GPU does in microseconds.
EMULATED = (Sizes(2, 3, 32, 3),)
# A kernel that has to be compiled first takes a while; blocks that wait for each other, for ever.
TASK_SECONDS = 180.0


@dataclass(frozen=True)
class Check:
    """A cell in one mode, a task; if `recorded`, steps are replayed as a graph."""

    cell: LoadedCell
    sizes: Sizes
    mode: Mode
    recorded: bool = True

    def run(self) -> Finding:
        """Return what is found on the device of this process."""
        device, _, _, graphs = _place()
        return found(self.cell, self.sizes, self.mode, device, graphs if self.recorded else None)

    def lost(self, verdict: str, why: str) -> Finding:
        """Return what is found if nothing is."""
        name, mode = self.cell.cell.identifier, self.mode
        return Finding(name, mode.name, self.sizes, verdict, None, why, mode.tolerance, {})


@dataclass(frozen=True)
class LayerCheck:
    """A cell in one of PyTorch's ways, a task."""

    cell: LoadedCell
    sizes: Sizes
    way: str

    def run(self) -> Finding:
        """Return what is found on the device of this process."""
        return cuda_layers.layer_finding(self.cell, self.sizes, self.way, _place()[1])

    def lost(self, verdict: str, why: str) -> Finding:
        """Return what is found if nothing is."""
        name, tolerance = self.cell.cell.identifier, cuda_layers.TOLERANCE
        return Finding(name, self.way, self.sizes, verdict, None, why, tolerance, {})


@dataclass(frozen=True)
class Race:
    """Somebody who is timed, a task; if `recorded`, our steps are replayed as a graph."""

    name: str
    sizes: Sizes
    who: str
    recorded: bool = True

    def run(self) -> Timing:
        """Return the times on the device of this process."""
        device, place, clock, graphs = _place()
        used = graphs if self.recorded else None
        return timing(self.name, self.sizes, self.who, device, place, clock, used)

    def lost(self, verdict: str, why: str) -> Timing:
        """Return the row of who has no time."""
        return Timing(self.name, self.sizes, self.who, None, None, f"{verdict}: {why}")


def run(
    cells: Sequence[LoadedCell],
    *,
    quick: bool = False,
    checks: bool = True,
    timing: bool = True,
    sanitizer: bool = True,
    minutes: float | None = None,
    apart: bool = True,
    tell: Callable[[str], None] = lambda line: None,
    save: Callable[[dict[str, Any]], None] = lambda content: None,
) -> dict[str, Any]:
    """Return all that was found on this machine's GPU, or in the emulator where that is asked for.

    Nothing is begun after so many `minutes`; `save` is given the content after each row. With
    `apart`, what runs on a GPU does so in another process; else it is watched, and steps are not
    replayed as graphs. Raises CudaUnavailableError where there is neither.
    """
    require_cuda()
    torch()
    until = float("inf") if minutes is None else time.monotonic() + 60.0 * minutes
    rows: list[Any] = []
    about = described(_place()[0])
    machine = describe()
    tasks: list[Task] = [*_checks(cells, quick, apart)] if checks else []
    tasks += _races(cells, apart) if timing and not quick else ()
    watched = [each for each in WATCHED if each in {cell.cell.name for cell in cells}]
    watch = partial(sanitized, cells=watched, until=until)
    rows_of_tasks = (
        attended(tasks, healthy, TASK_SECONDS, until)
        if apart and not simulated()
        else at_once(tasks, until)
    )
    for row in chain(rows_of_tasks, watch() if sanitizer else ()):
        rows.append(row)
        tell(str(row))
        save(_content(about, machine, rows))
    return _content(about, machine, rows)


def _checks(cells: Sequence[LoadedCell], quick: bool, recorded: bool) -> Iterator[Task]:
    """Yield what is checked: all cells at one size before any at the next."""
    for sizes in EMULATED if simulated() else QUICK if quick else CHECKED:
        for cell in cells:
            yield from (Check(cell, sizes, mode, recorded) for mode in MODES)
    if not quick:
        ways = cuda_layers.EMULATED_WAYS if simulated() else cuda_layers.WAYS
        sizes = EMULATED[0] if simulated() else cuda_layers.SIZES
        for cell in cells:
            if cell.cell.identifier in cuda_layers.CELLS:
                yield from (LayerCheck(cell, sizes, way) for way in ways)


def launched(
    cells: Sequence[LoadedCell], quick: bool, device: Device
) -> Iterator[tuple[Code, int | None]]:
    """Yield every kernel that a run would launch, with the most threads of a block."""
    yield from codes(cells, QUICK if quick else CHECKED, device)
    if not quick:
        single = [mode for mode in MODES if mode.dtype == "float32" and not mode.products]
        several = [cell for cell in cells if cell.cell.identifier in cuda_layers.CELLS]
        yield from codes(several, cuda_layers.ROWS, device, single)
        for name, sizes in _points(cells):
            yield from codes([load(name)], [sizes], device)


def _points(cells: Sequence[LoadedCell]) -> list[tuple[str, Sizes]]:
    """Return the points at which some of the cells are timed."""
    names = {cell.cell.name for cell in cells}
    return [(name, sizes) for name, sizes in TIMED if name in names]


def _races(cells: Sequence[LoadedCell], recorded: bool) -> Iterator[Task]:
    points = [(cells[0].cell.name, EMULATED[0])] if simulated() else _points(cells)
    for name, sizes in points:
        yield from (Race(name, sizes, who, recorded) for who in everybody(name))


def _content(about: Any, machine: Any, rows: Sequence[Any]) -> dict[str, Any]:
    def named(kind: type[Finding | Timing | Sanitized]) -> list[dict[str, Any]]:
        return [row.as_dict() for row in rows if isinstance(row, kind)]

    verdicts = [row.verdict for row in rows if not isinstance(row, Timing)]
    own = {Finding: "where", Timing: "why", Sanitized: "said"}
    said = [str(getattr(row, own[type(row)])) for row in rows]
    return {
        "device": about,
        "machine": machine,
        "passed": verdicts.count("pass"),
        "failed": verdicts.count("fail"),
        "left": sum(each.endswith(LATE) for each in said),
        "findings": named(Finding),
        "timings": named(Timing),
        "sanitizer": named(Sanitized),
    }


def healthy() -> bool:
    """Tell whether this process can still use its device."""
    try:
        torch().cuda.synchronize()
    except (RuntimeError, AssertionError):
        return False
    return True


def described(device: Device) -> dict[str, Any]:
    """Return what a reader must know of a device to judge a time."""
    library = torch()
    versions = {"torch": library.__version__, "cuda": library.version.cuda}
    if isinstance(device, EmulatedDevice):
        return {"name": "emulator", "arch": "none", "emulated": True, **versions}
    from gatewright.runtime.cuda.gpu import Gpu

    assert isinstance(device, Gpu)
    about = library.cuda.get_device_properties(device.index)
    return {
        "name": about.name,
        "arch": device.properties.arch,
        "emulated": False,
        "multiprocessors": device.properties.multiprocessors,
        "shared": device.properties.shared,
        "memory": about.total_memory,
        "driver": device.driver.version,
        "cudnn": library.backends.cudnn.version(),
        **versions,
    }


def _place() -> tuple[Device, str, Clock, Graphs | None]:
    """Return the device, PyTorch's name for it, its clock and its graphs."""
    if simulated():
        return _emulator(), "cpu", NoClock(), None
    from gatewright.runtime.cuda.gpu import gpu

    device = gpu(0)
    return device, device.name, EventClock(), _graphs()


@cache
def _emulator() -> EmulatedDevice:
    return EmulatedDevice(tensors=True)


@cache
def _graphs() -> Graphs:
    return TorchGraphs()
