"""Every cell of the catalogue against PyTorch's derivative of the paper's equations, in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import gatewright
from tests.oracles.catalogue import cells, variants
from tests.oracles.compiled import compiled
from tests.oracles.evaluation import (
    Arrays,
    Problem,
    assert_agrees,
    draw_problem,
    evaluate_kernels,
    relative_error,
)

if TYPE_CHECKING:
    from tests.oracles.evaluation import Evaluation

pytest.importorskip("torch", reason="the oracle is PyTorch's autograd")

from tests.oracles.autograd import evaluate_transcription
from tests.oracles.transcriptions import STATES, TRANSCRIPTIONS

TOLERANCE = 1e-12
SIZES = [(1, 1, 1, 1), (1, 1, 3, 2), (2, 3, 1, 5), (3, 1, 7, 1), (5, 2, 3, 7), (7, 13, 11, 17)]
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in cells()),
    *((name, choices) for name, choices in variants() if choices),
    ("janet", {"beta": 0.25}),
]


def case_id(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items()) or "default"
    return str(value)


def pose(name: str, loaded: Any, sizes: tuple[int, int, int, int], seed: int = 0) -> Problem:
    """Draw a problem with the shapes that the cell itself gives its parameters."""
    _, _, inputs, hidden = sizes
    initial: Arrays = loaded.init(input=inputs, hidden=hidden, seed=0, dtype="float64")
    shapes = {parameter: np.shape(array) for parameter, array in initial.items()}
    return draw_problem(shapes, STATES[name], sizes, seed)


def answer(name: str, problem: Problem, choices: dict[str, Any]) -> Evaluation:
    return evaluate_transcription(TRANSCRIPTIONS[name], problem, **choices)


def test_every_cell_is_transcribed_and_every_transcription_is_a_cell() -> None:
    assert set(cells()) == set(TRANSCRIPTIONS)


@pytest.mark.parametrize("sizes", SIZES, ids=case_id)
@pytest.mark.parametrize(("name", "choices"), CASES, ids=case_id)
def test_forward_and_all_gradients(
    name: str, choices: dict[str, Any], sizes: tuple[int, int, int, int]
) -> None:
    loaded = gatewright.load(name, **choices)
    kernels = compiled(name, "float64", **choices)
    problem = pose(name, loaded, sizes)
    assert_agrees(evaluate_kernels(kernels, problem), answer(name, problem, choices), TOLERANCE)


@pytest.mark.parametrize("name", cells())
def test_gradients_without_a_cotangent_of_the_final_state(name: str) -> None:
    loaded = gatewright.load(name)
    drawn = pose(name, loaded, (4, 3, 2, 5), seed=1)
    problem = Problem(drawn.parameters, drawn.x, drawn.state, drawn.ct_y, ct_state=None)
    kernels = compiled(name, "float64")
    assert_agrees(evaluate_kernels(kernels, problem), answer(name, problem, {}), TOLERANCE)


@pytest.mark.parametrize("name", cells())
def test_states_of_every_step_and_single_steps(name: str) -> None:
    loaded = gatewright.load(name)
    kernels = compiled(name, "float64")
    problem = pose(name, loaded, (4, 3, 2, 5), seed=2)
    run = kernels.forward(problem.parameters, problem.x, problem.state)
    assert list(run.states) == list(STATES[name])
    state = problem.state
    for t, x_t in enumerate(problem.x):
        x, ct_y = problem.x[: t + 1], problem.ct_y[: t + 1]
        until = Problem(problem.parameters, x, problem.state, ct_y, ct_state=None)
        expected = answer(name, until, {})
        step = kernels.step(problem.parameters, x_t, state)
        state = step.state
        assert relative_error(np.array(step.y), expected.y[-1]) <= TOLERANCE
        for key in STATES[name]:
            assert relative_error(np.array(state[key]), expected.state[key]) <= TOLERANCE
            assert relative_error(run.states[key][t + 1], expected.state[key]) <= TOLERANCE
            assert np.array_equal(run.states[key][0], problem.state[key])
