"""The commands `doctor` and `cache`: what this machine has, and what is kept on it.

Why `doctor` tells about the cache: where a first call takes seconds every time, it says why.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import click

from gatewright import __version__
from gatewright.cli.output import print_json, table
from gatewright.runtime.processors import processors

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "sympy", "jinja2", "PyYAML", "click")
EXTRAS = ("numba-cuda", "torch", "jax", "onnx", "onnxruntime")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """Print versions, processor and CUDA, and where things are."""
    facts = {**_python(), **_packages(), **_processor(), **_cuda(), **_catalogue(), **_cache()}
    if as_json:
        print_json(**facts)
        return
    click.echo(table(("", ""), list(facts.items())).strip())


@click.command()
@click.option("--clear", is_flag=True, help="Remove all of it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cache(clear: bool, as_json: bool) -> None:
    """Print where compiled kernels are kept, and their size."""
    from gatewright.runtime.store import configured

    removed = configured().clear() if clear else 0
    facts = _cache()
    if as_json:
        print_json(**facts, removed=removed)
        return
    click.echo(facts["cache"])
    if clear:
        click.echo(f"removed {_megabytes(removed)}", err=True)


def _python() -> dict[str, str]:
    return {
        "gatewright": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "encoding": sys.stdout.encoding,
    }


def _packages() -> dict[str, str]:
    found = {}
    for name in (*PACKAGES, *EXTRAS):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed" + (" (optional)" if name in EXTRAS else "")
    return found


def _processor() -> dict[str, str]:

    import llvmlite.binding as llvm
    from numba import config

    features = llvm.get_host_cpu_features()
    wide = [name for name in ("avx512f", "avx2", "neon") if features.get(name)]
    return {
        "processor": str(llvm.get_host_cpu_name()),
        "vector units": ", ".join(wide) or "none known",
        "cores": str(processors()),
        "numba threading": str(getattr(config, "THREADING_LAYER", "unknown")),
        "SVML": "operational" if getattr(config, "USING_SVML", False) else "not operational",
    }


def _cuda() -> dict[str, str]:
    from gatewright.runtime.cuda import simulated, why_unavailable
    from gatewright.runtime.cuda.compiler import why_not_compiled

    cuda = "emulated" if simulated() else why_unavailable() or "available"
    return {"cuda": cuda, "cuda compiler": why_not_compiled() or "available"}


def _catalogue() -> dict[str, str]:
    from gatewright.language import catalogue
    from gatewright.resources import data_folder

    return {"catalogue": f"{data_folder('specs')} ({len(catalogue.names())} cells)"}


def _cache() -> dict[str, str]:
    from gatewright.runtime.store import configured

    store = configured()
    if reason := store.why_not():
        return {"cache": f"off: {reason}"}
    count, size = store.usage()
    held = f"{count} files, {_megabytes(size)} of at most {_megabytes(store.limit)}"
    return {"cache": f"{store.folder} ({held})"}


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
