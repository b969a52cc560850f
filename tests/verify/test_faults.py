from __future__ import annotations

from functools import cache

import pytest

from gatewright.language.catalogue import load
from gatewright.language.cell import Cell
from gatewright.program.compile import Programs, compile_cell
from gatewright.runtime.kernels import HostMemory, Kernels
from gatewright.runtime.load import load_module
from gatewright.verify.agreement import bptt, emitted
from gatewright.verify.certificate import Certificate, certify, run_step
from gatewright.verify.complex_step import elementwise
from gatewright.verify.faults import (
    FAULTS,
    SHARED,
    TEXT_FAULTS,
    Fault,
    NoPlaceError,
    shared_weight,
)
from gatewright.verify.subject import Subject
from tests.verify.cells import plain, reference, source

COMPILED = (
    "bias of the last row only",
    "last step not reversed",
    "a float32 intermediate",
    "one element scaled by 1 + 1e-9",
)


@cache
def cell_of(fault_cell: str) -> Cell:
    return shared_weight() if fault_cell == SHARED else load(fault_cell)


@cache
def programs_of(fault_cell: str) -> Programs:
    return compile_cell(cell_of(fault_cell))


def certificate(fault: Fault) -> Certificate:
    cell, programs = cell_of(fault.cell), programs_of(fault.cell)
    if fault.rewrite:
        text = fault.rewrite(source(programs))
        return certify(cell, plain(text), "cpu", "float64", programs)
    assert fault.change
    faulty = fault.change(programs)
    return certify(cell, reference(faulty), "reference", "float64", faulty)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_found_and_by_numbers_alone_too(fault: Fault) -> None:
    """The proof sees every wrong derivative; the other steps must not lean on it."""
    found = certificate(fault)
    assert found.verdict == "fail"
    numbers = [check for check in found.checks if check.name != "symbolic"]
    assert any(check.verdict == "fail" for check in numbers)


@pytest.mark.parametrize("fault_cell", sorted({fault.cell for fault in FAULTS}))
def test_without_a_fault_nothing_is_found(fault_cell: str) -> None:
    cell, programs = cell_of(fault_cell), programs_of(fault_cell)
    for factory in (reference(programs), plain(source(programs))):
        assert certify(cell, factory, "cpu", "float64", programs).verdict == "pass"


@pytest.mark.parametrize("name", COMPILED)
def test_fault_is_found_in_a_compiled_kernel(name: str) -> None:
    fault = next(fault for fault in TEXT_FAULTS if fault.name == name)
    programs = programs_of(fault.cell)
    assert fault.rewrite
    text = fault.rewrite(source(programs))
    kernels = Kernels(load_module(text, "cpu", "float64"), HostMemory())
    subject = Subject(programs.cell, programs, lambda _: kernels, "cpu", "float64")
    verdicts = [run_step(step, subject).verdict for step in (emitted, elementwise, bptt)]
    assert "fail" in verdicts


def test_fault_that_finds_no_place_says_so() -> None:
    programs = compile_cell(load("elman"))
    for name in ("missing factor", "swapped gates in an outer", "swapped recurrent weights"):
        fault = next(fault for fault in FAULTS if fault.name == name)
        assert fault.change
        with pytest.raises(NoPlaceError):
            fault.change(programs)
    for fault in TEXT_FAULTS:
        assert fault.rewrite
        with pytest.raises((NoPlaceError, ValueError)):
            fault.rewrite("from numpy import float64 as real\n")
