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
from gatewright.runtime.cpu import threads as pools
from gatewright.runtime.cpu.packing import pack, pack_transposed, packed_shape
from gatewright.runtime.cpu.parts import new_shared, whole
from gatewright.runtime.cpu.plans import CpuEngine, plan
from gatewright.runtime.cpu.products import outer, product, product_transposed
from gatewright.runtime.cpu.threads import run
from gatewright.runtime.engine import Plan, Work
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
        outer(part, False, lefts, operand, gradients)
    limit = 1e-4 if single else 1e-12
    for weight, result, left, gradient in zip(weights, results, lefts, gradients, strict=True):
        np.testing.assert_allclose(result, operand @ weight.T, rtol=0, atol=limit)
        np.testing.assert_allclose(gradient, left.T @ operand, rtol=0, atol=limit)
    expected = sum(left @ weight for left, weight in zip(lefts, weights, strict=True))
    np.testing.assert_allclose(pulled, expected, rtol=0, atol=limit)
    twice = tuple(gradient.copy() for gradient in gradients)
    outer(whole(), True, lefts, operand, twice)
    np.testing.assert_allclose(twice[0], 2 * gradients[0], rtol=1e-4, atol=limit)


def sequence(threads: int, by_units: bool | None = None, chunk: int = 4) -> list[Array]:
    """Return every result of a run of the GRU, with its plan forced if a split is given."""
    gru = load("gru")
    engine: Any = CpuEngine(threads)
    if by_units is not None:
        forced = Plan(threads, by_units, chunk, "forced")

        class Forced(CpuEngine):
            def plan(self, work: Work) -> Plan:
                return forced

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
@pytest.mark.parametrize("teams", [True, False])
def test_any_plan_gives_the_bits_of_one_thread(
    threads: int, by_units: bool, teams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a system where compiled code cannot hand out its parts itself.
    monkeypatch.setattr(pools, "TEAMS", teams and pools.TEAMS)
    # More threads than processors too: the barrier must not wait for one that cannot run.
    assert same(sequence(1), sequence(threads, by_units))


@pytest.mark.parametrize("chunk", [1, 2, 5, 9])
def test_any_chunks_give_the_same_bits(chunk: int) -> None:
    assert same(sequence(1), sequence(1, False, chunk))


def test_two_python_threads_at_once_get_their_own_results() -> None:
    expected = sequence(1)
    with ThreadPoolExecutor(4) as pool:
        for result in [pool.submit(sequence, 3, True) for _ in range(12)]:
            assert same(result.result(timeout=120), expected)


def _in_child(queue: Any) -> None:
    queue.put(same(sequence(1), sequence(2, True)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
# Another test in this process may have imported a library that warns of every fork.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*fork:RuntimeWarning")
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
        run(failing, Plan(3, True, 1, ""), ())
    seen: list[int] = []
    lock = threading.Lock()

    def working(part: tuple[int, ...]) -> None:
        with lock:
            seen.append(part[0])

    run(working, Plan(3, True, 1, ""), ())
    assert sorted(seen) == [0, 1, 2]


def work(B: int, units: int, T: int = 100) -> Work:
    matrices = 4 * units * units
    return Work(T, B, units, matrices, matrices, barriers=1, width=4 * units, itemsize=4)


def test_a_plan_says_why() -> None:
    tiny = plan(work(B=1, units=4, T=1), 4)
    assert (tiny.threads, "one thread" in tiny.why, tiny.chunk) == (1, True, 1)
    single = plan(work(B=1, units=512), 4)
    assert (single.threads, single.by_units) == (4, True)
    assert "4 threads by units: alone" in single.why
    many = plan(work(B=256, units=32), 4)
    assert (many.threads, many.by_units) == (4, False)
    assert "by rows" in many.why
    assert many.why.endswith(f"; chunks of {many.chunk} time steps")
    assert plan(work(B=256, units=32), 1).threads == 1
