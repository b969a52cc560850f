"""What generated CUDA files import: marks for kernels, matrix products, and the words of kernels.

`rows` and `units` mark kernels, `device` functions that kernels call, `driver` functions of the
host. A kernel has a thread for each of its rows and units, `this_row()` and `this_unit()`; a sum
goes on in strides of `all_rows()`. The words that only kernels use stand for themselves here; their
meanings are in `compiled.py` and `emulated.py`.

Why importing needs no driver and no compiler: the text of a generated file is also shown, compiled
and emulated on machines without a device. Only a launch raises CudaUnavailableError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatewright.runtime.cuda.availability import (
    CudaUnavailableError,
    available,
    simulated,
    why_unavailable,
)
from gatewright.runtime.cuda.kernel import (
    Kernel,
    device,
    driver,
    only_in_kernels,
    rows,
    units,
    whole,
)
from gatewright.runtime.cuda.products import flat, outer, product, product_transposed
from gatewright.runtime.engine import PlainEngine

engine = PlainEngine()

WORDS = {
    "all_rows", "as_real", "as_word", "copied", "copy_four", "cos", "exp", "group_number",
    "local_array", "log", "log1p", "member_number", "multiply_tiles", "packed", "put_one",
    "release", "rounded", "shared_four", "shared_memory", "shared_one", "shared_words",
    "shuffle_xor", "sin", "sqrt", "syncthreads", "tanh", "this_row", "this_unit", "thread_number",
    "wait_for", "word",
}  # fmt: skip


def __getattr__(name: str) -> Callable[..., Any]:
    if name in WORDS:
        return only_in_kernels(name)
    raise AttributeError(name)


__all__ = [
    "WORDS",
    "CudaUnavailableError",
    "Kernel",
    "available",
    "device",
    "driver",
    "engine",
    "flat",
    "outer",
    "product",
    "product_transposed",
    "rows",
    "simulated",
    "units",
    "whole",
    "why_unavailable",
]
