"""What generated CUDA files import: decorators, visitors, matrix products and scalar primitives.

`rows` and `units` make a kernel that is called like a plain function, `device` makes a function
that kernels call, `driver` leaves a host function as it is. A kernel visits its rows and units from
`first_row()` and `first_unit()` in strides of `all_rows()` and `all_units()`.

Why importing needs no driver: the text of a generated file is also compiled, counted and simulated
on machines without a device. Only a launch raises CudaUnavailableError.
"""

from __future__ import annotations

from gatewright.runtime.cuda.availability import (
    CudaUnavailableError,
    available,
    simulated,
    why_unavailable,
)
from gatewright.runtime.cuda.launch import (
    Launcher,
    all_rows,
    all_units,
    device,
    driver,
    first_row,
    first_unit,
    rows,
    units,
)
from gatewright.runtime.cuda.memory import DeviceMemory
from gatewright.runtime.cuda.products import flat, outer, product, product_transposed
from gatewright.runtime.cuda.scalars import cos, exp, log, log1p, sin, sqrt, tanh
from gatewright.runtime.engine import PlainEngine

engine = PlainEngine()

__all__ = [
    "CudaUnavailableError",
    "DeviceMemory",
    "Launcher",
    "all_rows",
    "all_units",
    "available",
    "cos",
    "device",
    "driver",
    "engine",
    "exp",
    "first_row",
    "first_unit",
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
    "units",
    "why_unavailable",
]
