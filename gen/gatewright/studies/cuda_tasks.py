"""Names of cells -> the tasks of a run: what is checked, who is timed, what must be compiled.

Of the whole catalogue some cells stand for the others where a check takes long: in PyTorch's ways,
in races, under the sanitizer. Cells that an author names himself have all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from gatewright.language import catalogue
from gatewright.loaded import LoadedCell, load
from gatewright.runtime.cuda.availability import simulated
from gatewright.runtime.cuda.devices import Code, Device, EmulatedDevice
from gatewright.runtime.cuda.graphs import Graphs, TorchGraphs
from gatewright.studies import cuda_layers
from gatewright.studies.attended import Task
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
from gatewright.studies.cuda_time import (
    LONG,
    TIMED,
    Clock,
    EventClock,
    NoClock,
    Timing,
    everybody,
    timing,
)

# The emulator takes a second for what a GPU does in microseconds.
EMULATED = (Sizes(2, 3, 32, 3),)


@dataclass(frozen=True)
class Selection:
    """The cells of a run, every variant of each; `named` as an author named them, or empty."""

    cells: tuple[LoadedCell, ...]
    named: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[LoadedCell, ...]:
        """The cells that are checked in PyTorch's ways."""
        return tuple(
            cell for cell in self.cells if self.named or cell.cell.identifier in cuda_layers.CELLS
        )

    @property
    def points(self) -> tuple[tuple[LoadedCell, Sizes], ...]:
        """The points at which some of the cells are timed."""
        found = []
        for cell in self.cells:
            own = catalogue.known(cell.cell) and cell.cell.identifier
            sizes = [size for name, size in TIMED if name == own]
            found += [(cell, size) for size in sizes or ((LONG,) if self.named else ())]
        return tuple(found)

    @property
    def watched(self) -> tuple[str, ...]:
        """The names of the cells that the sanitizer watches."""
        return self.named or WATCHED


def selected(names: Sequence[str] = ()) -> Selection:
    """Return the cells of some names and paths, or the whole catalogue. Raises SpecError."""
    chosen = names or catalogue.names()
    cells = tuple(
        load(name, **choices)
        for name in chosen
        for choices in catalogue.variants(catalogue.read_spec(name))
    )
    return Selection(cells, tuple(names))


@dataclass(frozen=True)
class Check:
    """A cell in one mode, a task; if `recorded`, steps are replayed as a graph."""

    cell: LoadedCell
    sizes: Sizes
    mode: Mode
    recorded: bool = True

    def run(self) -> Finding:
        """Return what is found on the device of this process."""
        device, _, _, graphs = place()
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
        return cuda_layers.layer_finding(self.cell, self.sizes, self.way, place()[1])

    def lost(self, verdict: str, why: str) -> Finding:
        """Return what is found if nothing is."""
        name, tolerance = self.cell.cell.identifier, cuda_layers.TOLERANCE
        return Finding(name, self.way, self.sizes, verdict, None, why, tolerance, {})


@dataclass(frozen=True)
class Race:
    """Somebody who is timed, a task; if `recorded`, our steps are replayed as a graph."""

    cell: LoadedCell
    sizes: Sizes
    who: str
    recorded: bool = True

    def run(self) -> Timing:
        """Return the times on the device of this process."""
        device, where, clock, graphs = place()
        used = graphs if self.recorded else None
        return timing(self.cell, self.sizes, self.who, device, where, clock, used)

    def lost(self, verdict: str, why: str) -> Timing:
        """Return the row of who has no time."""
        name = self.cell.cell.identifier
        return Timing(name, self.sizes, self.who, None, None, f"{verdict}: {why}")


def checks(chosen: Selection, quick: bool, recorded: bool) -> Iterator[Task]:
    """Yield what is checked: all cells at one size before any at the next."""
    for sizes in EMULATED if simulated() else QUICK if quick else CHECKED:
        for cell in chosen.cells:
            yield from (Check(cell, sizes, mode, recorded) for mode in MODES)
    if not quick:
        sizes = EMULATED[0] if simulated() else cuda_layers.SIZES
        for cell in chosen.layers:
            yield from (LayerCheck(cell, sizes, way) for way in cuda_layers.ways(cell, simulated()))


def races(chosen: Selection, recorded: bool) -> Iterator[Task]:
    """Yield who is timed."""
    points = ((chosen.cells[0], EMULATED[0]),) if simulated() else chosen.points
    for cell, sizes in points:
        yield from (Race(cell, sizes, who, recorded) for who in everybody(cell))


def launched(chosen: Selection, quick: bool, device: Device) -> Iterator[tuple[Code, int | None]]:
    """Yield every kernel that a run would launch, with the most threads of a block."""
    yield from codes(chosen.cells, QUICK if quick else CHECKED, device)
    if not quick:
        single = [mode for mode in MODES if mode.dtype == "float32" and not mode.products]
        yield from codes(chosen.layers, cuda_layers.ROWS, device, single)
        for cell, sizes in chosen.points:
            yield from codes([cell], [sizes], device)


def place() -> tuple[Device, str, Clock, Graphs | None]:
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
