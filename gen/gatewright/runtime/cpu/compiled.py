"""Decorators that compile the functions of a generated CPU file with Numba.

The loops over rows and units promise that their arrays do not overlap, which holds because every
value of a Program has an array or a slab of its own; without it LLVM would not use vectors.

Why `error_model="numpy"`: division by zero then gives an infinity, as everywhere in NumPy, and not
an exception from the middle of a sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import config
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions

from gatewright.runtime.cpu.routine import Routine

# Numba has the flag and its code generator honours it, but no option of `njit` sets it.
_options: Any = TargetOptions
CPUTargetOptions.noalias = _options.Mapping("noalias")
_settings: Any = config


OPTIONS: dict[str, Any] = {
    "nopython": True,
    "boundscheck": None,
    "error_model": "numpy",
    "nogil": True,
    "no_cfunc_wrapper": True,
}


def decorator(kind: type[Routine] = Routine, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function with some options besides those of all."""

    def compiled(function: Callable[..., Any]) -> Any:
        if _settings.DISABLE_JIT:
            return function
        return kind(function, targetoptions={**OPTIONS, **options})

    return compiled


device = decorator(forceinline=True)
plain = decorator()
rows = decorator(noalias=True)
units = rows
