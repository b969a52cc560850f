"""The words of generated CUDA files for the emulator: Python and NumPy on one thread at a time.

Why NumPy's functions and not those of `math`: `math.exp` raises OverflowError where a device gives
an infinity, and all of `math` turns float32 into float64.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np

from gatewright.runtime.cuda import tensor_cores
from gatewright.runtime.cuda.emulator import WARP, Meeting, Patience, machine
from gatewright.runtime.cuda.emulator_memory import Pointer, Shared
from gatewright.runtime.cuda.products import flat as flat
from gatewright.runtime.cuda.products import outer as outer
from gatewright.runtime.cuda.products import product as product
from gatewright.runtime.cuda.products import product_transposed as product_transposed
from gatewright.runtime.engine import PlainEngine

Function = TypeVar("Function", bound=Callable[..., Any])
Paused = Generator[Any, Any, Any]

engine = PlainEngine()
word = np.uint32
cos, exp, log, log1p, sin, sqrt, tanh = np.cos, np.exp, np.log, np.log1p, np.sin, np.sqrt, np.tanh


def device(function: Function) -> Function:
    """Return the function as it is."""
    return function


driver = rows = units = whole = device


def thread_number() -> int:
    """Return the number of this thread in its block."""
    return machine().actor.thread


def member_number() -> int:
    """Return the number of this block among those that share its rows."""
    return machine().actor.block % machine().grid[0]


def group_number() -> int:
    """Return the number of the group of blocks that share rows."""
    return machine().actor.block // machine().grid[0]


def this_row() -> int:
    """Return the row of this thread."""
    running = machine()
    block, thread = running.actor.block, running.actor.thread
    return block % running.grid[0] * running.block[1] + thread // running.block[0]


def all_rows() -> int:
    """Return how many rows the grid has threads for."""
    return machine().grid[0] * machine().block[1]


def this_unit() -> int:
    """Return the unit of this thread."""
    running = machine()
    block, thread = running.actor.block, running.actor.thread
    return block // running.grid[0] * running.block[0] + thread % running.block[0]


def local_array(length: int, kind: Any) -> Any:
    """Return an array of this thread's own, in registers; NaN until it is written."""
    empty = np.empty(length, kind)
    empty.fill(np.nan if empty.dtype.kind == "f" else 0xDEAD)
    return empty


def shared_memory(kind: Any) -> Shared:
    """Return the shared memory of this block as an array."""
    running = machine()
    return running.shared[running.actor.block].array(kind)


def shared_four(array: Shared, index: int) -> tuple[Any, ...]:
    """Return four numbers of shared memory from a multiple of four on."""
    return tuple(array.several(index, 4))


def shared_one(array: Shared, index: int) -> Any:
    """Return a number of shared memory."""
    return array[index]


def put_one(array: Shared | Pointer, index: int, value: Any) -> None:
    """Write a number to shared memory, or to an array."""
    array[index] = value


def copy_four(array: Shared, index: int, source: Pointer, first: int) -> None:
    """Begin to copy four numbers of an array to shared memory, from multiples of four on."""
    array.memory.awaited(index * array.size, 4 * array.size, True)
    machine().begun.setdefault(machine().actor.number, []).append((array, index, source, first))


def copied() -> None:
    """Wait until this thread's copies are done. Before, none of them is."""
    for array, index, source, first in machine().begun.pop(machine().actor.number, ()):
        array.copy(index, source, first, 4)


def as_word(value: Any) -> Any:
    """Return the word that a number of float32 is in memory."""
    return np.float32(value).view(np.uint32)


def as_real(bits: Any) -> Any:
    """Return the number of float32 that a word is in memory."""
    return np.uint32(bits).view(np.float32)


def shared_words() -> Shared:
    """Return the shared memory of this block as words of 32 bits."""
    return shared_memory(np.uint32)


def rounded(kind: int, value: Any) -> Any:
    """Return a number as it is multiplied: itself, or the nearest of tf32."""
    return tensor_cores.tf32(value)[()] if kind else value


def packed(kind: int, low: Any, high: Any) -> Any:
    """Return two numbers, rounded to 16 bits each, as one word."""
    return tensor_cores.pack(kind, low, high)


def multiply_tiles(kind: int, *operands: Any, site: str) -> Paused:
    """Return the product of a tile [16, 8 words] and one [8 words, 8], plus a third.

    Six words and four sums of each thread, laid out as the instructions `mma` want them.
    """

    def product(values: list[Any]) -> list[Any]:
        return tensor_cores.product_of_tiles(kind, values)

    answer = yield Meeting(site, True, operands, product)
    return answer


def syncthreads(*, site: str) -> Paused:
    """Wait for all threads of the block."""
    yield Meeting(site)


def release(counter: Pointer, index: int) -> None:
    """Add one to a counter, after all that the block did before its last `syncthreads`."""
    running = machine()
    address = counter.base + int(index) * counter.size
    told = running.told.get(address, [0] * running.blocks)
    running.told[address] = list(map(max, told, running.actor.published()))
    counter.flat[index] += 1


def wait_for(counter: Pointer, index: int, value: int, *, site: str) -> Paused:
    """Wait until a counter has reached a value; see all that was done before it was raised."""
    yield Patience(site, counter, int(index), int(value))


def shuffle_xor(value: Any, mask: int, *, site: str) -> Paused:
    """Return the value of the lane whose number differs from this one's in the bits of `mask`."""

    def exchanged(values: list[Any]) -> list[Any]:
        return [values[lane ^ mask] for lane in range(len(values))]

    assert mask < WARP
    answer = yield Meeting(f"{site}, mask {mask}", True, value, exchanged)
    return answer
