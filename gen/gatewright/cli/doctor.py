"""The command `doctor`: what this machine has, for a report and for an explanation of speed."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import click

from gatewright import __version__
from gatewright.cli.output import print_json, table

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "sympy", "jinja2", "PyYAML", "click")
EXTRAS = ("numba-cuda", "torch", "jax", "onnx", "onnxruntime")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """Print versions, processor features, CUDA, and where the catalogue is."""
    facts = {**_python(), **_packages(), **_processor(), **_cuda(), **_catalogue()}
    if as_json:
        print_json(**facts)
        return
    click.echo(table(("", ""), list(facts.items())).strip())


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
    import os

    import llvmlite.binding as llvm
    from numba import config

    features = llvm.get_host_cpu_features()
    wide = [name for name in ("avx512f", "avx2", "neon") if features.get(name)]
    return {
        "processor": str(llvm.get_host_cpu_name()),
        "vector units": ", ".join(wide) or "none known",
        "cores": str(os.cpu_count()),
        "numba threading": str(getattr(config, "THREADING_LAYER", "unknown")),
        "SVML": "operational" if getattr(config, "USING_SVML", False) else "not operational",
    }


def _cuda() -> dict[str, str]:
    from gatewright.runtime.cuda.availability import simulated, why_unavailable

    if simulated():
        return {"cuda": "simulated"}
    return {"cuda": why_unavailable() or "available"}


def _catalogue() -> dict[str, str]:
    from gatewright.language import catalogue
    from gatewright.resources import data_folder

    return {"catalogue": f"{data_folder('specs')} ({len(catalogue.names())} cells)"}
