"""Kernels of all steps: every cell in many shapes, every barrier removed once, plans and gates."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cuda.test_cuda_cells import cells, check, loaded, problem, solved

from gatewright.emit.whole import why_no_whole
from gatewright.language import catalogue
from gatewright.loaded import load
from gatewright.runtime.cuda import steps as steps_module
from gatewright.runtime.cuda.compiler import ptx_of, why_not_compiled
from gatewright.runtime.cuda.devices import Code, EmulatedDevice, Limits
from gatewright.runtime.cuda.emulator import ORDERS
from gatewright.runtime.cuda.emulator_memory import EmulationError
from gatewright.runtime.cuda.emulator_text import _is_barrier, barriers, without_barrier
from gatewright.runtime.cuda.folded import folded
from gatewright.runtime.cuda.kernels import CudaKernels
from gatewright.runtime.cuda.launch import bound
from gatewright.runtime.cuda.planner import Numbers, Shape, StepsPlan, plan, shapes
from gatewright.runtime.cuda.realms import sized
from gatewright.runtime.cuda.report import kernel_reports
from gatewright.runtime.cuda.sizes import KINDS
from gatewright.runtime.cuda.steps import with_steps
from gatewright.verify.reference import ReferenceKernels

KERNELS = {"forward": "steps_whole", "backward": "steps_vjp_whole"}
DIRECTIONS = tuple(KERNELS)
# T, B, hidden, input: without tensor cores, and with them; sizes of a word's multiples, and others.
SIZES, TENSOR_SIZES = (3, 3, 8, 5), (2, 5, 32, 5)
# At none of these does rounding turn the sign of what a relu reads.
UNEVEN, TENSOR_UNEVEN = (2, 3, 7, 5), (2, 6, 19, 5)
# So many units that several warps share the terms.
TENSOR_SHARED = {"bfloat16": (2, 3, 33, 2), "float16": (2, 3, 33, 2), "tf32": (2, 3, 17, 2)}
H100 = Limits(128, 32, 8, 132, 227 * 1024)
A100 = Limits(128, 32, 8, 108, 163 * 1024, held=False)
FLOAT32 = Numbers(4)
# What a planner must know of a kernel that holds nothing and multiplies nothing.
NOTHING = dict.fromkeys(
    ("weights", "tiles", "totals", "kept", "fetched", "vectors", "terms", "meetings"), 0
)
compiles = pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled() or "-")


def forced(
    cell: Any,
    direction: str,
    shape: Shape,
    dtype: str = "float32",
    order: str = "random",
    products: str = "",
) -> CudaKernels:
    """Return emulated kernels whose steps run in one shape in one direction, else one by one."""
    return forced_in({direction: shape}, cell, dtype, order, products)


def forced_in(
    chosen: Mapping[str, Shape | None],
    cell: Any,
    dtype: str = "float32",
    order: str = "random",
    products: str = "",
) -> CudaKernels:
    """Return emulated kernels whose steps run in a shape of their own in each direction."""
    own = loaded(cell)
    device = EmulatedDevice(order)
    text = own.source("cuda")
    kernels = CudaKernels(text, dtype, device=device, fill=np.nan, tier=1, products=products)
    for direction, shape in chosen.items():
        if shape is not None:
            made = StepsPlan(2, "forced", shape, "")
            kernels.steps[direction].planner = lambda *_, made=made: made
    return kernels


def in_pairs(chosen: Mapping[str, Sequence[Shape | None]]) -> Iterator[dict[str, Shape | None]]:
    """Yield a shape for each direction until all have been used: one sequence runs both."""
    for pair in zip_longest(*chosen.values()):
        yield dict(zip(chosen, pair, strict=True))


@cache
def known(cell: Any, sizes: tuple[int, ...]) -> dict[str, Any]:
    own = loaded(cell)
    return solved(ReferenceKernels(own.programs), problem(own, sizes, "float64"))


@cache
def every_shape(
    cell: Any, direction: str, sizes: tuple[int, ...] = SIZES, numbers: Numbers = FLOAT32
) -> list[Shape]:
    own = loaded(cell)
    wholes = bound(own.source("cuda"), "float32", EmulatedDevice()).layout.wholes
    _, B, H, _ = sizes
    return list(shapes(wholes[direction], H, B, numbers, EmulatedDevice().limits))


def some_shapes(
    cell: Any,
    direction: str,
    sizes: tuple[int, ...] = SIZES,
    numbers: Numbers = FLOAT32,
    more: int = 3,
) -> list[Shape]:
    """Return one shape of each kind that matters to the text, and `more` by chance."""
    found: dict[Any, Shape] = {}
    listed = every_shape(cell, direction, sizes, numbers)
    for shape in listed:
        s = shape.sizes
        kind = (s["BLOCKS"] > 1, s["TILES"], shape.groups > 1, s["PARTS"] > 1, s["HELD"] > 0)
        found.setdefault(kind, shape)
    return [*found.values(), *random.Random(repr(cell)).sample(listed, more)]


@cells
def test_one_kernel_agrees_with_the_reference(cell: Any) -> None:
    for sizes in (SIZES, UNEVEN):
        given = problem(loaded(cell), sizes, "float32")
        more = 3 if sizes is SIZES else 0
        forward, backward = (some_shapes(cell, each, sizes, more=more) for each in DIRECTIONS)
        for listed in (forward, backward):
            assert {shape.sizes["BLOCKS"] for shape in listed} == {1, 2}
        # In the first and in the last sequence the other direction runs step by step.
        for pair in in_pairs({"forward": [*forward, None], "backward": [None, *backward]}):
            kernels = forced_in(pair, cell)
            check(known(cell, sizes), solved(kernels, given), 1e-5)
            launches = kernels.device.launches  # type: ignore[attr-defined]
            for direction, name in KERNELS.items():
                assert launches.get(name, 0) == (pair[direction] is not None)


@pytest.mark.parametrize("name", ["gru", "gru_reset_after", "minimal_rnn"])
def test_one_kernel_that_keeps_nothing_agrees_with_the_reference(name: str) -> None:
    cell, sizes = (name, ()), (5, *SIZES[1:])
    given, wanted = problem(loaded(cell), sizes, "float32"), known(cell, sizes)
    for shape in some_shapes(cell, "forward", sizes, more=0):
        kernels = forced(cell, "forward", shape)
        run = kernels.forward(given["parameters"], given["x"], given["state"], keep=False)
        check({"y": wanted["y"]}, {"y": run.y}, 1e-5)
        assert run.kept is None


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_it_agrees_in_double_precision_and_in_any_order(name: str, order: str) -> None:
    cell = (name, ())
    given = problem(loaded(cell), UNEVEN, "float64")
    for pair in in_pairs({d: some_shapes(cell, d, UNEVEN, Numbers(8)) for d in DIRECTIONS}):
        kernels = forced_in(pair, cell, "float64", order)
        check(known(cell, UNEVEN), solved(kernels, given), 1e-13)


# One stage and two, one operand and several, sums of products that are kept; both kinds of parts.
FORMS = [("elman", ""), ("gru", ""), ("gru_reset_after", ""), ("lstm", ""), ("janet", "")]
FORMS += [("gru", "bfloat16"), ("lstm", "float16"), ("gru", "tf32")]


@pytest.mark.parametrize(("name", "products"), FORMS)
def test_every_barrier_that_is_removed_is_found(
    name: str, products: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, sizes = (name, ()), TENSOR_SHARED.get(products, SIZES)
    given = problem(loaded(cell), sizes, "float32")
    numbers = Numbers(4, KINDS[products])
    more = 0 if products else 3
    chosen = [
        (d, shape) for d in DIRECTIONS for shape in some_shapes(cell, d, sizes, numbers, more)
    ]
    chosen.sort(key=lambda each: each[1].blocks * each[1].threads)
    source = loaded(cell).source("cuda")
    count = barriers(sized(source, chosen[0][1].sizes))
    assert count >= 8

    def caught(number: int, direction: str, shape: Shape) -> bool:
        def mutated(own: str, sizes: Any) -> str:
            return without_barrier(sized(own, sizes), number)[0]

        monkeypatch.setattr(steps_module, "sized", mutated)
        try:
            solved(forced(cell, direction, shape, products=products), given)
        except EmulationError:
            return True
        finally:
            monkeypatch.undo()
        return False

    left = [barriers_left(sized(source, shape.sizes)) for _, shape in chosen]
    missed = []
    for number in range(count):
        there = [each for each, numbers in zip(chosen, left, strict=True) if number in numbers]
        assert there or not products
        if there and not any(caught(number, *each) for each in there):
            missed.append(without_barrier(sized(source, chosen[0][1].sizes), number)[1])
    assert missed == []


def barriers_left(text: str) -> set[int]:
    """Return the numbers of the barriers that the sizes of a text leave in it."""

    class Numbered(ast.NodeTransformer):
        number = -1

        def visit_Expr(self, node: ast.Expr) -> ast.AST:
            if _is_barrier(node):
                self.number += 1
                return ast.parse(f"barrier_{self.number}()").body[0]
            return node

    named = folded(ast.unparse(Numbered().visit(ast.parse(text))))
    return {int(number) for number in re.findall(r"barrier_(\d+)", named)}


def test_words_beyond_the_last_unit_that_nobody_clears_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def uncleared(text: str, sizes: Any) -> str:
        found = sized(text, sizes)
        changed = found.replace("    clear_tiles()\n", "")
        assert changed != found
        return changed

    cell = ("elman", ())
    shape = every_shape(cell, "forward", TENSOR_UNEVEN, Numbers(4, KINDS["tf32"]))[0]
    given = problem(loaded(cell), TENSOR_UNEVEN, "float32")
    solved(forced(cell, "forward", shape, products="tf32"), given)
    monkeypatch.setattr(steps_module, "sized", uncleared)
    with pytest.raises(EmulationError, match="before anything is written"):
        solved(forced(cell, "forward", shape, products="tf32"), given)


def test_every_cell_can_be_one_kernel() -> None:
    for name in catalogue.names():
        programs = load(name).programs
        for program in (programs.forward, programs.reverse):
            assert why_no_whole(program) == ""


TWO_SIZES = """\
cell: two_sizes
inputs: {x: input}
states: {h: hidden, m: memory}
parameters:
  W: [hidden, input]
  U: [hidden, hidden]
  V: [memory, memory]
equations:
  h': tanh(W @ x + U @ h)
  m': tanh(V @ m)
output: h'
"""


def test_a_cell_of_two_sizes_cannot(tmp_path: Path) -> None:
    path = tmp_path / "two_sizes.yaml"
    path.write_text(TWO_SIZES)
    forward = load(path).programs.forward
    assert why_no_whole(forward) == "its steps compute over more than one dimension"


@pytest.mark.parametrize("limits", [H100, A100])
@pytest.mark.parametrize("name", catalogue.names())
def test_a_plan_keeps_to_what_a_device_has(name: str, limits: Limits) -> None:
    wholes = bound(load(name).source("cuda"), "float32", EmulatedDevice()).layout.wholes
    for direction in DIRECTIONS:
        for H in (1, 37, 64, 100, 256, 512, 768, 1024, 4096):
            for B in (1, 16, 64, 1000):
                found = plan(wholes[direction], H, B, Numbers(4), limits)
                if found.shape is None:
                    assert found.tier == 1
                    assert f"{B} rows, do not fit into the shared memory of" in found.why
                    continue
                shape, s = found.shape, found.shape.sizes
                assert s["UNITS"] * (s["BLOCKS"] - 1) < H <= s["UNITS"] * s["BLOCKS"]
                assert shape.groups * s["ROWS"] >= B
                assert shape.shared <= limits.shared
                assert shape.threads <= 1024
                meets = wholes[direction]["meetings"] and s["BLOCKS"] > 1
                assert not meets or shape.blocks <= limits.multiprocessors
                assert f"{shape.blocks} blocks" in str(found)


def test_a_plan_says_why_steps_run_one_by_one() -> None:
    needs = {**NOTHING, "weights": 4, "tiles": 1, "totals": 4, "terms": 4, "meetings": 1}
    assert plan({}, 64, 16, Numbers(4), H100).why == "the steps of this cell do not make one kernel"
    assert plan(needs, 64, 16, Numbers(4), H100, tier=1).why == "tier 1 was asked for"
    assert str(plan(needs, 8192, 16, Numbers(4), H100)) == (
        "tier 1, a product and a kernel at a time: 4 matrices of 8192 x 8192 and what is "
        "multiplied with them, 16 rows, do not fit into the shared memory of 132 "
        "multiprocessors with 232448 bytes each"
    )


def test_small_cells_run_in_slices_and_large_ones_in_groups() -> None:
    needs = {**NOTHING, "weights": 4, "tiles": 1, "totals": 4, "terms": 4, "meetings": 1}
    assert plan(needs, 64, 64, Numbers(4), H100).form == "slices"
    assert plan(needs, 512, 16, Numbers(4), H100).form == "groups of blocks"
    assert plan(NOTHING, 512, 16, Numbers(4), H100).form == "units apart"


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 17), st.integers(1, 3), st.integers(1, 7), st.integers(0, 2**32))
def test_any_size(H: int, T: int, B: int, seed: int) -> None:
    sizes = (T, B, H, 2)
    cell = ("gru_reset_after", ())
    own = loaded(cell)
    device = EmulatedDevice(seed=seed)
    kernels = CudaKernels(own.source("cuda"), "float32", device=device, fill=np.nan)
    assert kernels.steps["forward"].plan(H, B).tier == 2
    check(known(cell, sizes), solved(kernels, problem(own, sizes, "float32")), 1e-5)


def planned(
    cell: Any,
    direction: str,
    products: str,
    limits: Limits = A100,
    sizes: tuple[int, int] = (512, 32),
) -> tuple[Code, Shape]:
    """Return the kernel that a device would run for so many units and rows, and its shape."""
    text = loaded(cell).source("cuda")
    module = bound(text, "float32", EmulatedDevice())
    own = with_steps(text, module, EmulatedDevice(), products=products)[direction]
    shape = plan(module.layout.wholes[direction], *sizes, own.numbers, limits).shape
    assert shape is not None
    return own.code(shape.sizes), shape


def keep_everything_in_registers(made: list[tuple[Code, Shape]], tensor: bool) -> None:
    # Threads hold weights only from sm_90 on.
    held = any(shape.sizes["HELD"] > 0 for _, shape in made)
    for arch in ("sm_80", "sm_90", "sm_100")[held:]:
        for found in kernel_reports([(code, s.threads, s.shared) for code, s in made], arch):
            assert found.faults == ()
            assert (found.tensor > 0) == tensor


@compiles
@cells
def test_one_kernel_keeps_everything_in_registers(cell: Any) -> None:
    keep_everything_in_registers([planned(cell, each, "") for each in DIRECTIONS], False)


@compiles
@pytest.mark.parametrize("products", ["bfloat16", "tf32"])
@cells
def test_so_does_one_on_tensor_cores(cell: Any, products: str) -> None:
    limits = {"bfloat16": H100, "tf32": A100}[products]
    made = [planned(cell, each, products, limits) for each in DIRECTIONS]
    holds = products == "bfloat16" and cell[0] != "indrnn"
    assert all((shape.sizes["HELD"] > 0) == holds for _, shape in made)
    kernels = made[0][0].text.split("@whole")[1:]
    if all("multiply(" in text for text in kernels):
        keep_everything_in_registers(made, True)
    else:
        # Nothing is multiplied: they are the kernels of the test before, in another shape.
        assert cell[0] == "indrnn"
        assert not any("multiply(" in text for text in kernels)


@compiles
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
def test_float16_differs_from_bfloat16_by_the_names_of_instructions(
    name: str, direction: str
) -> None:
    (first, shape), (other, same) = (
        planned((name, ()), direction, products) for products in ("bfloat16", "float16")
    )
    assert shape.threads == same.threads
    paired = ptx_of(first, shape.threads)
    wanted = paired.replace("bf16", "f16")
    assert wanted != paired
    assert instructions(ptx_of(other, same.threads)) == instructions(wanted)
    keep_everything_in_registers([(other, same)], True)


def instructions(ptx: str) -> list[str]:
    """Return the lines of PTX that are instructions, without the numbers in names."""
    named = re.sub(r"_cudapy_smem_\d+|_ZN\w+?(?=_param_)", "name", ptx)
    return [line for line in named.splitlines() if line.startswith("\t") and line.endswith(";")]
