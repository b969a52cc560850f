"""What generated CPU files import: decorators, matrix products and scalar primitives for Numba.

`device`, `rows`, `units` and `driver` compile a function with NumPy's rules for division and
without the interpreter lock. The products take tuples of arrays: gates that share an operand come
as one call, which is where tiles that hold all gates of a unit belong.

Why no `fastmath`: it would make NaN checks vanish. Only products and polynomials contract, and they
ask for each fused multiply-add by name.
"""

from __future__ import annotations

from gatewright.runtime.cpu.compiled import device, rows, units
from gatewright.runtime.cpu.drivers import driver
from gatewright.runtime.cpu.functions import cos, exp, log, log1p, sigmoid, sin, sqrt, tanh
from gatewright.runtime.cpu.parts import by_units, meet, rows_of, units_of, wait
from gatewright.runtime.cpu.peak import peak
from gatewright.runtime.cpu.plans import engine
from gatewright.runtime.cpu.products import outer, product, product_transposed
from gatewright.runtime.cpu.slabs import flat

__all__ = [
    "by_units",
    "cos",
    "device",
    "driver",
    "engine",
    "exp",
    "flat",
    "log",
    "log1p",
    "meet",
    "outer",
    "peak",
    "product",
    "product_transposed",
    "rows",
    "rows_of",
    "sigmoid",
    "sin",
    "sqrt",
    "tanh",
    "units",
    "units_of",
    "wait",
]
