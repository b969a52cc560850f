"""Tensor cores: kernels of every cell to the precision of their operands, and their formats."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cuda.test_cuda_cells import cells, check, loaded, problem, solved
from tests.cuda.test_cuda_whole import (
    DIRECTIONS,
    TENSOR_SIZES,
    TENSOR_UNEVEN,
    every_shape,
    forced,
    forced_in,
    in_pairs,
    known,
    some_shapes,
)

from gatewright.runtime.cuda.devices import EmulatedDevice
from gatewright.runtime.cuda.kernels import CudaKernels
from gatewright.runtime.cuda.planner import Numbers
from gatewright.runtime.cuda.sizes import KINDS, PAIRED
from gatewright.runtime.cuda.tensor_cores import pack, product_of_tiles, rounded, tf32, widened
from gatewright.runtime.validate import ArgumentError
from gatewright.verify.reference import ReferenceKernels

# How far rounding moves a number, as a part of it.
ROUNDING = {"bfloat16": 2.0**-9, "float16": 2.0**-12, "tf32": 2.0**-12}


@cache
def moves(cell: Any, sizes: tuple[int, ...], part: float) -> dict[str, float]:
    """Return how far results of the reference move if every given number does by that part of it.

    That is what a rounding of all operands may do: large for a sum whose terms cancel, and small
    where a gate is saturated.
    """
    own, exact, wanted = loaded(cell), problem(loaded(cell), sizes, "float64"), known(cell, sizes)
    stream = np.random.default_rng(0)

    def moved(given: Any) -> Any:
        if isinstance(given, dict):
            return {name: moved(array) for name, array in given.items()}
        return np.asarray(given * (1 + part * stream.choice([-1.0, 1.0], given.shape)))

    found = dict.fromkeys(wanted, 0.0)
    for _ in range(4):
        for name, array in solved(ReferenceKernels(own.programs), moved(exact)).items():
            distance = float(np.abs(array - wanted[name]).max(initial=0))
            found[name] = max(found[name], distance)
    return found


def rounded_too_far(
    cell: Any, sizes: tuple[int, ...], found: dict[str, Any], part: float
) -> list[str]:
    """Return the results that are farther from the reference than such a rounding explains."""
    wanted, allowed = known(cell, sizes), moves(cell, sizes, part)
    return [
        name
        for name, array in wanted.items()
        if not float(np.abs(array - found[name]).max(initial=0)) <= 2 * allowed[name] + 1e-6
    ]


@pytest.mark.parametrize("products", ROUNDING)
@cells
def test_tensor_cores_agree_to_their_precision(cell: Any, products: str) -> None:
    numbers = Numbers(4, KINDS[products])
    for sizes in (TENSOR_SIZES, TENSOR_UNEVEN):
        given = problem(loaded(cell), sizes, "float32")
        chosen = {d: some_shapes(cell, d, sizes, numbers, 0)[:2] for d in DIRECTIONS}
        for pair in in_pairs(chosen):
            found = solved(forced_in(pair, cell, products=products), given)
            assert rounded_too_far(cell, sizes, found, ROUNDING[products]) == []


@pytest.mark.parametrize("name", ["lstm", "gru", "fast_grnn"])
def test_a_coarser_rounding_than_stated_is_seen(name: str) -> None:
    cell, numbers = (name, ()), Numbers(4, KINDS["bfloat16"])
    given = problem(loaded(cell), TENSOR_SIZES, "float32")
    shape = some_shapes(cell, "forward", TENSOR_SIZES, numbers, 0)[0]
    found = solved(forced(cell, "forward", shape, products="bfloat16"), given)
    assert rounded_too_far(cell, TENSOR_SIZES, found, ROUNDING["bfloat16"]) == []
    assert rounded_too_far(cell, TENSOR_SIZES, found, ROUNDING["tf32"]) != []


@pytest.mark.parametrize("products", ROUNDING)
def test_what_tensor_cores_multiply_is_not_single_precision(products: str) -> None:
    cell = ("lstm", ())
    shape = every_shape(cell, "forward", TENSOR_SIZES, Numbers(4, KINDS[products]))[0]
    given = problem(loaded(cell), TENSOR_SIZES, "float32")
    with pytest.raises(AssertionError):
        check(
            known(cell, TENSOR_SIZES),
            solved(forced(cell, "forward", shape, products=products), given),
            1e-5,
        )
    text = loaded(cell).source("cuda")
    with pytest.raises(ArgumentError, match=f"`{products}` is multiplied with states of float32"):
        CudaKernels(text, "float64", device=EmulatedDevice(), products=products)


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2), st.integers(1, 2))
def test_numbers_are_rounded_as_pytorch_rounds_them(values: list[float], half: int) -> None:
    torch = pytest.importorskip("torch")
    kind = torch.bfloat16 if half == 1 else torch.float16
    wanted = torch.tensor(values, dtype=torch.float32).to(kind)
    with np.errstate(over="ignore"):
        bits = rounded(half, np.array(values, np.float32))
        word = pack(half, *np.array(values, np.float32))
    assert bits.view(np.int16).tolist() == wanted.view(torch.int16).tolist()
    assert widened(half, word).tolist() == wanted.float().tolist()


@given(st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False))
def test_a_number_of_tf32_is_the_nearest_with_eleven_bits(value: float) -> None:
    fraction, power = math.frexp(value)
    scaled = fraction * 2**11
    nearest = math.copysign(math.floor(abs(scaled) + 0.5), scaled)
    assert float(tf32(value)) == math.ldexp(nearest, power - 11)
    assert widened(KINDS["tf32"], tf32(value).view(np.uint32)).tolist() == [float(tf32(value))]


def test_numbers_that_are_none_stay_so() -> None:
    assert np.isnan(tf32(np.nan))
    assert tf32(np.array([np.inf, -np.inf, 0], np.float32)).tolist() == [np.inf, -np.inf, 0]
    all_bits = np.array([0x3FFFFFFF], np.uint32)
    assert widened(KINDS["tf32"], all_bits).view(np.uint32).tolist() == [[0x3FFFE000]]


@pytest.mark.parametrize("products", ROUNDING)
def test_a_product_of_tiles_is_a_product(products: str) -> None:
    """Operands lie in lanes as the manual of PTX prints it for `mma.m16n8k16` and `mma.m16n8k8`."""
    rng, kind = np.random.default_rng(0), KINDS[products]
    depth = 16 if kind in PAIRED else 8
    left, right, target = (
        rng.integers(-8, 8, shape).astype(np.float32)
        for shape in ((16, depth), (depth, 8), (16, 8))
    )

    def word(*numbers: Any) -> Any:
        return pack(kind, *numbers) if len(numbers) > 1 else numbers[0].view(np.uint32)

    def sums(array: Any, lane: int) -> tuple[Any, ...]:
        row, pair = lane // 4, lane % 4 * 2
        return tuple(array[row + down, pair + k] for down in (0, 8) for k in (0, 1))

    lanes, each = [], depth // 8
    for lane in range(32):
        row, first = lane // 4, lane % 4 * each
        corners = [(row + down, first + across) for across in (0, depth // 2) for down in (0, 8)]
        words = [word(*left[i, k : k + each]) for i, k in corners]
        words += [word(*right[first + k : first + k + each, row]) for k in (0, depth // 2)]
        lanes.append((*words, *sums(target, lane)))
    wanted = left @ right + target
    for lane, found in enumerate(product_of_tiles(kind, lanes)):
        assert found == sums(wanted, lane)
