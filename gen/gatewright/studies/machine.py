"""This machine -> its description: what a reader must know to judge a time, and nothing more.

`runtime` among the versions is a digest of the package's own code that runs on the CPU: two runs
of one version of the package, with a kernel changed in between, are runs of different things.

Why no host name, user or path: the description is committed with the results.
"""

from __future__ import annotations

import ast
import datetime
import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatewright import __version__, runtime
from gatewright.python_syntax import parsed
from gatewright.runtime.processors import processors

PACKAGES = ("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "onnx", "onnxruntime")
VECTOR_UNITS = ("avx512f", "avx2", "avx", "sse2", "asimd", "sve")


def describe(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return the processor, its vector units, the versions of what is measured, day and load."""
    facts = _processor()
    units = [name for name in VECTOR_UNITS if name in facts.get("flags", "").split()]
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "family": " ".join(
            f"{key.removeprefix('cpu ')} {facts[key]}"
            for key in ("cpu family", "model")
            if key in facts
        ),
        "vector_units": units[:1],
        "cores": processors(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load_average_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {
            "python": platform.python_version(),
            "gatewright": __version__,
            "runtime": runtime_digest(),
            **{name: version for name in packages if (version := _version(name))},
        },
    }


def runtime_digest() -> str:
    """Return a digest of the code that runs kernels on the CPU; comments and docstrings pass."""
    folder = Path(runtime.__file__).parent
    digest = hashlib.sha256()
    for path in sorted((*folder.glob("*.py"), *folder.glob("cpu/*.py"))):
        tree = parsed(path.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (
                ast.get_docstring(node) is not None
            ):
                del node.body[0]
        digest.update(f"{path.name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()[:8]


class Watch:
    """What other processes use of the processors from now on, and what the host takes away."""

    def __init__(self) -> None:
        self._start, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def others_percent(self) -> float | None:
        """Return what others used of all processors, None if this system does not tell."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        others = busy - self._busy - (_own_seconds() - self._own)
        passed = (time.perf_counter() - self._start) * (os.cpu_count() or 1)
        return round(max(0.0, 100.0 * others / passed), 1)


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _busy_seconds() -> float | None:
    """Return the seconds that all processors have worked, as Linux counts them."""
    try:
        first = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0].split()
    except OSError:
        return None
    user, nice, system, _, _, *rest = (int(word) for word in first[1:9])
    return (user + nice + system + sum(rest)) / float(os.sysconf("SC_CLK_TCK"))


def _processor() -> dict[str, str]:
    """Return the first entry of Linux's list of processors, empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    entries = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    facts = {key.strip(): value.strip() for key, _, value in entries}
    return {**facts, "flags": facts.get("flags") or facts.get("Features", "")}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
