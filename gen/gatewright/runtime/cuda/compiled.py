"""The words of generated CUDA files for the compiler: what Numba makes of them.

Importing needs numba-cuda; no device and no driver.

Why every function of kernels is inlined: only then does Numba compile one without asking a driver
for the device it is meant for.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, TypeVar

from gatewright.runtime.cuda.compiled_memory import (
    acquired,
    pack_bfloat16,
    pack_float16,
    round_tf32,
    tiles_bfloat16,
    tiles_float16,
    tiles_tf32,
)
from gatewright.runtime.cuda.compiled_memory import as_real as as_real
from gatewright.runtime.cuda.compiled_memory import as_word as as_word
from gatewright.runtime.cuda.compiled_memory import copied as copied
from gatewright.runtime.cuda.compiled_memory import copy_four as copy_four
from gatewright.runtime.cuda.compiled_memory import group_number as group_number
from gatewright.runtime.cuda.compiled_memory import member_number as member_number
from gatewright.runtime.cuda.compiled_memory import put_one as put_one
from gatewright.runtime.cuda.compiled_memory import release as release
from gatewright.runtime.cuda.compiled_memory import shared_four as shared_four
from gatewright.runtime.cuda.compiled_memory import shared_one as shared_one
from gatewright.runtime.cuda.compiled_memory import thread_number as thread_number
from gatewright.runtime.cuda.numba_cuda import numba_cuda
from gatewright.runtime.cuda.products import flat as flat
from gatewright.runtime.cuda.products import outer as outer
from gatewright.runtime.cuda.products import product as product
from gatewright.runtime.cuda.products import product_transposed as product_transposed
from gatewright.runtime.cuda.trigonometry import sine_and_cosine
from gatewright.runtime.engine import PlainEngine

Function = TypeVar("Function", bound=Callable[..., Any])

engine = PlainEngine()
cuda = numba_cuda()
exp, log, log1p, sqrt, tanh = math.exp, math.log, math.log1p, math.sqrt, math.tanh
sin, cos = math.sin, math.cos
word = cuda.types.uint32
syncthreads = cuda.syncthreads


def device(function: Function) -> Function:
    """Make a function that kernels call; it is expanded where it is called."""
    made: Function = cuda.jit(device=True, inline="always")(function)
    return made


def driver(function: Function) -> Function:
    """Return a function of the host as it is; it is not compiled."""
    return function


rows = units = whole = driver


@device
def this_row() -> Any:
    """Return the row of this thread."""
    return cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y


@device
def all_rows() -> Any:
    """Return how many rows the grid has threads for."""
    return cuda.gridDim.x * cuda.blockDim.y


@device
def this_unit() -> Any:
    """Return the unit of this thread."""
    return cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x


@device
def local_array(length: Any, kind: Any) -> Any:
    """Return an array of this thread's own, in registers if its indices are known."""
    return cuda.local.array(length, kind)


@device
def shared_memory(kind: Any) -> Any:
    """Return the shared memory of this block as an array."""
    return cuda.shared.array(0, kind, 16)


@device
def shared_words() -> Any:
    """Return the shared memory of this block as words of 32 bits."""
    return cuda.shared.array(0, word, 16)


@device
def shuffle_xor(value: Any, mask: Any) -> Any:
    """Return the value of the lane whose number differs from this one's in the bits of `mask`."""
    return cuda.shfl_xor_sync(0xFFFFFFFF, value, mask)


@device
def rounded(kind: Any, value: Any) -> Any:
    """Return a number as it is multiplied: itself, or the nearest of tf32."""
    return value if kind == 0 else round_tf32(value)


@device
def packed(kind: Any, low: Any, high: Any) -> Any:
    """Return two numbers, rounded to 16 bits each, as one word."""
    return pack_bfloat16(low, high) if kind == 1 else pack_float16(low, high)


@device
def multiply_tiles(
    kind: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, s: Any, t: Any, u: Any, v: Any
) -> Any:
    """Return the product of two tiles, of words, plus a third tile."""
    if kind == 1:
        found = tiles_bfloat16(a, b, c, d, e, f, s, t, u, v)
    elif kind == 2:
        found = tiles_float16(a, b, c, d, e, f, s, t, u, v)
    else:
        found = tiles_tf32(a, b, c, d, e, f, s, t, u, v)
    return found


@device
def wait_for(counter: Any, index: Any, value: Any) -> None:
    """Wait until a counter has reached a value; see all that was done before it was raised."""
    while acquired(counter, index) < value:
        pass


def single_precision() -> dict[str, Any]:
    """Return the words that a kernel in single precision takes instead of those of `math`."""
    types, libdevice = cuda.types, importlib.import_module("numba.cuda.libdevice")
    sine, cosine = sine_and_cosine(
        device, types.uint64, types.float32, types.int64, libdevice.float_as_int
    )
    return {"sin": sine, "cos": cosine}
