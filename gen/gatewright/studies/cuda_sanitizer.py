"""compute-sanitizer -> what it says of our kernels: memory, races, barriers, unwritten memory.

Each tool runs the quick check of some cells in a process of its own.

Why the emulator does not replace it: the emulator runs one thread at a time and knows no weak
memory; the sanitizer watches the device itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gatewright.runtime.cuda.availability import simulated
from gatewright.studies.attended import LATE, LEFT, LOST

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
# One stage and two, one operand and several: every kind of text in the catalogue.
CELLS = ("elman", "gru", "lstm", "indrnn")
SECONDS = 900.0
_FAULTS = 77
# PyTorch's own store of memory would hide what reads or writes beyond the end of a tensor.
_ALONE = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}


@dataclass(frozen=True)
class Sanitized:
    """One tool: `pass`, `fail` or `not run`, and its last line."""

    tool: str
    verdict: str
    said: str

    def __str__(self) -> str:
        return f"{self.tool}: {self.verdict}: {self.said}"

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file says of it."""
        return asdict(self)


Runner = Callable[..., "subprocess.CompletedProcess[str]"]


def sanitized(
    tools: Sequence[str] = TOOLS,
    cells: Sequence[str] = CELLS,
    which: Callable[[str], str | None] = shutil.which,
    run: Runner = subprocess.run,
    until: float = float("inf"),
) -> Iterator[Sanitized]:
    """Yield what each tool says of cells, named as on the command line.

    Where compute-sanitizer is missing or cannot help, that is said.

    Nothing goes on after `until`, a time of `time.monotonic`.
    """
    program = which("compute-sanitizer")
    for tool in tools:
        seconds = min(SECONDS, until - time.monotonic())
        if simulated():
            yield Sanitized(tool, LEFT, "it watches a GPU, and kernels are emulated")
            continue
        if program is None:
            yield Sanitized(tool, LEFT, "compute-sanitizer is not installed")
            continue
        if seconds <= 0:
            yield Sanitized(tool, LEFT, LATE)
            continue
        command = [program, "--tool", tool, "--error-exitcode", str(_FAULTS)]
        command += [sys.executable, "-m", "gatewright", "cuda", "check", *cells, "--quick"]
        command += ["--no-timing", "--no-sanitizer", "--one-process"]
        try:
            done = run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
                env={**os.environ, **_ALONE},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            late = isinstance(error, subprocess.TimeoutExpired) and seconds < SECONDS
            said = LATE if late else f"{type(error).__name__}: {error}".splitlines()[0]
            yield Sanitized(tool, LEFT if late else LOST, said)
            continue
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        summary = [line for line in lines if "SUMMARY" in line]
        said = (summary or lines or ["nothing was said"])[-1].strip()
        yield Sanitized(tool, "pass" if done.returncode == 0 else LOST, said)
