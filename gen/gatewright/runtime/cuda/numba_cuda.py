"""The door to numba-cuda: the compiler of kernels, in the version that made our machine code.

Why pinned and asked before use: numba-cuda needs a NumPy below 2.5 and CUDA packages that agree on
one version, and fails in the middle of a compilation where they do not.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from functools import cache
from typing import Any

import numpy as np

from gatewright.runtime.cuda.availability import CudaUnavailableError

PINNED = "0.30"
_FIRST_WRONG_NUMPY = "2.5.0"


@cache
def why_no_compiler() -> str:
    """Return a sentence why kernels cannot be compiled here, empty if they can."""
    try:
        version = importlib.metadata.version("numba-cuda")
    except importlib.metadata.PackageNotFoundError:
        return "the package numba-cuda is missing: install gatewright[cuda]"
    if not version.startswith(f"{PINNED}."):
        return f"numba-cuda {PINNED} is needed; this is {version}: install gatewright[cuda]"
    if np.lib.NumpyVersion(np.__version__) >= _FIRST_WRONG_NUMPY:
        return f"numba-cuda needs NumPy below 2.5; this is {np.__version__}"
    return ""


@cache
def numba_cuda() -> Any:
    """Return the module `numba.cuda`. Raises CudaUnavailableError where it cannot be used."""
    if reason := why_no_compiler():
        raise CudaUnavailableError(reason)
    return importlib.import_module("numba.cuda")
