"""Kernels in single and double precision -> how many units in the last place they differ.

The error of a tensor is measured in 2^-23 of its scale and divided by the square root of the number
of terms summed, K; the constant c that remains is reported.

Why against the same kernel and not by differences: the best differences of single precision are
wrong by 1e-4; the double-precision kernel is right to 1e-15 by the other checks.
"""

from __future__ import annotations

import numpy as np

from gatewright.verify.agreement import ULP, ULPS
from gatewright.verify.sampling import gradients, outputs, prime_sizes, run_forward, sample
from gatewright.verify.subject import Subject
from gatewright.verify.verdict import Check, deviation, judged


def precision(subject: Subject) -> Check:
    """Check the single-precision kernel against the double-precision one, and report c."""
    double, single = (subject.kernels_for(dtype) for dtype in ("float64", "float32"))
    found = {}
    for regime in ("ordinary", "saturated"):
        sizes = prime_sizes(subject.cell)
        if not subject.reduced:
            sizes |= {"hidden": 31, "input": 33}
            sizes = {dim: size for dim, size in sizes.items() if dim in subject.cell.dims}
        case = sample(subject.cell, "precision", regime=regime, sizes=sizes).cast("float32")
        exact = case.cast("float64")
        worst = deviation(outputs(run_forward(single, case)), outputs(run_forward(double, exact)))
        worst = worst.worse(deviation(gradients(single, case), gradients(double, exact), floor=1.0))
        terms = sum(sizes.values()) + case.ct_y.shape[0] * case.ct_y.shape[1]
        found[regime] = worst
    unit = ULP * float(np.sqrt(terms))
    constants = {regime: each.error / unit for regime, each in found.items()}
    detail = ", ".join(f"c = {c:.2g} {regime}" for regime, c in constants.items())
    both = found["ordinary"].worse(found["saturated"])
    return judged("precision", both, ULPS * unit, detail + subject.note("H = 3, I = 5"))
