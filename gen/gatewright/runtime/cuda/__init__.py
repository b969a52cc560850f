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
far_four = only_in_kernels("far_four")
group_number = only_in_kernels("group_number")
local_array = only_in_kernels("local_array")
log = only_in_kernels("log")
log1p = only_in_kernels("log1p")
member_number = only_in_kernels("member_number")
multiply_tiles = only_in_kernels("multiply_tiles")
packed = only_in_kernels("packed")
put_four = only_in_kernels("put_four")
put_one = only_in_kernels("put_one")
release = only_in_kernels("release")
shared_four = only_in_kernels("shared_four")
shared_memory = only_in_kernels("shared_memory")
shared_words = only_in_kernels("shared_words")
shuffle_xor = only_in_kernels("shuffle_xor")
sin = only_in_kernels("sin")
sqrt = only_in_kernels("sqrt")
syncthreads = only_in_kernels("syncthreads")
tanh = only_in_kernels("tanh")
this_row = only_in_kernels("this_row")
this_unit = only_in_kernels("this_unit")
thread_number = only_in_kernels("thread_number")
wait_for = only_in_kernels("wait_for")
word = only_in_kernels("word")

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
    "far_four",
    "flat",
    "group_number",
    "local_array",
    "log",
    "log1p",
    "member_number",
    "multiply_tiles",
    "outer",
    "packed",
    "product",
    "product_transposed",
    "put_four",
    "put_one",
    "release",
    "rows",
    "shared_four",
    "shared_memory",
    "shared_words",
    "shuffle_xor",
    "simulated",
    "sin",
    "sqrt",
    "syncthreads",
    "tanh",
    "this_row",
    "this_unit",
    "thread_number",
    "units",
    "wait_for",
    "whole",
    "why_unavailable",
    "word",
]
