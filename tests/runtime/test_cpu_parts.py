"""Products, parts and threads of the CPU target: right for any split, never waiting for ever."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.loaded import load
from gatewright.runtime.buffers import Buffers
from gatewright.runtime.cpu.parts import new_shared, whole
from gatewright.runtime.cpu.plans import CpuEngine, plan_rows, plan_steps
from gatewright.runtime.cpu.products import (
    outer,
    outer_more,
    pack,
    pack_transposed,
    packed_shape,
    product,
    product_transposed,
)
from gatewright.runtime.cpu.threads import Plan, run
from gatewright.runtime.engine import Work
from gatewright.runtime.kernels import HostMemory, Kernels
from gatewright.runtime.load import load_module
from gatewright.runtime.validate import Array

SIZE = st.integers(1, 140)


def packed(weights: tuple[Array, ...], transposed: bool) -> tuple[Array, ...]:
    found = []
    for weight in weights:
        rows, columns = weight.shape[::-1] if transposed else weight.shape
        found.append(np.full(packed_shape(rows, columns, weight.itemsize), np.nan, weight.dtype))
    (pack_transposed if transposed else pack)(whole(), weights, tuple(found))
    return tuple(found)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 40), SIZE, SIZE, st.integers(1, 4), st.booleans(), st.booleans())
def test_products_are_right_for_any_size_and_split(
    rows: int, depth: int, columns: int, count: int, by_units: bool, single: bool
) -> None:
    dtype = np.float32 if single else np.float64
    stream = np.random.default_rng(rows + 1000 * depth + columns)

    def draw(*shape: int) -> Array:
        return stream.standard_normal(shape).astype(dtype)

    operand, weights = draw(rows, depth), (draw(columns, depth), draw(columns, depth))
    results = tuple(np.full((rows, columns), np.nan, dtype) for _ in weights)
    lefts = (draw(rows, columns), draw(rows, columns))
    pulled = np.full((rows, depth), np.nan, dtype)
    gradients = tuple(np.full((columns, depth), np.nan, dtype) for _ in weights)
    for index in range(count):
        part = (index, count, int(by_units), new_shared(count))
        product(part, operand, packed(weights, False), results)
        product_transposed(part, lefts, packed(weights, True), pulled)
        outer(part, lefts, operand, gradients)
    limit = 1e-4 if single else 1e-12
    for weight, result, left, gradient in zip(weights, results, lefts, gradients, strict=True):
        np.testing.assert_allclose(result, operand @ weight.T, rtol=0, atol=limit)
        np.testing.assert_allclose(gradient, left.T @ operand, rtol=0, atol=limit)
    expected = sum(left @ weight for left, weight in zip(lefts, weights, strict=True))
    np.testing.assert_allclose(pulled, expected, rtol=0, atol=limit)
    twice = tuple(gradient.copy() for gradient in gradients)
    outer_more(whole(), lefts, operand, twice)
    np.testing.assert_allclose(twice[0], 2 * gradients[0], rtol=1e-4, atol=limit)


def sequence(threads: int, by_units: bool | None = None) -> list[Array]:
    """Return every result of a run of the GRU, with its plan forced if one is given."""
    gru = load("gru")
    engine: Any = CpuEngine(threads)
    if by_units is not None:
        forced = Plan(threads, by_units, "forced")

        class Forced(CpuEngine):
            def run_steps(self, routine: Any, arguments: Any, work: Work) -> None:
                run(routine, forced, arguments)

        engine = Forced(threads)
    kernels = Kernels(_module(), HostMemory(np.nan), engine=engine)
    parameters = gru.init(input=40, hidden=200, seed=1, dtype="float64")
    x = np.random.default_rng(0).standard_normal((9, 11, 40))
    result = kernels.forward(parameters, x)
    found = kernels.backward(result, np.ones_like(result.y))
    return [result.y, found.x, *found.state.values(), *found.parameters.values()]


_LOADED: list[Any] = []


def _module() -> Any:
    if not _LOADED:
        _LOADED.append(load_module(load("gru").source("cpu"), "cpu", "float64"))
    return _LOADED[0]


def same(first: list[Array], second: list[Array]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("by_units", [True, False])
def test_any_plan_gives_the_bits_of_one_thread(threads: int, by_units: bool) -> None:
    # More threads than processors too: the barrier must not wait for one that cannot run.
    assert same(sequence(1), sequence(threads, by_units))


def test_two_python_threads_at_once_get_their_own_results() -> None:
    expected = sequence(1)
    with ThreadPoolExecutor(4) as pool:
        for result in [pool.submit(sequence, 3, True) for _ in range(12)]:
            assert same(result.result(timeout=120), expected)


def _in_child(queue: Any) -> None:
    queue.put(same(sequence(1), sequence(2, True)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    sequence(2, True)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=120)
    child.join(timeout=60)
    assert child.exitcode == 0


def test_what_a_thread_raises_reaches_the_caller_and_the_pool_lives_on() -> None:
    def failing(part: tuple[int, ...]) -> None:
        if part[0] == 1:
            raise ValueError("seeded")

    with pytest.raises(ValueError, match="seeded"):
        run(failing, Plan(3, True, ""), ())
    seen: list[int] = []
    lock = threading.Lock()

    def working(part: tuple[int, ...]) -> None:
        with lock:
            seen.append(part[0])

    run(working, Plan(3, True, ""), ())
    assert sorted(seen) == [0, 1, 2]


def test_a_plan_says_why() -> None:
    tiny = plan_steps(Work(T=1, B=1, units=4, multiplied=64, products=1, itemsize=4), 4)
    assert (tiny.threads, "one thread" in tiny.why) == (1, True)
    wide = Work(T=100, B=64, units=512, multiplied=4 * 512 * 512, products=1, itemsize=4)
    assert plan_steps(wide, 4).by_units
    assert "by units" in plan_steps(wide, 4).why
    narrow = Work(T=100, B=256, units=32, multiplied=4 * 32 * 32, products=1, itemsize=4)
    assert not plan_steps(narrow, 4).by_units
    assert plan_rows(wide, 4).threads == 4


def test_a_buffer_is_used_again_only_when_nothing_refers_to_it() -> None:
    pool = Buffers()
    first = pool.empty((300, 400), "float64")
    address = first.ctypes.data
    assert address % 64 == 0
    view = first[7:9, 3]
    del first
    assert pool.empty((300, 400), "float64").ctypes.data != address
    del view
    assert pool.empty((300, 400), "float64").ctypes.data == address
