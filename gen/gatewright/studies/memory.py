"""Cells, sizes -> Footprints: how much memory a training step needs, ours beside PyTorch's.

A footprint is how far the memory of a new process grows, at its highest, while one sequence is run
forward and back, beyond what it held with inputs, weights and libraries in place. `stated` is what
our kernels say that a run keeps until its reverse, which is all that grows with T.

Why a process for each: memory that one library has freed would serve the next one.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewright.runtime.errors import BackendMissingError
from gatewright.studies.jobs import Size, Subject
from gatewright.studies.process import environment

SIZES = (Size(16, 128, 128), Size(64, 256, 128), Size(64, 512, 128))
# Everything is loaded and compiled by a sequence of this size before the one that is measured.
WARM = Size(2, 64, 3)
OURS, PIECES, TORCH, LOOP = "gatewright", "gatewright, checkpoints", "torch.nn", "torch loop"
# The kernel counts resident memory, and forgets the highest count when told to.
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Footprint:
    """What one training step of a library needs, in bytes; `stated` is ours to tell, else None."""

    cell: str
    library: str
    size: Size
    bytes: int
    stated: int | None

    @property
    def per_number(self) -> float:
        """Bytes per T * B * H."""
        return self.bytes / (self.size.T * self.size.B * self.size.H)


def footprints(
    subjects: Sequence[Subject], sizes: Sequence[Size], with_torch: bool
) -> Iterator[Footprint]:
    """Yield the footprints of every cell and size.

    Raises BackendMissingError where the system does not count memory as Linux does.
    """
    if not FORGET.exists():
        raise BackendMissingError("memory is measured through /proc, which only Linux has")
    libraries = (OURS, PIECES, *((TORCH, LOOP) if with_torch else ()))
    context = multiprocessing.get_context("spawn")
    with environment(1):
        for subject in subjects:
            for size in sizes:
                for library in libraries:
                    with ProcessPoolExecutor(1, mp_context=context) as pool:
                        found = pool.submit(_measured, subject, library, size).result()
                    if found is not None:
                        yield found


def _measured(subject: Subject, library: str, size: Size) -> Footprint | None:
    """Return the footprint of one library; None if it has no such layer."""
    loaded = subject.load()
    warm, job = _training(subject, library, WARM), _training(subject, library, size)
    if warm is None or job is None:
        return None
    warm()
    before = _count("VmRSS")
    FORGET.write_text("5")
    found = job()
    grown = _count("VmHWM") - before
    del found
    stated = None
    if library in (OURS, PIECES):
        kernels = loaded.compile(target="cpu", dtype="float32", threads=1)
        sizes = {**size.of(loaded.cell), "T": size.T, "B": size.B}
        stated = kernels.kept_bytes(sizes, _every(size) if library == PIECES else None)
    return Footprint(loaded.cell.identifier, library, size, grown, stated)


def _training(subject: Subject, library: str, size: Size) -> Any:
    """Return a function that runs one sequence forward and back; None if there is no such layer."""
    from gatewright.studies.problem import draw

    loaded = subject.load()
    problem = draw(loaded, size)
    if library in (TORCH, LOOP):
        from gatewright.studies import peers_torch

        offered = peers_torch.candidates(problem, "training", 1)
        return next((each.run for each in offered if each.name == library), None)
    kernels = loaded.compile(target="cpu", dtype="float32", threads=1)
    x = problem.inputs if len(problem.inputs) > 1 else next(iter(problem.inputs.values()))
    every = _every(size) if library == PIECES else None

    def train() -> Any:
        run = kernels.forward(problem.parameters, x, problem.state, checkpoint=every)
        return run, kernels.backward(run, problem.ct_y)

    return train


def _every(size: Size) -> int:
    """Return the distance of checkpoints that keeps least: the root of T."""
    return max(1, math.isqrt(size.T))


def _count(name: str) -> int:
    """Return one of the kernel's counts of this process, in bytes."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
