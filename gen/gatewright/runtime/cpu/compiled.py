"""Decorators that compile the functions of a generated CPU file with Numba.

The loops over rows and units promise that their arrays do not overlap, which holds because every
value of a Program has an array or a slab of its own; without it LLVM would not use vectors.

Why `error_model="numpy"`: division by zero then gives an infinity, as everywhere in NumPy, and not
an exception from the middle of a sequence.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions

# Numba has the flag and its code generator honours it, but no option of `njit` sets it.
_options: Any = TargetOptions
CPUTargetOptions.noalias = _options.Mapping("noalias")
_njit: Any = njit

device = njit(error_model="numpy", nogil=True, forceinline=True)
driver = njit(error_model="numpy", nogil=True)
rows = _njit(error_model="numpy", nogil=True, noalias=True)
units = rows
