"""Two Outcomes -> Agreement: whether a peer computed the same thing, and where it is worst.

Errors are relative to the largest number of the array that is compared.

Why before any time is taken: a ratio to something that computes another function says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatewright.studies.problem import Array, Outcome

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Agreement:
    """The worst error, as a part of the scale of the array it is in; `error` None is not finite."""

    agrees: bool
    error: float | None
    where: str


def agreement(ours: Outcome, peer: Outcome) -> Agreement:
    """Compare the outputs and the gradients; those of the peer are the scale."""
    if ours.gradients.keys() != peer.gradients.keys():
        odd = sorted(ours.gradients.keys() ^ peer.gradients.keys())
        return Agreement(False, None, f"gradients of {', '.join(odd)}")
    compared = [("y", _error(ours.y, peer.y), OUTPUT_TOLERANCE)]
    compared += [
        (f"gradient of {name}", _error(array, peer.gradients[name]), GRADIENT_TOLERANCE)
        for name, array in ours.gradients.items()
    ]
    # How far an error is from its own tolerance decides which is worst.
    where, error, tolerance = max(compared, key=lambda each: each[1] / each[2])
    return Agreement(error <= tolerance, error if np.isfinite(error) else None, where)


def _error(ours: Array, peer: Array) -> float:
    if ours.shape != peer.shape or not (np.isfinite(ours).all() and np.isfinite(peer).all()):
        return float("inf")
    scale = float(np.max(np.abs(peer))) or 1.0
    return float(np.max(np.abs(ours.astype(np.float64) - peer))) / scale
