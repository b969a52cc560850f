"""compute-sanitizer -> what it says of our kernels: memory, races, barriers, unwritten memory.

Each tool runs the quick check of some cells in a process of its own.

Why the emulator does not replace it: the emulator runs one thread at a time and knows no weak
memory; the sanitizer watches the device itself.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
# One stage and two, one operand and several: every kind of text.
CELLS = ("elman", "gru", "lstm", "indrnn")
SECONDS = 900.0
_FAULTS = 77


@dataclass(frozen=True)
class Sanitized:
    """One tool: `pass`, `fail` or `not run`, and its last line."""

    tool: str
    verdict: str
    said: str

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file says of it."""
        return asdict(self)


Runner = Callable[..., "subprocess.CompletedProcess[str]"]


def sanitized(
    tools: Sequence[str] = TOOLS,
    cells: Sequence[str] = CELLS,
    which: Callable[[str], str | None] = shutil.which,
    run: Runner = subprocess.run,
) -> Iterator[Sanitized]:
    """Yield what each tool says; where compute-sanitizer is missing, that."""
    program = which("compute-sanitizer")
    for tool in tools:
        if program is None:
            yield Sanitized(tool, "not run", "compute-sanitizer is not installed")
            continue
        command = [program, "--tool", tool, "--error-exitcode", str(_FAULTS)]
        command += [sys.executable, "-m", "gatewright", "cuda", "check", *cells, "--quick"]
        command += ["--no-timing", "--no-sanitizer"]
        try:
            done = run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            yield Sanitized(tool, "fail", f"{type(error).__name__}: {error}".splitlines()[0])
            continue
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        summary = [line for line in lines if "SUMMARY" in line]
        said = (summary or lines or ["nothing was said"])[-1].strip()
        yield Sanitized(tool, "pass" if done.returncode == 0 else "fail", said)
