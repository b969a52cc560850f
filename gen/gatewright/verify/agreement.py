"""Kernels -> do they agree with the references: at one size, over time, and at every shape.

    emitted  kernel, interpreted Programs and the cell's own equations give the same numbers
    bptt     sequences of 1 to 64 steps; what new memory holds and a second call change nothing
    shapes   sizes that fill no tile and those that do, no rows, no steps, arrays of any layout

Why the limits differ by precision: in double precision both sides round a handful of times, so
1e-13 of the scale is generous; in single precision the unit is 2^-23 times the square root of the
number of terms summed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np

from gatewright.runtime.kernels import Kernels
from gatewright.verify.complex_step import derivative, dot_deviation, paired, random_directions
from gatewright.verify.interpret import Array
from gatewright.verify.reference import ReferenceKernels, evaluate_sequence
from gatewright.verify.sampling import (
    REGIMES,
    Arrays,
    Case,
    outputs,
    prime_sizes,
    run_backward,
    run_forward,
    sample,
)
from gatewright.verify.subject import Subject, refilled
from gatewright.verify.verdict import (
    Check,
    Deviation,
    UndecidedError,
    deviation,
    judged,
    same_bits,
)

LIMIT, LONG_LIMIT = 1e-13, 1e-12
ULP = 2.0**-23
ULPS = 16.0
# How many times the effect of rounding alone a result may be off, and what effect says nothing.
EFFECT = 16.0
HOPELESS = 1e-3
SEQUENCES = (1, 2, 3, 7, 64)
# A tensor of one element may cancel to next to nothing; cotangents are of order one, and so is the
# unit in which its error is measured.
SMALLEST = 0.1
SIZES = (1, 2, 3, 5, 31, 32, 33)
SIMULATED_SIZES = ((1, 1, 1), (2, 3, 1), (3, 2, 5), (1, 33, 2))


def limit(subject: Subject, double: float, terms: int) -> float:
    """Return the limit of a comparison that sums `terms` terms, for the subject's precision."""
    return double if subject.dtype == "float64" else ULPS * ULP * float(np.sqrt(terms))


def relaxation(subject: Subject, case: Case, bound: float) -> float:
    """Return by what factor rounding alone moves the results of a case beyond the bound.

    It is 1 for a well-conditioned case: long sums of exponents, such as a stabilised exponential
    gate's, multiply every rounding of what they sum, and no kernel can do better. In single
    precision it comes from the interpreted Programs in single precision, in double precision from
    rounding the arguments. Raises UndecidedError if a comparison would mean nothing.
    """
    exact = case.cast(subject.dtype).cast("float64")
    if subject.dtype == "float32":
        other: Kernels = ReferenceKernels(subject.programs, "float32")
        moved = case.cast("float32")
    else:
        other, moved = subject.reference, _rounded(subject, exact)
    run, second = run_forward(subject.reference, exact), run_forward(other, moved)
    effect = deviation(outputs(second), outputs(run))
    found = run_backward(other, second, moved)
    expect = run_backward(subject.reference, run, exact)
    effect = effect.worse(deviation(found, expect, floor=_unit(subject)))
    if not np.isfinite(effect.error):
        return 1.0
    if effect.error > HOPELESS:
        raise UndecidedError(f"rounding alone changes results by {effect.error:.0e}")
    return max(1.0, EFFECT * effect.error / bound)


def _rounded(subject: Subject, case: Case) -> Case:
    """Return the case with every element moved by one unit in the last place, up or down."""
    rng = np.random.default_rng(zlib.crc32(subject.cell.identifier.encode()))
    signs = {name: rng.choice([-1.0, 1.0], array.shape) for name, array in case.tensors.items()}
    return case.moved(
        {name: np.asarray(a * (1 + 2.0**-52 * signs[name])) for name, a in case.tensors.items()}
    )


def _relaxed(found: Deviation, factor: float) -> Deviation:
    return Deviation(found.error / factor, found.where)


def _unit(subject: Subject) -> float:
    """Return the least scale of a gradient: sums of terms of order one may cancel to any size."""
    return 1.0 if subject.dtype == "float32" else 0.0


def values(subject: Subject, case: Case) -> tuple[Arrays, Arrays]:
    """Return outputs and gradients of the certified kernels, in their own precision."""
    cast = case.cast(subject.dtype)
    run = run_forward(subject.kernels, cast)
    return outputs(run), run_backward(subject.kernels, run, cast)


def expected(subject: Subject, case: Case) -> tuple[Arrays, Arrays]:
    """Return outputs and gradients of the interpreted Programs, for the same rounded arguments."""
    exact = case.cast(subject.dtype).cast("float64")
    run = run_forward(subject.reference, exact)
    return outputs(run), run_backward(subject.reference, run, exact)


def by_equations(subject: Subject, case: Case) -> Arrays:
    """Return the outputs by the cell's own equations."""
    exact = case.cast(subject.dtype).cast("float64")
    ys, final = evaluate_sequence(subject.cell, exact.inputs, exact.states, exact.parameters)
    found = np.stack(ys) if ys else np.zeros_like(exact.ct_y)
    return {"y": found, **{f"{name}'": array for name, array in final.items()}}


def emitted(subject: Subject) -> Check:
    """Check the kernel against both references, in every regime."""
    worst = Deviation()
    bound = limit(subject, LIMIT, sum(prime_sizes(subject.cell).values()))
    for regime in REGIMES:
        case = sample(subject.cell, "emitted", regime=regime)
        factor = relaxation(subject, case, bound)
        # In saturation a derivative is a difference of near-equal numbers: the unit is the
        # cotangent's, which is of order one. In single precision any sum may cancel that far.
        floor = 1.0 if regime == "saturated" else _unit(subject) * REGIMES[regime] ** 2
        ys, found = values(subject, case)
        other_ys, other = expected(subject, case)
        equations = by_equations(subject, case)
        for name, tensors, exact, least in (
            ("kernel against equations", ys, equations, 0.0),
            ("kernel against Programs", ys, other_ys, 0.0),
            ("Programs against equations", other_ys, equations, 0.0),
            ("kernel against Programs", found, other, floor),
        ):
            each = deviation(tensors, exact, f"{name}, {regime}", least)
            worst = worst.worse(_relaxed(each, factor))
    return judged("emitted", worst, bound, f"outputs and gradients, {len(REGIMES)} regimes")


def bptt(subject: Subject) -> Check:
    """Check sequences of several lengths, and that old contents of memory do not matter."""
    worst = Deviation()
    terms = max(SEQUENCES) * 2 + sum(prime_sizes(subject.cell).values())
    bound = limit(subject, LONG_LIMIT, terms)
    for steps in SEQUENCES:
        case = sample(subject.cell, "bptt", steps=steps, contraction=0.7)
        factor = relaxation(subject, case, bound)
        ys, found = values(subject, case)
        other_ys, other = expected(subject, case)
        where = f"T = {steps}"
        each = deviation(ys, other_ys, where).worse(deviation(found, other, where, _unit(subject)))
        if subject.dtype == "float64":
            along = random_directions(subject.cell, case, "bptt", 2)
            exact = paired(derivative(subject.cell, case, along), case)
            each = each.worse(dot_deviation(found, exact, along, where))
        worst = worst.worse(_relaxed(each, factor))
    worst = worst.worse(_memory_deviation(subject))
    lengths = ", ".join(str(steps) for steps in SEQUENCES)
    return judged("bptt", worst, bound, f"T = {lengths}; memory of NaN and of random numbers")


def _memory_deviation(subject: Subject) -> Deviation:
    case = sample(subject.cell, "memory", steps=2).cast(subject.dtype)
    rng = np.random.default_rng(zlib.crc32(subject.cell.identifier.encode()))
    fills: tuple[tuple[str, Callable[[tuple[int, ...]], Array]], ...] = (
        ("memory of NaN", lambda shape: np.full(shape, np.nan)),
        ("memory of random numbers", lambda shape: rng.standard_normal(shape)),
    )
    plain = run_forward(subject.kernels, case)
    ys, found = outputs(plain), run_backward(subject.kernels, plain, case)
    worst = same_bits(run_backward(subject.kernels, plain, case), found, "second reverse of a run")
    for where, fill in fills:
        kernels = refilled(subject.kernels, fill)
        run = run_forward(kernels, case)
        worst = worst.worse(same_bits(outputs(run), ys, where))
        worst = worst.worse(same_bits(run_backward(kernels, run, case), found, where))
    return worst


def size_sets(subject: Subject) -> tuple[tuple[int, int, int], ...]:
    """Return (B, H, I): every size in every place, in pairs that differ."""
    if subject.reduced:
        return SIMULATED_SIZES
    count = len(SIZES)
    return tuple(
        (SIZES[k], SIZES[(2 * k + shift) % count], SIZES[(3 * k + 2 * shift) % count])
        for shift in (0, 3)
        for k in range(count)
    )


def shapes(subject: Subject) -> Check:
    """Check sizes around a tile's, no rows, no steps, and arrays of any layout in memory."""
    worst, terms = Deviation(), 0
    sets = size_sets(subject)
    for batch, hidden, features in sets:
        sizes = _sizes(subject, hidden, features)
        case = sample(subject.cell, "shapes", batch=batch, steps=2, sizes=sizes)
        ys, found = values(subject, case)
        other_ys, other = expected(subject, case)
        where = f"B = {batch}, H = {hidden}, I = {features}"
        unit = max(SMALLEST, _unit(subject))
        worst = worst.worse(deviation(ys, other_ys, where, unit))
        worst = worst.worse(deviation(found, other, where, unit))
        terms = max(terms, sum(sizes.values()) + 2 * batch)
    worst = worst.worse(_empty_deviation(subject)).worse(_layout_deviation(subject))
    detail = f"{len(sets)} sizes, B = 0, T = 0, {len(LAYOUTS)} layouts in memory"
    bound = limit(subject, LIMIT * 10, terms)
    return judged("shapes", worst, bound, detail + subject.note("four sizes"))


def _sizes(subject: Subject, hidden: int, features: int) -> dict[str, int]:
    chosen = {"hidden": hidden, "input": features}
    return {dim: chosen.get(dim, size) for dim, size in prime_sizes(subject.cell).items()}


def _empty_deviation(subject: Subject) -> Deviation:
    """Run no rows and no steps: shapes stay, sums are zero, states pass through."""
    worst = Deviation()
    for batch, steps in ((0, 2), (2, 0), (0, 0)):
        case = sample(subject.cell, "empty", batch=batch, steps=steps)
        ys, found = values(subject, case)
        zero = {name: np.zeros(a.shape) for name, a in case.tensors.items()}
        passed = {name: a for name, a in case.ct_state.items() if steps == 0}
        through = {f"{name}'": a for name, a in case.states.items() if steps == 0}
        where = f"B = {batch}, T = {steps}"
        exact = zero | passed
        cast = {name: np.asarray(a, subject.dtype) for name, a in exact.items()}
        worst = worst.worse(deviation(found, cast, where))
        outs = {"y": np.zeros_like(case.ct_y)} | through
        worst = worst.worse(
            deviation(ys, {n: np.asarray(a, subject.dtype) for n, a in outs.items()}, where)
        )
    return worst


def _strided(array: Array) -> Array:
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7.0, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _reversed(array: Array) -> Array:
    return np.ascontiguousarray(array[::-1])[::-1]


def _locked(array: Array) -> Array:
    locked = array.copy()
    locked.flags.writeable = False
    return locked


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "every second column": _strided,
    "Fortran order": np.asfortranarray,
    "negative stride": _reversed,
    "read-only": _locked,
}


def _layout_deviation(subject: Subject) -> Deviation:
    case = sample(subject.cell, "layout", steps=2).cast(subject.dtype)
    worst = Deviation()
    pairs = [(label, case, _mapped(case, change)) for label, change in LAYOUTS.items()]
    for label, plain, changed in [*pairs, *_aliased(case)]:
        worst = worst.worse(_bits_deviation(subject, plain, changed, label))
    return worst


def _mapped(case: Case, change: Callable[[Array], Array]) -> Case:
    def new(arrays: Arrays) -> Arrays:
        return {name: change(a) if a.ndim else a for name, a in arrays.items()}

    return Case(
        new(case.inputs),
        new(case.states),
        new(case.parameters),
        change(case.ct_y),
        new(case.ct_state),
    )


def _aliased(case: Case) -> Iterator[tuple[str, Case, Case]]:
    """Yield cases in which arrays of one shape are one array, after the same with copies."""
    first: dict[tuple[int, ...], Array] = {}

    def shared(array: Array) -> Array:
        return first.setdefault(array.shape, array)

    aliased = _mapped(case, shared)
    yield "one array for all of a shape", _mapped(aliased, np.copy), aliased


def _bits_deviation(subject: Subject, plain: Case, changed: Case, label: str) -> Deviation:
    before = {name: array.copy() for name, array in changed.tensors.items()}
    run = run_forward(subject.kernels, plain)
    other = run_forward(subject.kernels, changed)
    worst = same_bits(outputs(other), outputs(run), label)
    found = run_backward(subject.kernels, other, changed)
    worst = worst.worse(same_bits(found, run_backward(subject.kernels, run, plain), label))
    kept = same_bits(changed.tensors, before, f"{label}: an argument was written to")
    return worst.worse(kept)
