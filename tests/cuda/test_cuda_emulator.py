"""The emulator of kernels: what a device would do, and everything that it must find out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cuda.kernel_texts import buffer, emulate

from gatewright.runtime.cuda.emulator import ORDERS, Machine
from gatewright.runtime.cuda.emulator_memory import EmulationError
from gatewright.runtime.cuda.emulator_text import barriers, pausing, without_barrier

orders = pytest.mark.parametrize("order", ORDERS)

REVERSE = """
def kernel(x, y):
    kept, at = shared_memory(real), thread_number()
    kept[at] = x[at]
    syncthreads()
    y[at] = kept[3 - at]
"""


@orders
def test_threads_of_a_block_exchange_through_shared_memory(order: str) -> None:
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    emulate(REVERSE, {"x": x, "y": y}, shared=16, order=order)
    assert y.tolist() == [3, 2, 1, 0]


TURNS = """
def meet(counters, target):
    syncthreads()
    if thread_number() == 0:
        release(counters, 0)
        wait_for(counters, 0, target)
    syncthreads()

def kernel(T, x, counters):
    width = 4 * 3
    at = 4 * member_number() + thread_number()
    for t in range(T):
        x[(t + 1) * width + at] = x[t * width + (at + 5) % width] + real(1)
        meet(counters, 3 * (t + 1))
"""


@orders
def test_blocks_exchange_through_global_memory_and_a_barrier(order: str) -> None:
    T, width = 4, 12
    x = np.zeros((T + 1, width), np.float32)
    x[0] = np.arange(width)
    emulate(TURNS, {"T": T, "x": x.reshape(-1), "counters": np.zeros(1, np.uint32)}, 3, order=order)
    for t in range(T):
        assert (x[t + 1] == np.roll(x[t], -5) + 1).all()


@pytest.mark.parametrize("number", range(barriers(REVERSE)))
@orders
def test_a_missing_barrier_of_a_block_is_found_in_every_order(number: int, order: str) -> None:
    text, where = without_barrier(REVERSE, number)
    assert where == "syncthreads(), line 5"
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    with pytest.raises(EmulationError, match=r"race|before anything is written"):
        emulate(text, {"x": x, "y": y}, shared=16, order=order)


def turns(text: str, order: str) -> None:
    T = 3
    x = np.zeros((T + 1) * 12, np.float32)
    emulate(text, {"T": T, "x": x, "counters": np.zeros(1, np.uint32)}, 3, order=order)


@pytest.mark.parametrize("number", range(barriers(TURNS)))
@orders
def test_a_missing_part_of_a_grid_barrier_is_found_in_every_order(number: int, order: str) -> None:
    text, where = without_barrier(TURNS, number)
    assert where
    with pytest.raises(EmulationError, match=r"race|deadlock"):
        turns(text, order)


def test_a_barrier_that_waits_for_too_few_is_found() -> None:
    with pytest.raises(EmulationError, match="race"):
        turns(TURNS.replace("3 * (t + 1)", "2 * (t + 1)"), "random")


def test_a_barrier_that_waits_for_too_many_is_a_deadlock() -> None:
    with pytest.raises(EmulationError, match=r"deadlock: 12 threads .* wait_for in meet, line"):
        turns(TURNS.replace("3 * (t + 1)", "4 * (t + 1)"), "first")


def test_a_barrier_that_only_some_threads_reach_is_found() -> None:
    body = """
def kernel(y):
    if thread_number() < 2:
        syncthreads()
    y[thread_number()] = real(1)
"""
    with pytest.raises(EmulationError, match="deadlock: 2 threads"):
        emulate(body, {"y": np.zeros(4, np.float32)})


def test_two_different_barriers_are_not_one() -> None:
    body = """
def kernel(y):
    if thread_number() < 2:
        syncthreads()
    else:
        syncthreads()
"""
    with pytest.raises(EmulationError, match=r"divergence in block 0: .* line 7.* line 9"):
        emulate(body, {"y": np.zeros(4, np.float32)}, order="first")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("y[4] = real(0)", "leaves y with index 4"),
        ("y[-1] = real(0)", "leaves y with index -1"),
        ("y[real(1)] = real(0)", "no whole number"),
        ("y[0] = x[2]", "leaves x with index 2"),
        ("y[0] = real(thread_number())", "race: block 0 thread"),
        ("y[0] = shared_memory(real)[0]", "before anything is written"),
        ("shared_memory(real)[8] = real(0)", "leaves shared memory"),
        ("shared_four(shared_memory(real), 1)", "not aligned to 16"),
    ],
)
def test_a_fault_is_found_and_named(body: str, message: str) -> None:
    x = buffer(np.arange(8, dtype=np.float32), width=2, pitch=4)
    arguments = {"x": x, "y": np.zeros(4, np.float32)}
    with pytest.raises(EmulationError, match=message):
        emulate(f"def kernel(x, y):\n    {body}\n", arguments, shared=32)


def test_a_column_of_a_wider_array_is_left_when_its_neighbour_is_read() -> None:
    x = buffer(np.arange(6, dtype=np.float32), width=2, pitch=4)
    y = np.zeros(4, np.float32)
    emulate("def kernel(x, y):\n    y[0] = x[5]\n", {"x": x, "y": y}, threads=1)
    assert y[0] == 5


@given(st.integers(0, 4), st.lists(st.integers(-100, 100), min_size=32, max_size=32))
def test_lanes_exchange_values(bit: int, values: list[int]) -> None:
    x, y = np.array(values, np.float32), np.zeros(32, np.float32)
    body = f"""
def kernel(x, y):
    at = thread_number()
    y[at] = shuffle_xor(x[at], {1 << bit})
"""
    emulate(body, {"x": x, "y": y}, threads=32)
    assert (y == x[np.arange(32) ^ (1 << bit)]).all()


def test_precision_and_overflow_are_a_devices() -> None:
    body = "def kernel(x, y):\n    y[0] = real(1) / (real(1) + exp(-x[0]))\n"
    x, y = np.array([-1000], np.float32), np.full(1, np.nan, np.float32)
    emulate(body, {"x": x, "y": y}, threads=1)
    assert y[0] == 0
    x[0] = 1
    emulate(body, {"x": x, "y": y}, threads=1)
    assert y[0] == np.float32(1) / (np.float32(1) + np.exp(np.float32(-1)))


def test_registers_hold_nothing_before_they_are_written() -> None:
    y = np.zeros(1, np.float32)
    emulate("def kernel(y):\n    y[0] = local_array(2, real)[1]\n", {"y": y}, threads=1)
    assert np.isnan(y[0])


def test_functions_that_wait_are_found_through_those_they_call() -> None:
    text = "def a():\n    b()\n\ndef b():\n    syncthreads()\n\ndef c():\n    pass\n"
    paused, names = pausing(text)
    assert names == {"a", "b"}
    assert "yield from b()" in paused
    assert "syncthreads in b, line 5" in paused
    assert pausing("def a():\n    b()\n")[1] == frozenset()
    assert pausing("def a():\n    b()\n", frozenset({"b"}))[1] == {"a"}


def test_a_seed_gives_the_same_order_again() -> None:
    def seen(seed: int) -> list[Any]:
        body = """
def kernel(y, counters):
    syncthreads()
    release(counters, 0)
    y[thread_number()] = real(counters.flat[0])
"""
        y = np.zeros(16, np.float32)
        arguments = {"y": y, "counters": np.zeros(1, np.uint32)}
        emulate(body, arguments, threads=16, seed=seed)
        return y.tolist()

    assert seen(1) == seen(1)
    assert seen(1) != seen(2)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order must be one of first, last, random"):
        Machine((1, 1), (1, 1), order="fifo")
