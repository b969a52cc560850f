from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewright.language.catalogue import load, names
from gatewright.language.cell import Cell
from gatewright.language.equation import parse
from gatewright.program.compile import compile_cell
from gatewright.runtime.kernels import HostMemory, Kernels
from gatewright.runtime.load import load_module
from gatewright.runtime.validate import ArgumentError
from gatewright.verify.interpret import evaluate
from gatewright.verify.reference import ReferenceKernels, evaluate_cell, evaluate_sequence
from gatewright.verify.sampling import (
    gradients,
    outputs,
    prime_sizes,
    run_backward,
    run_forward,
    sample,
)
from gatewright.verify.verdict import deviation
from tests.verify.cells import ELMAN, ODD_CELLS, plain, source


@pytest.mark.parametrize("cell", ODD_CELLS, ids=lambda cell: cell.name)
def test_both_references_agree(cell: Cell) -> None:
    case = sample(cell, "test")
    ys, final = evaluate_sequence(cell, case.inputs, case.states, case.parameters)
    run = run_forward(ReferenceKernels(compile_cell(cell)), case)
    assert deviation({"y": np.stack(ys), **final}, {"y": run.y, **run.state}).error < 1e-14


@pytest.mark.parametrize("cell", ODD_CELLS, ids=lambda cell: cell.name)
def test_reference_agrees_with_the_emitted_text(cell: Cell) -> None:
    programs = compile_cell(cell)
    case = sample(cell, "test")
    kernels, other = plain(source(programs))("float64"), ReferenceKernels(programs)
    run, expected = run_forward(kernels, case), run_forward(other, case)
    assert deviation(outputs(run), outputs(expected)).error < 1e-14
    found = run_backward(kernels, run, case)
    assert deviation(found, run_backward(other, expected, case)).error < 1e-13


def test_reference_agrees_with_the_compiled_kernel() -> None:
    programs = compile_cell(ELMAN)
    module = load_module(source(programs), "cpu", "float64")
    case = sample(ELMAN, "test", steps=5)
    found = gradients(Kernels(module, HostMemory(np.nan)), case)
    assert deviation(found, gradients(ReferenceKernels(programs), case)).error < 1e-13


def test_a_step_is_a_sequence_of_one() -> None:
    case = sample(ELMAN, "test", steps=1)
    kernels = ReferenceKernels(compile_cell(ELMAN))
    step = kernels.step(case.parameters, case.inputs["x"][0], case.states)
    run = run_forward(kernels, case)
    assert np.array_equal(step.y, run.y[0])
    assert np.array_equal(step.state["h"], run.state["h"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_have_the_dtype_asked_for(dtype: str) -> None:
    case = sample(ELMAN, "test").cast(dtype)
    kernels = ReferenceKernels(compile_cell(ELMAN), dtype)
    run = run_forward(kernels, case)
    found = {**outputs(run), **run_backward(kernels, run, case)}
    assert {array.dtype for array in found.values()} == {np.dtype(dtype)}


def test_constants_may_be_overridden() -> None:
    cell = next(cell for cell in ODD_CELLS if cell.name == "two_inputs")
    case = sample(cell, "test", steps=1)
    kernels = ReferenceKernels(compile_cell(cell), constants={"beta": 0.25})
    now = {name: array[0] for name, array in case.inputs.items()}
    expected, _ = evaluate_cell(cell, now, case.states, case.parameters, {"beta": 0.25})
    assert deviation({"y": run_forward(kernels, case).y[0]}, {"y": expected}).error < 1e-15


def test_many_perturbations_in_one_call() -> None:
    case = sample(ELMAN, "test", steps=1)
    now = {"x": case.inputs["x"][0]}
    many = np.stack([case.parameters["W"] * factor for factor in (1.0, 2.0, 3.0)])
    found, _ = evaluate_cell(ELMAN, now, case.states, case.parameters | {"W": many})
    assert found.shape == (3, 2, 3)
    single, _ = evaluate_cell(ELMAN, now, case.states, case.parameters | {"W": many[1]})
    assert np.allclose(found[1], single, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p | {"W": p["W"].astype(np.float32)}, "must have dtype float64"),
        (lambda p: p | {"W": p["W"][:, :2]}, "must have shape"),
        (lambda p: {"W": p["W"]}, "parameters lack `U`, `b`"),
    ],
)
def test_wrong_arguments_are_refused_as_by_any_kernel(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    case = sample(ELMAN, "test")
    kernels = ReferenceKernels(compile_cell(ELMAN))
    with pytest.raises(ArgumentError, match=message):
        kernels.forward(change(case.parameters), case.inputs["x"], case.states)


@pytest.mark.parametrize("text", ["max(x, 0)", "min(x, 1)", "abs(x)", "softplus(x)", "silu(x)"])
def test_functions_continue_into_complex_numbers(text: str) -> None:
    x = np.array([[-800.0, -2.0, -0.3, 0.4, 2.0, 800.0]])
    values = evaluate(parse(text), {"x": x})
    stepped = evaluate(parse(text), {"x": x + 1e-30j})
    assert np.allclose(stepped.real, values, rtol=1e-15, atol=1e-300)
    width = 1e-6
    slope = (evaluate(parse(text), {"x": x + width}) - evaluate(parse(text), {"x": x - width})) / (
        2 * width
    )
    assert np.allclose(stepped.imag / 1e-30, slope, rtol=1e-6, atol=1e-7)


def test_nan_stays_nan() -> None:
    x = np.array([[np.nan, 1.0]])
    for function in ("relu(x)", "abs(x)", "hard_tanh(x)", "softplus(x)", "max(1, x)", "max(x, 1)"):
        assert np.isnan(evaluate(parse(function), {"x": x})).tolist() == [[True, False]], function


def test_every_cell_of_the_catalogue_has_a_reference() -> None:
    for name in names():
        cell = load(name)
        case = sample(cell, "test")
        found = gradients(ReferenceKernels(compile_cell(cell)), case)
        assert {n: a.shape for n, a in found.items()} == {
            n: a.shape for n, a in case.tensors.items()
        }
        assert set(prime_sizes(cell)) == set(cell.dims)
