"""gatewright: recurrent cells from YAML to checked kernels.

`import gatewright` is light: SymPy, Numba and the rest are imported when something needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gatewright.layers import layer as layer
    from gatewright.layers import unit as unit
    from gatewright.loaded import LoadedCell as LoadedCell
    from gatewright.loaded import load as load

# Imported when asked for: `gatewright.onnx.export` needs onnx, `gatewright.load` does not.
MODULES = ("jax", "keras", "onnx", "torch", "transforms")

__all__ = ["LoadedCell", "__version__", "layer", "load", "unit"]


def __getattr__(name: str) -> Any:
    if name in ("load", "LoadedCell"):
        from gatewright import loaded

        return getattr(loaded, name)
    if name in ("layer", "unit"):
        return getattr(importlib.import_module("gatewright.layers"), name)
    if name in MODULES:
        return importlib.import_module(f"gatewright.{name}")
    raise AttributeError(f"module 'gatewright' has no attribute {name!r}")
