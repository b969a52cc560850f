"""Cell, Case -> exact derivatives: complex steps through the cell's own equations, two checks.

    dot          <J v, w> = <v, J^T w> for random directions v, in every regime, for the cotangents
                 of every output alone and together
    elementwise  every single element of every gradient, at the smallest sizes

Why a complex step: it has no cancellation, so the derivative along one random direction is exact to
rounding, which is what makes a cheap test sharp (one wrong element in half a million is seen).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from gatewright.language.cell import Cell
from gatewright.verify.interpret import Array
from gatewright.verify.reference import evaluate_sequence
from gatewright.verify.sampling import (
    REGIMES,
    Arrays,
    Case,
    gradients,
    run_backward,
    run_forward,
    sample,
)
from gatewright.verify.subject import Subject
from gatewright.verify.verdict import Check, Deviation, deviation, judged

STEP = 1e-30
DIRECTIONS = 4
LIMIT = 1e-12


def derivative(cell: Cell, case: Case, directions: Mapping[str, Array]) -> Arrays:
    """Return the derivative of every output along directions [N, *tensor's shape], by name.

    Outputs are `y` [N, T, B, dim] and each state [N, B, dim].
    """
    moved = case.moved(
        {name: case.tensors[name] + STEP * 1j * along for name, along in directions.items()}
    )
    ys, final = evaluate_sequence(cell, moved.inputs, moved.states, moved.parameters)
    count = len(next(iter(directions.values())))

    def change(values: Array, shape: tuple[int, ...]) -> Array:
        return np.broadcast_to(np.imag(values) / STEP, (count, *shape))

    y = np.stack([change(value, case.ct_y.shape[1:]) for value in ys], axis=1)
    return {"y": y, **{n: change(a, case.states[n].shape) for n, a in final.items()}}


def paired(changes: Mapping[str, Array], case: Case) -> Array:
    """Return the derivative [N] of the scalar that the case's cotangents make of the outputs."""
    total = (changes["y"] * case.ct_y).sum(axis=(1, 2, 3))
    for name, cotangent in case.ct_state.items():
        total = total + (changes[name] * cotangent).sum(axis=(1, 2))
    return np.asarray(total)


def random_directions(cell: Cell, case: Case, step: str, count: int) -> Arrays:
    """Return `count` random directions for every tensor of a case."""
    rng = np.random.default_rng([zlib.crc32(cell.identifier.encode()), zlib.crc32(step.encode())])
    return {name: rng.standard_normal((count, *a.shape)) for name, a in case.tensors.items()}


def dot_deviation(
    found: Mapping[str, Array],
    exact: Array,
    directions: Mapping[str, Array],
    where: str,
    floor: float = 0.0,
) -> Deviation:
    """Compare <g, v> with the exact derivative along each v, in units of the norm of g * v.

    The unit is at least `floor`.
    """
    worst = Deviation()
    for index in range(len(exact)):
        terms = [(found[name] * along[index]).ravel() for name, along in directions.items()]
        together = np.concatenate(terms)
        scale = max(float(np.sqrt((together**2).sum())), floor)
        error = abs(float(together.sum()) - float(exact[index])) / (scale or 1.0)
        place = f"direction {index}, {where}"
        worst = worst.worse(Deviation(error if np.isfinite(error) else np.inf, place))
    return worst


def dot(subject: Subject) -> Check:
    """Check the reverse against exact directional derivatives."""
    cell, worst, pairs = subject.cell, Deviation(), 0
    for regime in REGIMES:
        case = sample(cell, "dot", regime=regime)
        directions = random_directions(cell, case, "dot", DIRECTIONS)
        changes = derivative(cell, case, directions)
        run = run_forward(subject.kernels, case)
        separate = () if subject.reduced and regime != "ordinary" else ("y", *case.states)
        for label in ("all outputs", *separate):
            chosen = case if label == "all outputs" else case.only(label)
            found = run_backward(subject.kernels, run, chosen)
            where = f"cotangent of {label}, {regime}"
            exact = paired(changes, chosen)
            # Where all is saturated, a gradient is what is left of near-equal numbers: 1 - tanh^2.
            floor = _norm(chosen) if regime == "saturated" else 0.0
            worst = worst.worse(dot_deviation(found, exact, directions, where, floor))
            pairs += DIRECTIONS
    detail = f"{pairs} directions with cotangents, {len(REGIMES)} regimes"
    return judged("dot", worst, LIMIT, detail + subject.note("separate cotangents: ordinary only"))


def _norm(case: Case) -> float:
    """Return the norm of all cotangents of a case."""
    parts = (case.ct_y, *case.ct_state.values())
    return float(np.sqrt(sum(float((part**2).sum()) for part in parts)))


def exact_gradients(cell: Cell, case: Case) -> Arrays:
    """Return the gradient of every tensor of a case, one complex step per element."""
    found = {}
    for name, tensor in case.tensors.items():
        units = np.eye(tensor.size).reshape(tensor.size, *tensor.shape)
        found[name] = paired(derivative(cell, case, {name: units}), case).reshape(tensor.shape)
    return found


def elementwise(subject: Subject) -> Check:
    """Check every element of every gradient at the smallest sizes."""
    case = sample(subject.cell, "elementwise")
    exact = exact_gradients(subject.cell, case)
    worst = deviation(gradients(subject.kernels, case), exact)
    count = sum(tensor.size for tensor in case.tensors.values())
    return judged("elementwise", worst, LIMIT, f"{count} elements of {len(exact)} tensors")
