from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewright.language.catalogue import load, names
from gatewright.language.cell import Cell
from gatewright.program.compile import compile_cell
from gatewright.runtime.kernels import Gradients, Kernels, Run
from gatewright.verify import kinks as kinks_step
from gatewright.verify.agreement import bptt, emitted, shapes
from gatewright.verify.certificate import STEPS, Certificate, Step, certify, run_step
from gatewright.verify.complex_step import dot, elementwise
from gatewright.verify.differences import differences
from gatewright.verify.kinks import kinks
from gatewright.verify.precision import precision
from gatewright.verify.reference import ReferenceKernels
from gatewright.verify.subject import KernelsFactory, Subject
from gatewright.verify.verdict import Check, Deviation, deviation, judged, overall
from tests.verify.cells import ELMAN, ODD_CELLS, make, plain, reference, source, subject

RELU = next(cell for cell in ODD_CELLS if cell.name == "relu_rnn")
NUMERIC: tuple[Step, ...] = (emitted, dot, elementwise, differences, bptt, shapes)


class Altered(ReferenceKernels):
    """Kernels whose gradients go through a function before they are handed out."""

    alter: Callable[[Gradients], Gradients]

    def backward(self, run: Run, *given: Any, **named: Any) -> Gradients:
        return self.alter(super().backward(run, *given, **named))


def altered(cell: Cell, alter: Callable[[Gradients], Gradients]) -> KernelsFactory:
    def factory(dtype: str) -> Kernels:
        kernels = Altered(compile_cell(cell), dtype)
        kernels.alter = alter
        return kernels

    return factory


def doubled(gradients: Gradients) -> Gradients:
    parameters = {name: 2 * array for name, array in gradients.parameters.items()}
    return replace(gradients, parameters=parameters)


def with_nan(gradients: Gradients) -> Gradients:
    gradients.parameters["b"][0] = np.nan
    return gradients


def with_shift(gradients: Gradients) -> Gradients:
    parameters = {name: array + 1 for name, array in gradients.parameters.items()}
    return replace(gradients, parameters=parameters)


def broken(gradients: Gradients) -> Gradients:
    raise IndexError("out of range")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", names())
def test_catalogue_passes(name: str, dtype: str) -> None:
    cell = load(name)
    certificate = certify(cell, reference(compile_cell(cell)), "reference", dtype)
    assert certificate.verdict == "pass", str(certificate)
    assert certificate.exit_code == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell", ODD_CELLS, ids=lambda cell: cell.name)
def test_odd_cells_pass(cell: Cell, dtype: str) -> None:
    certificate = certify(cell, reference(compile_cell(cell)), "reference", dtype)
    assert certificate.verdict == "pass", str(certificate)


@pytest.mark.parametrize("alter", [doubled, with_nan, broken], ids=lambda alter: alter.__name__)
@pytest.mark.parametrize("step", NUMERIC, ids=lambda step: step.__name__)
def test_every_step_can_fail(step: Step, alter: Callable[[Gradients], Gradients]) -> None:
    check = run_step(step, subject(ELMAN, factory=altered(ELMAN, alter)))
    assert check.verdict == "fail"
    assert check.name == step.__name__


@pytest.mark.parametrize("step", [emitted, bptt, shapes])
def test_single_precision_steps_can_fail(step: Step) -> None:
    wrong = subject(ELMAN, "float32", altered(ELMAN, doubled))
    assert run_step(step, wrong).verdict == "fail"


def test_precision_can_fail() -> None:
    right, wrong = reference(compile_cell(ELMAN)), altered(ELMAN, doubled)
    mixed = subject(ELMAN, "float32", lambda d: (wrong if d == "float32" else right)(d))
    assert run_step(precision, mixed).verdict == "fail"


def test_kinks_can_fail() -> None:
    assert run_step(kinks, subject(RELU, factory=altered(RELU, with_shift))).verdict == "fail"


def test_a_broken_convention_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**kinks_step.CONVENTIONS, "relu": (((0.0,), (1.0,)),)}
    monkeypatch.setattr(kinks_step, "CONVENTIONS", wrong)
    check = run_step(kinks, subject(RELU))
    assert check.verdict == "fail"
    assert "relu" in check.where


def test_a_kink_that_is_not_met_is_inconclusive() -> None:
    cell = make("far_kink", "h' = tanh(W @ x + U @ h) + relu(b + 0.123)")
    assert run_step(kinks, subject(cell)).verdict == "inconclusive"


def test_cells_without_kinks_say_none() -> None:
    check = run_step(kinks, subject(ELMAN))
    assert (check.verdict, check.detail) == ("pass", "none")


def test_no_sample_is_inconclusive() -> None:
    cell = make("outside", "h' = log(tanh(W @ x + U @ h) - 2 - b * b)")
    steps = (*NUMERIC, precision)
    assert {run_step(step, subject(cell)).verdict for step in steps} == {"inconclusive"}


def test_differences_across_a_kink_never_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step wider than the margin crosses kinks; the estimate must not be believed."""
    cell = make("kinky", "h' = abs(W @ x + U @ h + b) + relu(W @ x - b)")
    monkeypatch.setattr("gatewright.verify.differences.KINK_STEP", 3.0)
    monkeypatch.setattr("gatewright.verify.differences.MARGIN", 1e-9)
    assert run_step(differences, subject(cell)).verdict == "inconclusive"


def test_an_ill_conditioned_cell_is_inconclusive() -> None:
    cell = make(
        "chaotic",
        "h' = sin(300 * h + W @ x + b)",
        parameters=(("W", ("hidden", "input")), ("b", ("hidden",))),
    )
    assert run_step(bptt, subject(cell)).verdict == "inconclusive"


def test_memory_contents_show() -> None:
    """A kernel that adds to new memory instead of writing it gives itself away."""
    programs = compile_cell(ELMAN)
    text = source(programs).replace("d_b[unit] if more else real(0)", "d_b[unit]")
    check = run_step(bptt, subject(ELMAN, factory=plain(text)))
    assert check.verdict == "fail"


def test_certificate_prints_as_a_table_and_as_json() -> None:
    certificate = certify(ELMAN, reference(compile_cell(ELMAN)), "reference")
    lines = str(certificate).splitlines()
    assert lines[0] == "elman_test on reference, float64: pass"
    assert [line.split()[0] for line in lines[2:]] == [s.__name__ for s in STEPS["float64"]]
    data = json.loads(certificate.to_json())
    assert data["schema_version"] == 1
    assert data["verdict"] == "pass"
    assert {check["name"] for check in data["checks"]} == {s.__name__ for s in STEPS["float64"]}


def test_json_has_no_infinities() -> None:
    check = Check("dot", "fail", float("inf"), "W[0]", 1e-12)
    data = json.loads(Certificate("c", "cpu", "float64", (check,)).to_json())
    assert data["checks"][0]["error"] is None


def test_certificates_are_deterministic() -> None:
    first = certify(ELMAN, reference(compile_cell(ELMAN)), "reference")
    assert first == certify(ELMAN, reference(compile_cell(ELMAN)), "reference")


def test_overall_verdict_and_exit_codes() -> None:
    passed = Check("a", "pass", 0, "", 0)
    unsure = Check("b", "inconclusive", 0, "", 0)
    failed = Check("c", "fail", 0, "", 0)
    assert overall([]) == "inconclusive"
    assert overall([passed]) == "pass"
    assert overall([passed, unsure]) == "inconclusive"
    assert overall([passed, unsure, failed]) == "fail"
    codes = [
        Certificate("c", "cpu", "float64", (check,)).exit_code for check in (passed, failed, unsure)
    ]
    assert codes == [0, 1, 4]


@pytest.mark.parametrize(
    "found",
    [{}, {"a": np.zeros(3)}, {"a": np.array([0.0, np.nan])}, {"a": np.array([0.0, np.inf])}],
    ids=["missing", "shape", "nan", "infinite"],
)
def test_what_is_not_a_number_is_an_infinite_error(found: dict[str, Any]) -> None:
    worst = deviation(found, {"a": np.zeros(2)})
    assert worst.error == np.inf
    assert judged("a", worst, 1.0).verdict == "fail"
    assert judged("a", Deviation(float("nan")), 1.0).verdict == "fail"


def test_a_reduced_certificate_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subject, "reduced", property(lambda _: True))
    certificate = certify(ELMAN, reference(compile_cell(ELMAN)), "cuda")
    assert certificate.verdict == "pass"
    for name in ("dot", "differences", "shapes"):
        assert "reduced" in certificate.check(name).detail
