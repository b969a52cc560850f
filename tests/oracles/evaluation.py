"""Random inputs -> Evaluation: outputs and gradients of one sequence, and how far two are apart.

An Evaluation holds NumPy arrays only, so the kernels, a transcription and `torch.nn` compare alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Problem:
    """What one sequence is given: parameters, inputs, initial states and incoming cotangents."""

    parameters: Arrays
    x: Array
    state: Arrays
    ct_y: Array
    ct_state: Arrays | None


@dataclass(frozen=True)
class Evaluation:
    """What one sequence yields: output, final states, gradients of all that it was given."""

    y: Array
    state: Arrays
    d_x: Array
    d_state: Arrays
    d_parameters: Arrays

    def named(self) -> Iterator[tuple[str, Array]]:
        """Yield every array with a name that says what it is."""
        yield "y", self.y
        yield "gradient of x", self.d_x
        for title, arrays in (
            ("final {}", self.state),
            ("gradient of initial {}", self.d_state),
            ("gradient of {}", self.d_parameters),
        ):
            for name, array in arrays.items():
                yield title.format(name), array


def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw numbers between -1 and 1; a matrix is divided by the root of its fan-in."""
    values = rng.uniform(-1.0, 1.0, shape)
    return np.asarray(values / np.sqrt(shape[-1]) if len(shape) == 2 else values)


def draw_problem(
    shapes: Mapping[str, tuple[int, ...]],
    states: tuple[str, ...],
    sizes: tuple[int, int, int, int],
    seed: int = 0,
) -> Problem:
    """Draw a Problem for sizes (T, B, I, H): nothing is zero, not even biases or initial states."""
    T, B, I, H = sizes  # noqa: E741
    rng = np.random.default_rng([seed, *sizes])
    return Problem(
        parameters={name: draw(rng, shape) for name, shape in shapes.items()},
        x=rng.uniform(-1.0, 1.0, (T, B, I)),
        state={name: rng.uniform(-1.0, 1.0, (B, H)) for name in states},
        ct_y=rng.uniform(-1.0, 1.0, (T, B, H)),
        ct_state={name: rng.uniform(-1.0, 1.0, (B, H)) for name in states},
    )


def evaluate_kernels(kernels: Any, problem: Problem) -> Evaluation:
    """Run compiled kernels forward and backward."""
    run = kernels.forward(problem.parameters, problem.x, problem.state)
    gradients = kernels.backward(run, problem.ct_y, problem.ct_state)
    return Evaluation(
        y=np.array(run.y),
        state=dict(run.state),
        d_x=gradients.x,
        d_state=dict(gradients.state),
        d_parameters=dict(gradients.parameters),
    )


def relative_error(actual: Array, expected: Array) -> float:
    """Return max |actual - expected| / max |expected|; where that maximum is 0, the numerator."""
    assert actual.shape == expected.shape, f"{actual.shape} is not {expected.shape}"
    if not np.isfinite(actual).all():
        return float("inf")
    scale = float(np.max(np.abs(expected))) or 1.0
    return float(np.max(np.abs(actual - expected))) / scale


def relative_errors(actual: Evaluation, expected: Evaluation) -> dict[str, float]:
    """Return the relative error of every array; the two must hold the same names."""
    found, wanted = dict(actual.named()), dict(expected.named())
    assert found.keys() == wanted.keys(), f"{sorted(found)} is not {sorted(wanted)}"
    return {name: relative_error(found[name], wanted[name]) for name in wanted}


def assert_agrees(actual: Evaluation, expected: Evaluation, tolerance: float) -> None:
    """Fail with the names and errors of all arrays that are further apart than the tolerance."""
    errors = relative_errors(actual, expected)
    far = {name: error for name, error in errors.items() if not error <= tolerance}
    assert not far, f"relative errors above {tolerance:g}: {far}"
