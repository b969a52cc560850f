"""What generated CUDA files import: marks for kernels, matrix products, and the words of kernels.

`rows` and `units` mark kernels, `device` functions that kernels call, `driver` functions of the
host. A kernel has a thread for each of its rows and units, `this_row()` and `this_unit()`; a sum
goes on in strides of `all_rows()`. The words that only kernels use stand for themselves here; their
meanings are in `compiled.py` and `emulated.py`.

Why importing needs no driver and no compiler: the text of a generated file is also shown, compiled
and emulated on machines without a device. Only a launch raises CudaUnavailableError.
"""

from __future__ import annotations

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

all_rows = only_in_kernels("all_rows")
cos = only_in_kernels("cos")
exp = only_in_kernels("exp")
log = only_in_kernels("log")
log1p = only_in_kernels("log1p")
sin = only_in_kernels("sin")
sqrt = only_in_kernels("sqrt")
tanh = only_in_kernels("tanh")
this_row = only_in_kernels("this_row")
this_unit = only_in_kernels("this_unit")

__all__ = [
    "CudaUnavailableError",
    "Kernel",
    "all_rows",
    "available",
    "cos",
    "device",
    "driver",
    "engine",
    "exp",
    "flat",
    "log",
    "log1p",
    "outer",
    "product",
    "product_transposed",
    "rows",
    "simulated",
    "sin",
    "sqrt",
    "tanh",
    "this_row",
    "this_unit",
    "units",
    "whole",
    "why_unavailable",
]
