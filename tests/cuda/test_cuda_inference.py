"""Kernels that keep nothing: what is taken out of their text, and that they still compile."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cuda.test_cuda_cells import cells, loaded

from gatewright.runtime.cuda.compiler import ptx_of, why_not_compiled
from gatewright.runtime.cuda.devices import EmulatedDevice, Limits
from gatewright.runtime.cuda.inference import stepped, unkept
from gatewright.runtime.cuda.launch import bound
from gatewright.runtime.cuda.report import kernel_report
from gatewright.runtime.cuda.steps import with_steps

KERNEL = "def steps_whole("


def parted(text: str) -> tuple[str, str, str]:
    """Return a file before its forward kernel, that kernel, and the file after it."""
    before, _, rest = text.partition(KERNEL)
    body, _, after = rest.partition("\n\n\n")
    return before, body, after


@cells
def test_only_stores_are_taken_out_and_the_rest_stands_as_it_was(cell: Any) -> None:
    text = loaded(cell).source("cuda")
    names = stepped(bound(text, "float32", EmulatedDevice()).layout)
    found = unkept(text, "steps_whole", names)
    (before, body, after), (first, own, last) = parted(text), parted(found.text)
    assert (before, after) == (first, last)
    # Machine code is found by a digest of the text, so lines are what they were, to the letter.
    changed = [line for line in own.splitlines() if line not in body.splitlines()]
    assert all("(t % 2)" in line for line in changed)
    assert len(changed) == 2 * len(found.exchanged)
    for name in names:
        assert (f" {name}[" in own) == (name in found.exchanged), name
    assert set(found.exchanged) <= {"r_h", "f_h"}
    assert (found.text == text) == (not names)


def test_a_use_that_nobody_foresaw_is_no_wrong_kernel() -> None:
    text = loaded(("gru", ())).source("cuda")
    other = text.replace("fill(0, r_h_kept, r_h, ", "gather(0, r_h_kept, r_h, ")
    assert other != text
    with pytest.raises(AssertionError, match="is not understood"):
        unkept(other, "steps_whole", ("r", "z", "r_h", "n"))


@pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled() or "-")
def test_they_compile_without_faults_and_store_less() -> None:
    text = loaded(("gru", ())).source("cuda")
    device = EmulatedDevice(limits=Limits(128, 32, 8, 108, 163 * 1024))
    steps = with_steps(text, bound(text, "float32", device), device)["forward"]
    shape = steps.plan(512, 16).shape
    assert shape is not None
    kept, found = (steps.code(shape.sizes, keep) for keep in (True, False))
    assert kernel_report(found, "sm_80", shape.threads, shape.shared).faults == ()
    stores = [ptx_of(code, shape.threads).count("\tst.") for code in (kept, found)]
    # What only a reverse reads, `r`, `z` and `n`, for each row of a thread.
    assert stores[0] - stores[1] == 3 * shape.sizes["EACH"]
