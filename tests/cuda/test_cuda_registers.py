"""Weights in registers, terms shared by warps, and what blocks exchange: numbers, faults, plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cuda.kernel_texts import emulate
from tests.cuda.test_cuda_cells import loaded, problem, solved
from tests.cuda.test_cuda_tensor_cores import ROUNDING, rounded_too_far
from tests.cuda.test_cuda_whole import DIRECTIONS, H100, compiles, forced

from gatewright.runtime.cuda import steps as steps_module
from gatewright.runtime.cuda.devices import EmulatedDevice, holds_weights
from gatewright.runtime.cuda.emulator_memory import EmulationError
from gatewright.runtime.cuda.launch import bound
from gatewright.runtime.cuda.planner import Numbers, Shape, StepsPlan, plan, shapes
from gatewright.runtime.cuda.realms import sized
from gatewright.runtime.cuda.report import kernel_report
from gatewright.runtime.cuda.sizes import KINDS
from gatewright.runtime.cuda.steps import with_steps

LSTM, GRU = ("lstm", ()), ("gru", ())
# T, B, hidden, input: terms for two warps, or for two turns of one.
SIZES = (2, 3, 40, 2)


def needs(cell: Any, direction: str) -> Any:
    return bound(loaded(cell).source("cuda"), "float32", EmulatedDevice()).layout.wholes[direction]


def shape_of(
    cell: Any, direction: str, products: str, parts: int, partly: bool, one_block: bool
) -> Shape | None:
    """Return the first shape whose weights stand in registers, wholly or partly, if there is one.

    The fewer registers a thread may have, the more weights are left in shared memory.
    """
    _, B, H, _ = SIZES
    numbers = Numbers(4, KINDS[products])
    for most in range(255, 64, -8):
        for shape in shapes(needs(cell, direction), H, B, numbers, EmulatedDevice().limits, most):
            s = shape.sizes
            found = s["HELD"] > 0, s["REST"] > 0, s["PARTS"], s["BLOCKS"] == 1
            if found == (True, partly, parts, one_block) and shape.groups == 1:
                return shape
    return None


@pytest.mark.parametrize("products", ROUNDING)
@pytest.mark.parametrize("cell", [LSTM, GRU], ids=["lstm", "gru"])
def test_weights_in_registers_multiply_as_those_in_shared_memory(cell: Any, products: str) -> None:
    given = problem(loaded(cell), SIZES, "float32")
    for direction, parts, partly, one_block in (
        ("forward", 2, False, False),
        ("forward", 1, True, True),
        ("backward", 2, products == "tf32", False),
        ("backward", 2, False, True),
    ):
        shape = shape_of(cell, direction, products, parts, partly, one_block)
        assert shape is not None
        found = solved(forced(cell, direction, shape, products=products), given)
        assert rounded_too_far(cell, SIZES, found, ROUNDING[products]) == []


def changed(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    def mutated(text: str, sizes: Any) -> str:
        found = sized(text, sizes)
        assert old in found
        return found.replace(old, new)

    monkeypatch.setattr(steps_module, "sized", mutated)


@pytest.mark.parametrize(
    ("parts", "old", "new"),
    [
        (1, "row + place_of_four(turn)", "row + place_of_four(0)"),
        (1, "held[slot * HELD + 4 * turn + k]", "held[4 * turn + k]"),
        (1, "tiles + WIDTH - REST + k", "tiles + k"),
        (2, "SUMS + part * EACH + e", "SUMS + e"),
        (2, "for other in range(PARTS)", "for other in range(1)"),
    ],
)
def test_a_word_from_the_wrong_place_is_seen(
    parts: int, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = shape_of(LSTM, "forward", "bfloat16", parts, "REST" in old, False)
    given = problem(loaded(LSTM), SIZES, "float32")
    assert shape is not None
    assert parts == 2 or shape.sizes["HELD"] >= 4 + 4 * ("REST" not in old)
    changed(monkeypatch, old, new)
    found = solved(forced(LSTM, "forward", shape, products="bfloat16"), given)
    assert rounded_too_far(LSTM, SIZES, found, ROUNDING["bfloat16"]) != []


@pytest.mark.parametrize("order", ["first", "last", "random"])
def test_blocks_that_exchange_in_one_slab_are_found(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = shape_of(GRU, "forward", "bfloat16", 2, False, False)
    given = problem(loaded(GRU), SIZES, "float32")
    assert shape is not None
    changed(monkeypatch, "count % 2", "0")
    with pytest.raises(EmulationError, match=r"race: .* exchange"):
        solved(forced(GRU, "forward", shape, order=order, products="bfloat16"), given)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4))
def test_words_are_copied_bit_by_bit(words: list[int]) -> None:
    given = np.array(words, np.uint32)
    x, y = given.view(np.float32).copy(), np.zeros(4, np.float32)
    body = """
def kernel(x, y):
    copy_four(shared_memory(real), 0, x, 0)
    copied()
    a, b, c, d = shared_four(shared_words(), 0)
    y[0] = as_real(a)
    y[1] = as_real(as_word(as_real(b)))
    y[2] = as_real(c)
    y[3] = shared_one(shared_memory(real), 3)
"""
    emulate(body, {"x": x, "y": y}, threads=1, shared=16)
    assert y.view(np.uint32).tolist() == words


def test_a_copy_that_nobody_waits_for_is_found() -> None:
    body = """
def kernel(x, y):
    put_one(shared_memory(real), thread_number(), real(0))
    copy_four(shared_memory(real), 4 * thread_number(), x, 0)
    syncthreads()
    y[thread_number()] = shared_one(shared_memory(real), 0)
"""
    x, y = np.zeros(4, np.float32), np.zeros(1, np.float32)
    with pytest.raises(EmulationError, match="before a copy to it is done"):
        emulate(body, {"x": x, "y": y}, threads=1, shared=16)


def test_a_plan_says_how_many_weights_are_in_registers() -> None:
    wanted = needs(LSTM, "forward")
    found = plan(wanted, 768, 16, Numbers(4, KINDS["bfloat16"]), H100)
    assert found.shape is not None
    s = found.shape.sizes
    # Nothing but operands and sums is left in shared memory.
    assert (s["REST"], s["TILES_AT"], s["PARTS"]) == (0, 0, 4)
    assert f"4 matrices in {4 * s['HELD']} registers of each thread, and " in found.why
    large = plan(wanted, 2048, 16, Numbers(4, KINDS["bfloat16"]), H100)
    assert large.shape is not None
    own = large.shape.sizes
    held = f"4 matrices, {own['WIDTH'] - own['REST']} of {own['WIDTH']} words of a row in "
    assert held + f"{4 * own['HELD']} registers of each thread and the rest in " in large.why
    never = plan(wanted, 4096, 16, Numbers(4, KINDS["bfloat16"]), H100)
    assert "do not fit into the registers and shared memory of 132" in never.why


def test_a_device_whose_assembler_spills_holds_no_weights() -> None:
    limits = replace(H100, held=False)
    numbers = Numbers(4, KINDS["bfloat16"])
    listed = list(shapes(needs(LSTM, "forward"), 768, 16, numbers, limits))
    assert listed and all(shape.sizes["HELD"] == 0 for shape in listed)
    assert [holds_weights(arch) for arch in ("sm_80", "sm_89", "sm_90", "sm_120")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_what_registers_hold_makes_room_in_shared_memory() -> None:
    numbers = Numbers(4, KINDS["bfloat16"])
    listed = list(shapes(needs(LSTM, "forward"), 2048, 16, numbers, H100))
    assert listed and all(shape.sizes["HELD"] > 0 for shape in listed)


@compiles
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("cell", "products", "H"),
    [(LSTM, "bfloat16", 768), (LSTM, "tf32", 1024), (GRU, "float16", 1000)],
)
def test_weights_stay_in_registers(cell: Any, products: str, H: int, direction: str) -> None:
    text = loaded(cell).source("cuda")
    device = EmulatedDevice()
    own = with_steps(text, bound(text, "float32", device), device, products=products)[direction]
    found: StepsPlan = plan(needs(cell, direction), H, 16, own.numbers, H100)
    assert found.shape is not None and found.shape.sizes["HELD"] > 0
    code = own.code(found.shape.sizes)
    for arch in ("sm_90", "sm_100"):
        report = kernel_report(code, arch, found.shape.threads, found.shape.shared)
        assert report.faults == ()
        assert report.tensor > 0
