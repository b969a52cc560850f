"""The door to PyTorch: where it is needed, and one sentence where it is missing.

Why late: a generated file is loaded, compiled and shown on machines that have no PyTorch.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from gatewright.runtime.cuda.availability import CudaUnavailableError


@cache
def torch() -> Any:
    """Return the module. Raises CudaUnavailableError where it is not installed."""
    try:
        import torch as module
    except ImportError as error:
        raise CudaUnavailableError(
            "matrix products on a GPU are PyTorch's: install gatewright[torch]"
        ) from error
    return module


def is_tensor(value: object) -> bool:
    """Tell whether a value is a tensor, without importing PyTorch for it."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "data_ptr")


def dtype_of(name: str) -> Any:
    """Return the tensor type called `float32`, `float64`, `int32` and so on."""
    return getattr(torch(), name)
