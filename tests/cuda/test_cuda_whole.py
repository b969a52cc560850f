"""Kernels of all steps: every cell in many shapes, every barrier removed once, plans and gates."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cuda.test_cuda_cells import cells, check, loaded, problem, solved

from gatewright.emit.placement import SCRATCH, place
from gatewright.emit.whole import why_no_whole
from gatewright.language import catalogue
from gatewright.loaded import load
from gatewright.runtime.cuda import steps as steps_module
from gatewright.runtime.cuda.compiler import why_not_compiled
from gatewright.runtime.cuda.devices import EmulatedDevice, Limits
from gatewright.runtime.cuda.emulator import ORDERS
from gatewright.runtime.cuda.emulator_memory import EmulationError
from gatewright.runtime.cuda.emulator_text import barriers, without_barrier
from gatewright.runtime.cuda.halves import pack, product_of_tiles, rounded, widened
from gatewright.runtime.cuda.kernels import CudaKernels
from gatewright.runtime.cuda.launch import bound
from gatewright.runtime.cuda.planner import Numbers, Shape, StepsPlan, plan, shapes
from gatewright.runtime.cuda.realms import sized
from gatewright.runtime.cuda.report import kernel_report
from gatewright.runtime.cuda.sizes import HALVES
from gatewright.runtime.cuda.steps import with_steps
from gatewright.runtime.validate import ArgumentError
from gatewright.verify.reference import ReferenceKernels

DIRECTIONS = ("forward", "backward")
SIZES, HALF_SIZES = (3, 3, 8, 5), (2, 5, 32, 5)
H100 = Limits(128, 32, 8, 132, 227 * 1024)
A100 = Limits(128, 32, 8, 108, 163 * 1024)
compiles = pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled() or "-")


def forced(
    cell: Any,
    direction: str,
    shape: Shape,
    dtype: str = "float32",
    order: str = "random",
    half: str = "",
) -> CudaKernels:
    """Return emulated kernels whose steps run in one shape in one direction, else one by one."""
    own = loaded(cell)
    device = EmulatedDevice(order)
    text = own.source("cuda")
    kernels = CudaKernels(text, dtype, device=device, fill=np.nan, tier=1, half=half)
    kernels.steps[direction].planner = lambda *_: StepsPlan(2, "forced", shape, "")
    return kernels


@cache
def known(cell: Any, sizes: tuple[int, ...]) -> dict[str, Any]:
    own = loaded(cell)
    return solved(ReferenceKernels(own.programs), problem(own, sizes, "float64"))


def every_shape(cell: Any, direction: str, itemsize: int = 4, half: str = "") -> list[Shape]:
    own = loaded(cell)
    wholes = bound(own.source("cuda"), "float32", EmulatedDevice()).layout.wholes
    _, B, H, _ = HALF_SIZES if half else SIZES
    numbers = Numbers(2, HALVES[half]) if half else Numbers(itemsize)
    return list(shapes(wholes[direction], H, B, numbers, EmulatedDevice().limits))


def some_shapes(cell: Any, direction: str, itemsize: int = 4, half: str = "") -> list[Shape]:
    """Return one shape of each kind that matters to the text, and a few by chance."""
    found: dict[Any, Shape] = {}
    listed = every_shape(cell, direction, itemsize, half)
    for shape in listed:
        s = shape.sizes
        found.setdefault((s["BLOCKS"] > 1, s["TILES"], shape.groups > 1), shape)
    return [*found.values(), *random.Random(repr(cell)).sample(listed, 3)]


@pytest.mark.parametrize("direction", DIRECTIONS)
@cells
def test_one_kernel_agrees_with_the_reference(cell: Any, direction: str) -> None:
    given = problem(loaded(cell), SIZES, "float32")
    chosen = some_shapes(cell, direction)
    assert {shape.sizes["BLOCKS"] for shape in chosen} == {1, 2}
    for shape in chosen:
        kernels = forced(cell, direction, shape)
        check(known(cell, SIZES), solved(kernels, given), 1e-5)
        name = {"forward": "steps_whole", "backward": "steps_vjp_whole"}[direction]
        assert kernels.device.launches[name] == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_it_agrees_in_double_precision_and_in_any_order(name: str, order: str) -> None:
    cell = (name, ())
    given = problem(loaded(cell), SIZES, "float64")
    for direction in DIRECTIONS:
        for shape in some_shapes(cell, direction, 8):
            kernels = forced(cell, direction, shape, "float64", order)
            check(known(cell, SIZES), solved(kernels, given), 1e-13)


# One stage and two, one operand and several, sums of products that are kept; both kinds of parts.
FORMS = [("elman", ""), ("gru", ""), ("gru_reset_after", ""), ("lstm", ""), ("janet", "")]
FORMS += [("gru", "bfloat16"), ("lstm", "float16")]


@pytest.mark.parametrize(("name", "half"), FORMS)
def test_every_barrier_that_is_removed_is_found(
    name: str, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, sizes = (name, ()), HALF_SIZES if half else SIZES
    given = problem(loaded(cell), sizes, "float32")
    chosen = {each: some_shapes(cell, each, half=half) for each in DIRECTIONS}
    text = sized(loaded(cell).source("cuda"), chosen["forward"][0].sizes)
    count = barriers(text)
    assert count >= 8

    def caught(number: int) -> bool:
        def mutated(own: str, sizes: Any) -> str:
            return without_barrier(sized(own, sizes), number)[0]

        monkeypatch.setattr(steps_module, "sized", mutated)
        for direction in DIRECTIONS:
            for shape in chosen[direction]:
                try:
                    solved(forced(cell, direction, shape, half=half), given)
                except EmulationError:
                    return True
        return False

    missed = [without_barrier(text, k)[1] for k in range(count) if not caught(k)]
    assert missed == []


HALF_TOLERANCE = {"bfloat16": 2.0**-6, "float16": 2.0**-9}


@pytest.mark.parametrize("half", HALF_TOLERANCE)
@cells
def test_tensor_cores_agree_to_their_precision(cell: Any, half: str) -> None:
    given = problem(loaded(cell), HALF_SIZES, "float32")
    for direction in DIRECTIONS:
        for shape in some_shapes(cell, direction, half=half)[:3]:
            found = solved(forced(cell, direction, shape, half=half), given)
            check(known(cell, HALF_SIZES), found, HALF_TOLERANCE[half])


def test_half_precision_is_not_single() -> None:
    cell = ("lstm", ())
    shape = every_shape(cell, "forward", half="bfloat16")[0]
    found = solved(
        forced(cell, "forward", shape, half="bfloat16"),
        problem(loaded(cell), HALF_SIZES, "float32"),
    )
    with pytest.raises(AssertionError):
        check(known(cell, HALF_SIZES), found, 1e-5)
    text = loaded(cell).source("cuda")
    with pytest.raises(ArgumentError, match="`float16` is multiplied with states of float32 only"):
        CudaKernels(text, "float64", device=EmulatedDevice(), half="float16")


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2), st.integers(1, 2))
def test_numbers_are_rounded_as_pytorch_rounds_them(values: list[float], half: int) -> None:
    torch = pytest.importorskip("torch")
    kind = torch.bfloat16 if half == 1 else torch.float16
    wanted = torch.tensor(values, dtype=torch.float32).to(kind)
    with np.errstate(over="ignore"):
        bits = rounded(half, np.array(values, np.float32))
    assert bits.view(np.int16).tolist() == wanted.view(torch.int16).tolist()
    assert widened(half, bits).tolist() == wanted.float().tolist()


def test_a_product_of_tiles_is_a_product() -> None:
    rng = np.random.default_rng(0)
    left, right, target = (
        rng.integers(-8, 8, shape).astype(np.float32) for shape in ((16, 16), (16, 8), (16, 8))
    )

    def sums(array: Any, lane: int) -> tuple[Any, ...]:
        row, pair = lane // 4, lane % 4 * 2
        return tuple(array[row + down, pair + k] for down in (0, 8) for k in (0, 1))

    lanes = []
    for lane in range(32):
        row, pair = lane // 4, lane % 4 * 2
        corners = [(row + down, pair + across) for across in (0, 8) for down in (0, 8)]
        words = [pack(1, left[i, k], left[i, k + 1]) for i, k in corners]
        words += [pack(1, right[pair + k, row], right[pair + k + 1, row]) for k in (0, 8)]
        lanes.append((*words, *sums(target, lane)))
    wanted = left @ right + target
    for lane, found in enumerate(product_of_tiles(1, lanes)):
        assert found == sums(wanted, lane)


def test_every_cell_can_be_one_kernel_and_others_say_why_not() -> None:
    for name in catalogue.names():
        programs = load(name).programs
        for program in (programs.forward, programs.reverse):
            assert why_no_whole(program, place(program)) == ""
    gru = load("gru").programs.forward
    scratch = {n: replace(each, place=SCRATCH) for n, each in place(gru).items()}
    assert why_no_whole(gru, scratch) == "`r_h` is multiplied and not kept"


@pytest.mark.parametrize("limits", [H100, A100])
@pytest.mark.parametrize("name", catalogue.names())
def test_a_plan_keeps_to_what_a_device_has(name: str, limits: Limits) -> None:
    wholes = bound(load(name).source("cuda"), "float32", EmulatedDevice()).layout.wholes
    for direction in DIRECTIONS:
        for H in (4, 64, 96, 256, 512, 768, 1024, 4096):
            for B in (1, 16, 64, 1000):
                found = plan(wholes[direction], H, B, Numbers(4), limits)
                if found.shape is None:
                    assert found.tier == 1
                    assert "do not fit into the shared memory of" in found.why
                    continue
                shape, s = found.shape, found.shape.sizes
                assert s["UNITS"] * s["BLOCKS"] == H
                assert shape.groups * s["ROWS"] >= B
                assert shape.shared <= limits.shared
                assert shape.threads <= 1024
                meets = wholes[direction]["meetings"] and s["BLOCKS"] > 1
                assert not meets or shape.blocks <= limits.multiprocessors
                assert f"{shape.blocks} blocks" in str(found)


def test_a_plan_says_why_steps_run_one_by_one() -> None:
    needs = {"weights": 4, "tiles": 1, "totals": 4, "terms": 4, "meetings": 1}
    assert plan(needs, 63, 16, Numbers(4), H100).why.startswith("H = 63 is not a multiple of 4")
    assert plan({}, 64, 16, Numbers(4), H100).why == "the steps of this cell do not make one kernel"
    assert plan(needs, 64, 16, Numbers(4), H100, tier=1).why == "tier 1 was asked for"
    assert str(plan(needs, 8192, 16, Numbers(4), H100)) == (
        "tier 1, a product and a kernel at a time: 4 matrices of 8192 x 8192 do not fit into the "
        "shared memory of 132 multiprocessors with 232448 bytes each"
    )


def test_small_cells_run_in_slices_and_large_ones_in_groups() -> None:
    needs = {"weights": 4, "tiles": 1, "totals": 4, "terms": 4, "meetings": 1}
    assert plan(needs, 64, 64, Numbers(4), H100).form == "slices"
    assert plan(needs, 512, 16, Numbers(4), H100).form == "groups of blocks"
    apart = {"weights": 0, "tiles": 0, "totals": 0, "terms": 0, "meetings": 0}
    assert plan(apart, 512, 16, Numbers(4), H100).form == "units apart"


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 7), st.integers(0, 2**32))
def test_any_length_and_batch(quads: int, T: int, B: int, seed: int) -> None:
    sizes = (T, B, 4 * quads, 2)
    cell = ("gru_reset_after", ())
    own = loaded(cell)
    device = EmulatedDevice(seed=seed)
    kernels = CudaKernels(own.source("cuda"), "float32", device=device, fill=np.nan)
    assert kernels.steps["forward"].plan(4 * quads, B).tier == 2
    check(known(cell, sizes), solved(kernels, problem(own, sizes, "float32")), 1e-5)


@compiles
@pytest.mark.parametrize("half", ["", "bfloat16", "float16"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@cells
def test_one_kernel_keeps_everything_in_registers(cell: Any, direction: str, half: str) -> None:
    text = loaded(cell).source("cuda")
    module = bound(text, "float32", EmulatedDevice())
    own = with_steps(text, module, EmulatedDevice(), half=half)[direction]
    needs = module.layout.wholes[direction]
    shape = plan(needs, 512, 32, own.numbers, A100).shape
    assert shape is not None
    for arch in ("sm_80", "sm_90", "sm_100"):
        found = kernel_report(own.code(shape.sizes), arch, shape.threads, shape.shared)
        assert found.faults == ()
        assert found.float64 == 0
        assert found.registers <= 255
        assert (found.tensor > 0) == bool(half and needs["terms"])
