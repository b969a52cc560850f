"""The door to PyTorch: where it is needed, and one sentence where it is missing.

Why late: a generated file is loaded, compiled and shown on machines that have no PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def tf32() -> Iterator[None]:
    """Let PyTorch multiply float32 as tf32 on a GPU, and set its switch back."""
    switch = torch().backends.cuda.matmul
    newer = getattr(switch, "fp32_precision", None)
    before: Any
    wanted: Any
    try:
        before, name, wanted = switch.allow_tf32, "allow_tf32", True
    except RuntimeError:
        # Where the newer switch was set, the older one cannot be read.
        before, name, wanted = switch.fp32_precision, "fp32_precision", "tf32"
    if before == wanted:
        yield
        return
    setattr(switch, name, wanted)
    try:
        yield
    finally:
        setattr(switch, name, before)
        # The older switch leaves "ieee" in the newer one, where "none" follows the global one.
        if newer is not None:
            switch.fp32_precision = newer
