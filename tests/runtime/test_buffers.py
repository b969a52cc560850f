"""Memory that is used again holds nobody's numbers, and no more of it is kept than is of use."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.runtime.buffers import ALIGNMENT, MOST, PATIENCE, Buffers

SHAPES = {"y": (5, 3, 4), "c": (300, 100), "empty": (0, 3), "scalar": ()}


def test_a_buffer_is_used_again_only_when_nothing_refers_to_it() -> None:
    pool = Buffers()
    first = pool.empty((300, 400), "float64")
    address = first.ctypes.data
    view = first[7:9, 3]
    del first
    assert pool.empty((300, 400), "float64").ctypes.data != address
    del view
    assert pool.empty((300, 400), "float64").ctypes.data == address


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(sorted(SHAPES)), st.integers(0, 3)), max_size=60))
def test_what_a_caller_kept_stays_as_it_was(kept: list[tuple[str, int]]) -> None:
    """However it is kept: the array, a view of it, a view of a view, or not at all."""
    pool, held = Buffers(), []
    for number, (name, how) in enumerate(kept):
        arrays = pool.arrays(SHAPES, "float32")
        assert all(each.ctypes.data % ALIGNMENT == 0 for each in arrays.values())
        for array in arrays.values():
            array.fill(number)
        whole = arrays[name]
        if how < 3:
            held.append((number, (whole, whole[..., :1] if whole.ndim else whole, whole.T.T)[how]))
        del arrays, whole, array
    for number, array in held:
        assert (array == number).all()


def test_a_tensor_over_an_array_keeps_it() -> None:
    torch: Any = pytest.importorskip("torch", reason="tensors share memory with arrays")
    pool = Buffers()
    tensor = torch.from_numpy(pool.empty((4, 4), "float32"))[1:]
    tensor.fill_(1.0)
    pool.empty((4, 4), "float32").fill(2.0)
    assert tensor.eq(1.0).all()


def test_arrays_of_other_shapes_or_another_precision_are_others() -> None:
    pool = Buffers()
    for shape, dtype in (((4, 6), "float32"), ((6, 4), "float32"), ((4, 6), "float64")):
        found = pool.empty(shape, dtype)
        assert (found.shape, found.dtype) == (shape, np.dtype(dtype))


def test_no_more_of_the_same_shapes_are_kept_than_is_of_use() -> None:
    pool = Buffers()
    held = [pool.empty((4,), "float32") for _ in range(3 * MOST)]
    assert len({each.ctypes.data for each in held}) == len(held)
    gone = [weakref.ref(each) for each in held]
    del held
    assert sum(each() is not None for each in gone) == MOST


def test_what_nobody_asks_for_any_more_is_given_up() -> None:
    pool = Buffers()
    gone = weakref.ref(pool.empty((4,), "float32"))
    for size in range(1, PATIENCE // 2):
        pool.empty((size, 2), "float32")
    assert gone() is not None
    for size in range(1, PATIENCE):
        pool.empty((size, 3), "float32")
    assert gone() is None
