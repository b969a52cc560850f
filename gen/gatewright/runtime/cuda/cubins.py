"""Code, architecture -> machine code: carried along, kept from an earlier process, or compiled.

A folder of machine code has a file `manifest.json` that says which kernel of which text each of its
files is, by a digest; GATEWRIGHT_CUBINS names one that was brought to a machine without a compiler.

Why digests and not names: a changed spec must never run on machine code of the old one, nor on that
of words of kernels that have changed since.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, lru_cache
from itertools import repeat
from pathlib import Path

from gatewright.runtime.cuda.availability import CudaUnavailableError
from gatewright.runtime.cuda.compiler import compiled, why_not_compiled
from gatewright.runtime.cuda.devices import Code
from gatewright.runtime.cuda.numba_cuda import PINNED
from gatewright.runtime.store import configured

VARIABLE = "GATEWRIGHT_CUBINS"
MANIFEST = "manifest.json"
_SCHEMA = 1
# From the text of a kernel to PTX: a change of any of these may change its machine code.
_MEANINGS = ("compiled", "compiled_memory", "compiler", "folded", "realms", "trigonometry")


def machine_code_of(code: Code, arch: str, threads: int | None = None) -> tuple[bytes, str]:
    """Return the machine code of a kernel for a device, and the name of its entry.

    Raises CudaUnavailableError, with a sentence, where there is none and none can be made.
    """
    key = digest(code, threads)
    for folder in _folders():
        for brought in _compatible(arch):
            if found := carried(folder).get((key, brought)):
                return (folder / found[0]).read_bytes(), found[1]
    if missing := why_not_compiled():
        raise CudaUnavailableError(
            f"there is no machine code of `{code.kernel.name}` for {arch} and no compiler here "
            f"({missing}); name a folder of machine code in {VARIABLE}"
        )
    store, name = configured(), hashlib.sha256(f"cubin {key} {arch}".encode()).hexdigest()
    if kept := store.get(name):
        entry, _, cubin = kept.partition(b"\0")
        return cubin, entry.decode()
    made, entered = compiled(code, arch, threads)
    store.put(name, entered.encode() + b"\0" + made.cubin)
    return made.cubin, entered


def pack(
    wanted: Iterable[tuple[Code, int | None]],
    architectures: Iterable[str],
    folder: Path,
    jobs: int = 1,
) -> int:
    """Compile kernels into a folder that a machine without a compiler can use; return how many.

    `wanted` are kernels with the most threads of a block; `jobs` processes compile them. Raises
    CudaUnavailableError where the tools are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    kernels = list(wanted)
    for arch in architectures:
        made = _made(kernels, arch, jobs)
        for (code, threads), (cubin, entry) in zip(kernels, made, strict=True):
            key = digest(code, threads)
            name = f"{code.kernel.name}_{code.dtype}_{arch}_{key[:16]}.cubin"
            (folder / name).write_bytes(cubin)
            entries.append({"digest": key, "arch": arch, "file": name, "entry": entry})
    content = {"schema_version": _SCHEMA, "compiler": f"numba-cuda {PINNED}", "kernels": entries}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")
    carried.cache_clear()
    return len(entries)


def _made(
    kernels: Sequence[tuple[Code, int | None]], arch: str, jobs: int
) -> Iterator[tuple[bytes, str]]:
    """Yield the machine code of kernels, and the names of their entries."""
    if jobs == 1:
        yield from (machine_code_of(code, arch, threads) for code, threads in kernels)
        return
    # A copy of a process in which threads run may stop for ever.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as processes:
        codes, threads = zip(*kernels, strict=True)
        yield from processes.map(machine_code_of, codes, repeat(arch), threads)


@lru_cache(maxsize=8)
def carried(folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Return file and entry of every kernel in a folder, by digest and architecture.

    Raises CudaUnavailableError if the folder holds no manifest that can be read.
    """
    try:
        content = json.loads((folder / MANIFEST).read_text())
        if content["schema_version"] != _SCHEMA:
            raise ValueError(f"schema_version is {content['schema_version']}")
        return {
            (each["digest"], each["arch"]): (Path(each["file"]).name, each["entry"])
            for each in content["kernels"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CudaUnavailableError(f"{folder} holds no machine code: {error}") from error


def digest(code: Code, threads: int | None) -> str:
    """Return what tells one kernel from every other: its text, its words, precision and bounds."""
    passed = [each.name for each in code.passed]
    parts = (_words(), code.text, code.dtype, code.kernel.name, threads, passed)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@cache
def _words() -> str:
    """Return a digest of the files that say what the words of kernels become."""
    files = [Path(__file__).with_name(f"{name}.py").read_bytes() for name in _MEANINGS]
    return hashlib.sha256(b"\0".join(files)).hexdigest()


def _folders() -> list[Path]:
    named = os.environ.get(VARIABLE, "")
    return [Path(part) for part in named.split(os.pathsep) if part]


def _compatible(arch: str) -> list[str]:
    """Return the architectures whose machine code a device runs: its own, and earlier minors."""
    major, minor = arch[3:-1], int(arch[-1])
    return [f"sm_{major}{each}" for each in range(minor, -1, -1)]
