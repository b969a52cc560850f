"""Kernels, Case -> error-barred finite differences of the kernel itself, trusting nothing else.

Every tensor is moved along random directions and along a few of its elements, and SciPy's adaptive
differences of the kernel's own forward pass say what the gradient must be, and how sure they are.

Why inconclusive where SciPy is not sure: across a kink, differences are confidently wrong, and an
error bar that is too wide would let anything pass. Only a converged, tight estimate can pass.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.differentiate import derivative

from gatewright.verify.interpret import Array
from gatewright.verify.sampling import (
    Case,
    gradients,
    kink_arguments,
    outputs,
    run_forward,
    sample,
)
from gatewright.verify.subject import Subject
from gatewright.verify.verdict import Check, Deviation, Verdict

BAR, FLOOR, WIDEST = 10.0, 1e-11, 1e-8
DIRECTIONS, ELEMENTS = 2, 2
SMOOTH_STEP, KINK_STEP, MARGIN = 5e-2, 4e-3, 5e-2
ROUNDING = 2.0**-52
CONVERGED = 0
TOLERANCES = (1e-11, 1e-10, 1e-9)


@dataclass(frozen=True)
class _Probe:
    """A direction in one or more tensors, the derivative claimed along it, and its scale."""

    where: str
    along: dict[str, Array]
    claimed: float
    scale: float


@dataclass(frozen=True)
class _Estimate:
    """Estimated derivatives and their error bars, and which of them did not converge."""

    value: Array
    bar: Array
    unsettled: Array


def differences(subject: Subject) -> Check:
    """Check directional derivatives against differences of the kernel's own forward pass."""
    kinked = bool(kink_arguments(subject.cell))
    steps = 1 if subject.reduced else 3
    case = sample(subject.cell, "differences", steps=steps, margin=MARGIN if kinked else 0.0)
    probes = _probes(subject, case, gradients(subject.kernels, case))
    found = _estimate(subject, case, probes, KINK_STEP if kinked else SMOOTH_STEP)
    verdict: Verdict = "pass"
    worst, widest = Deviation(), 0.0
    for index, probe in enumerate(probes):
        error = abs(probe.claimed / probe.scale - float(found.value[index]))
        bar = float(found.bar[index])
        settled = not found.unsettled[index] and bar <= WIDEST
        widest = max(widest, bar)
        if not np.isfinite(probe.claimed) or (settled and not error <= BAR * bar + FLOOR):
            if verdict != "fail":
                worst = Deviation()
            verdict = "fail"
            worst = worst.worse(Deviation(error, probe.where))
        elif not settled and verdict != "fail":
            verdict = "inconclusive"
            worst = Deviation(error, f"{probe.where}: the estimate does not settle")
        elif verdict == "pass":
            worst = worst.worse(Deviation(error, probe.where))
    detail = f"{len(probes)} directions, widest error bar {widest:.0e}"
    detail += subject.note("T = 1, one direction per tensor")
    return Check("differences", verdict, worst.error, worst.where, BAR * widest + FLOOR, detail)


def _probes(subject: Subject, case: Case, claimed: dict[str, Array]) -> list[_Probe]:
    rng = np.random.default_rng(zlib.crc32(f"{subject.cell.identifier} differences".encode()))
    found = []
    for name, tensor in case.tensors.items():
        for number in range(1 if subject.reduced else DIRECTIONS):
            along = {name: rng.standard_normal(tensor.shape)}
            found.append(_probe(f"{name}, direction {number}", along, claimed))
        if subject.reduced:
            continue
        for element in sorted(rng.permutation(tensor.size)[:ELEMENTS]):
            unit = np.zeros(tensor.size)
            unit[element] = 1.0
            found.append(
                _probe(f"{name}.flat[{element}]", {name: unit.reshape(tensor.shape)}, claimed)
            )
    return found


def _probe(where: str, along: dict[str, Array], claimed: dict[str, Array]) -> _Probe:
    length = np.sqrt(sum(float((array**2).sum()) for array in along.values()))
    unit = {name: array / length for name, array in along.items()}
    total = sum(float((claimed[name] * array).sum()) for name, array in unit.items())
    scale = max(float(np.abs(claimed[name]).max(initial=0.0)) for name in unit)
    return _Probe(where, unit, total, scale if np.isfinite(scale) and scale > 0 else 1.0)


def _estimate(subject: Subject, case: Case, probes: list[_Probe], step: float) -> _Estimate:
    """Return SciPy's estimates along all probes, each with the tightest tolerance it converges to.

    Values and error bars are in units of each probe's scale.
    """

    def loss(distance: float, index: int) -> float:
        probe = probes[index]
        moved = case.moved(
            {name: np.asarray(case.tensors[name] + distance * a) for name, a in probe.along.items()}
        )
        reached = outputs(run_forward(subject.kernels, moved))
        total = float((reached["y"] * case.ct_y).sum())
        total += sum(float((reached[f"{n}'"] * a).sum()) for n, a in case.ct_state.items())
        return total / probe.scale

    magnitude = _magnitude(subject, case)
    every = np.vectorize(loss, otypes=[np.float64])
    count = len(probes)
    found = _Estimate(np.full(count, np.nan), np.full(count, np.inf), np.ones(count, bool))
    for tolerance in TOLERANCES:
        left = np.flatnonzero(found.unsettled)
        if not left.size:
            break
        tried = derivative(
            every,
            np.zeros(left.size),
            args=(left,),
            initial_step=step,
            maxiter=6,
            tolerances={"atol": tolerance, "rtol": 0.0},
        )
        # SciPy's bar does not know how the function itself rounds; that noise grows as 1 / step.
        narrowest = step / 2.0 ** (tried.nit - 1)
        noise = [ROUNDING * magnitude / probes[index].scale for index in left] / narrowest
        found.value[left], found.bar[left] = tried.df, tried.error + noise
        found.unsettled[left] = tried.status != CONVERGED
    return found


def _magnitude(subject: Subject, case: Case) -> float:
    """Return the size of the terms whose sum is differenced."""
    reached = outputs(run_forward(subject.kernels, case))
    total = float(np.abs(reached["y"] * case.ct_y).sum())
    return total + sum(float(np.abs(reached[f"{n}'"] * a).sum()) for n, a in case.ct_state.items())
