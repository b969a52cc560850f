"""What an emulator cannot show: banks of shared memory, alignment, branches, and when loads begin.

Truth is the PTX ISA and what NVIDIA publishes of shared memory, not the emulator.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import ir
from tests.cuda.test_cuda_cells import cells, loaded
from tests.cuda.test_cuda_whole import DIRECTIONS, H100, KERNELS, compiles, planned

from gatewright.runtime.cuda.compiler import ptx_of
from gatewright.runtime.cuda.planner import Numbers
from gatewright.runtime.cuda.report import kernel_report
from gatewright.runtime.cuda.sizes import KINDS, PAIRED
from gatewright.runtime.cuda.tensor_cores import pack, product_of_tiles, widened

LSTM = ("lstm", ())
# An answer of memory is waited for where its number is first used; these wait for all blocks.
_LOAD, _WAIT = re.compile(r"\tld\.global\.f32"), re.compile(r"\tbar\.sync|cp\.async\.wait_all")


@given(st.integers(1, 3000), st.sampled_from(sorted(KINDS.values())), st.sampled_from([1, 2, 4, 8]))
def test_eight_threads_read_from_banks_of_their_own(H: int, kind: int, parts: int) -> None:
    numbers = Numbers(4, kind)
    pitch = numbers.pitch(numbers.width(H, parts))
    # A load of 16 bytes is served for eight threads at a time, from 32 banks of four bytes.
    rows, across = (2, 4) if kind else (8, 1)
    places = [row * pitch + 4 * four for row in range(rows) for four in range(across)]
    assert all(place % 4 == 0 for place in places)
    assert len({place % 32 // 4 for place in places}) == 8


@compiles
@pytest.mark.parametrize("products", ["", "bfloat16"])
def test_shared_memory_is_aligned_as_its_vectors_are(products: str) -> None:
    code, shape = planned(LSTM, "forward", products)
    ptx = ptx_of(code, shape.threads)
    assert "ld.shared.v4" in ptx
    declared = re.findall(r"\.extern \.shared \.align (\d+)", ptx)
    assert declared and set(declared) == {"16"}


@compiles
def test_products_of_tiles_stay_out_of_branches() -> None:
    from gatewright.runtime.cuda.compiled_memory import _assembly

    builder = ir.IRBuilder(
        ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), ()), "f").append_basic_block()
    )
    number = ir.Constant(ir.FloatType(), 1.0)
    product = _assembly(builder, ir.FloatType(), "mma.sync.aligned.m $0, $1;", "=f,f", [number])
    alone = _assembly(builder, ir.FloatType(), "cvt.rna.tf32.f32 $0, $1;", "=f,f", [number])
    assert "convergent" in str(product)
    assert "convergent" not in str(alone)


def in_loop(ptx: str) -> list[str]:
    """Return the lines of the loop over steps: those from the last label that is jumped back to."""
    lines = ptx.splitlines()
    begins = {line[:-1]: at for at, line in enumerate(lines) if line.startswith("$L")}
    back = [
        (begins[found[1]], at)
        for at, line in enumerate(lines)
        if (found := re.search(r"bra\S* \t?(\$L\w+)", line)) and begins.get(found[1], at) < at
    ]
    first, last = max(back, key=lambda pair: pair[1])
    return lines[first:last]


@compiles
@pytest.mark.parametrize("products", ["", "bfloat16"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cell", [LSTM, ("gru", ()), ("lstm_peephole", ())], ids=lambda c: c[0])
def test_what_steps_read_is_on_its_way_while_blocks_wait(
    cell: Any, direction: str, products: str
) -> None:
    """Where a function runs, nothing that it reads is left to be loaded.

    A division's rare cases are a branch, over which no load is moved: each load behind one would
    wait for memory once more.
    """
    code, shape = planned(cell, direction, products)
    lines = in_loop(ptx_of(code, shape.threads))
    loads = [at for at, line in enumerate(lines) if _LOAD.match(line)]
    waits = [at for at, line in enumerate(lines) if _WAIT.search(line)]
    assert loads and waits
    # What the first function of a step reads was fetched in the step before.
    assert loads[0] > waits[0]
    divisions = [at for at, line in enumerate(lines) if "rcp.rn" in line or "div.rn" in line]
    for load in loads:
        following = [at for at in waits if at > load]
        assert following, f"{lines[load]} is waited for at once"
        # No rare case of a division stands between a load and the wait that hides it.
        assert not any(load < at < following[0] for at in divisions)


@compiles
@pytest.mark.parametrize(("products", "H", "B"), [("tf32", 1000, 24), ("bfloat16", 1024, 64)])
def test_what_is_fetched_ahead_leaves_room_for_weights(products: str, H: int, B: int) -> None:
    code, shape = planned(LSTM, "backward", products, H100, (H, B))
    assert shape.sizes["HELD"] > 0
    for arch in ("sm_90", "sm_100"):
        assert kernel_report(code, arch, shape.threads, shape.shared).faults == ()


@cells
def test_parameters_are_read_once(cell: Any) -> None:
    layout = loaded(cell).source("cuda")
    for name in KERNELS.values():
        if found := re.search(rf"def {name}\((.|\n)*?(?=\n\n\n)", layout):
            loop = found[0].partition("    for t in ")[2]
            assert loop
            assert "[unit]" not in loop and "[0]" not in loop


def fragments(depth: int) -> tuple[Any, Any, Any]:
    """Return row and column of each number that lane 0 to 31 holds, as the PTX ISA gives them.

    For `mma.m16n8k16` of 16-bit numbers and `mma.m16n8k8` of tf32: of the left tile, of the right
    one, and of the sums. `group` is the lane's quotient by four and `place` what is left.
    """
    left, right, sums = [], [], []
    for lane in range(32):
        group, place = lane >> 2, lane % 4
        if depth == 16:
            # a_i: row is group for i in 0, 1, 4, 5 and group + 8 for the others.
            left.append([
                (group if i in (0, 1, 4, 5) else group + 8,
                 place * 2 + (i & 1) + (8 if i >= 4 else 0))
                for i in range(8)
            ])  # fmt: skip
            right.append([(place * 2 + (i & 1) + (8 if i >= 2 else 0), group) for i in range(4)])
        else:
            # a0: (group, place), a1: (group + 8, place), a2 and a3: the same, four columns on.
            left.append([(group + 8 * (i % 2), place + 4 * (i // 2)) for i in range(4)])
            right.append([(place + 4 * i, group) for i in range(2)])
        sums.append([(group + (8 if i >= 2 else 0), place * 2 + (i & 1)) for i in range(4)])
    return left, right, sums


@pytest.mark.parametrize("kind", [KINDS["bfloat16"], KINDS["float16"], KINDS["tf32"]])
def test_fragments_are_those_of_the_instruction_set(kind: int) -> None:
    depth = 16 if kind in PAIRED else 8
    left, right, sums = fragments(depth)
    stream = np.random.default_rng(kind)
    words = stream.integers(0, 2**14, (32, 6), np.uint32) << (16 if depth == 8 else 0)
    if depth == 16:
        words |= stream.integers(0, 2**14, (32, 6), np.uint32) << 16
    given_sums = stream.standard_normal((32, 4)).astype(np.float32)
    a, b, c = np.zeros((16, depth)), np.zeros((depth, 8)), np.zeros((16, 8))
    for lane in range(32):
        numbers = widened(kind, words[lane]).astype(np.float64)
        for place, number in zip(left[lane], numbers[:4].ravel(), strict=True):
            a[place] = number
        for place, number in zip(right[lane], numbers[4:].ravel(), strict=True):
            b[place] = number
        for place, number in zip(sums[lane], given_sums[lane], strict=True):
            c[place] = number
    wanted = a @ b + c
    found = product_of_tiles(kind, [[*w, *s] for w, s in zip(words, given_sums, strict=True)])
    scale = np.abs(a) @ np.abs(b) + np.abs(c)
    for lane in range(32):
        for place, number in zip(sums[lane], found[lane], strict=True):
            assert abs(number - wanted[place]) <= 1e-5 * scale[place]


def test_float16_has_no_number_as_large_or_as_small_as_float32() -> None:
    kind = KINDS["float16"]
    for number, wanted in ((65504, 65504), (65519, 65504), (65520, np.inf), (2e-8, 0)):
        with np.errstate(over="ignore"):
            (low, high) = widened(kind, pack(kind, number, -number))
        assert (low, high) == (wanted, -wanted)
    assert widened(KINDS["bfloat16"], pack(KINDS["bfloat16"], 1e38, 1e-38)).all()
