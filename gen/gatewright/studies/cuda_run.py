"""Cells -> the content of a GPU's result file: device, checks, times, sanitizer.

Why one function for a GPU and the emulator: what is tested without a device is then all of this but
the clock and the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.availability import require_cuda, simulated
from gatewright.runtime.cuda.devices import Device, EmulatedDevice
from gatewright.runtime.cuda.graphs import Graphs, TorchGraphs
from gatewright.runtime.cuda.tensors import torch
from gatewright.studies.cuda_check import CHECKED, QUICK, Sizes, findings
from gatewright.studies.cuda_sanitizer import sanitized
from gatewright.studies.cuda_time import TIMED, Clock, EventClock, NoClock, timings
from gatewright.studies.machine import describe

# The emulator takes a second for what a GPU does in microseconds.
EMULATED = (Sizes(2, 3, 32, 3),)


def run(
    cells: Sequence[LoadedCell],
    *,
    quick: bool = False,
    timing: bool = True,
    sanitizer: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Return all that was found on this machine's GPU, or in the emulator where that is asked for.

    Raises CudaUnavailableError where there is neither.
    """
    require_cuda()
    torch()
    device, place, clock, graphs = _chosen()
    sizes = EMULATED if simulated() else QUICK if quick else CHECKED
    found = []
    for each in findings(cells, sizes, device, graphs):
        found.append(each.as_dict())
        tell(f"{each.cell}, {each.mode}, {each.sizes}: {each.verdict}")
    times = []
    points = [(cells[0].cell.name, EMULATED[0])] if simulated() else TIMED
    for row in timings(device, place, clock, graphs, points) if timing else ():
        times.append(row.as_dict())
        tell(f"{row.cell}, {row.who}: {row.forward} ms, {row.both} ms {row.why}")
    watched = [each.as_dict() for each in sanitized()] if sanitizer and not simulated() else []
    verdicts = [each["verdict"] for each in (*found, *watched)]
    return {
        "device": described(device),
        "machine": describe(),
        "passed": verdicts.count("pass"),
        "failed": verdicts.count("fail"),
        "findings": found,
        "timings": times,
        "sanitizer": watched,
    }


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


def _chosen() -> tuple[Device, str, Clock, Graphs | None]:
    """Return the device, PyTorch's name for it, its clock and its graphs."""
    if simulated():
        return EmulatedDevice(tensors=True), "cpu", NoClock(), None
    from gatewright.runtime.cuda.gpu import gpu

    device = gpu(0)
    return device, device.name, EventClock(), TorchGraphs()
