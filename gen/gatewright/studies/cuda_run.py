"""Selection -> the content of a GPU's result file: device, checks, times, promises, sanitizer.

On a GPU everything runs in a process that may hang or die without the others, and the file is
complete after each row: what is there when time is up counts.

Why one function for a GPU and the emulator: what is tested without a device is then all of this but
the clock and the driver.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from gatewright.runtime.cuda.availability import require_cuda, simulated
from gatewright.runtime.cuda.devices import Device, EmulatedDevice
from gatewright.runtime.cuda.tensors import torch
from gatewright.studies.attended import LATE, Task, at_once, attended
from gatewright.studies.cuda_check import Finding
from gatewright.studies.cuda_sanitizer import Sanitized, sanitized
from gatewright.studies.cuda_targets import verdicts
from gatewright.studies.cuda_tasks import Selection, checks, place, races
from gatewright.studies.cuda_time import Timing
from gatewright.studies.machine import describe

# A kernel that has to be compiled first takes a while; blocks that wait for each other, for ever.
TASK_SECONDS = 180.0


def run(
    chosen: Selection,
    *,
    quick: bool = False,
    checking: bool = True,
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
    about = described(place()[0])
    machine = describe()
    tasks: list[Task] = [*checks(chosen, quick, apart)] if checking else []
    tasks += races(chosen, apart) if timing and not quick else ()
    watch = partial(sanitized, cells=chosen.watched, until=until)
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


def _content(about: Any, machine: Any, rows: Sequence[Any]) -> dict[str, Any]:
    def named(kind: type[Finding | Timing | Sanitized]) -> list[dict[str, Any]]:
        return [row.as_dict() for row in rows if isinstance(row, kind)]

    timings = [row for row in rows if isinstance(row, Timing)]
    ended = [row.verdict for row in rows if not isinstance(row, Timing)]
    own = {Finding: "where", Timing: "why", Sanitized: "said"}
    said = [str(getattr(row, own[type(row)])) for row in rows]
    return {
        "device": about,
        "machine": machine,
        "passed": ended.count("pass"),
        "failed": ended.count("fail"),
        "left": sum(each.endswith(LATE) for each in said),
        "findings": named(Finding),
        "timings": named(Timing),
        "targets": [each.as_dict() for each in verdicts(about["name"], timings)],
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
