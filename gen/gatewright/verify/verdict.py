"""Numbers -> verdicts: what one step of a gradient certificate says, and how errors are measured.

An error is the largest absolute difference of two tensors, divided by the scale of the expected
one. A NaN, a missing tensor or a wrong shape is an infinite error: it can fail, never pass.

Why three verdicts: a check that could not decide and says so is worth more than a pass that means
nothing; `inconclusive` carries its own exit code up to the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Verdict = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "inconclusive": 4}


@dataclass(frozen=True)
class Deviation:
    """The worst normalised error seen so far, and where: tensor, index, regime."""

    error: float = 0.0
    where: str = ""

    def worse(self, other: Deviation) -> Deviation:
        """Return the larger of two deviations."""
        return other if not other.error <= self.error else self


@dataclass(frozen=True)
class Check:
    """What one step of the protocol found; `error` and `limit` are in the step's own measure."""

    name: str
    verdict: Verdict
    error: float
    where: str
    limit: float
    detail: str = ""

    def __str__(self) -> str:
        figures = f"{self.error:9.1e} {self.limit:9.1e}"
        place = f"  {self.where}" if self.where and self.verdict != "pass" else ""
        return f"{self.name:<12}{self.verdict:<13}{figures}  {self.detail}{place}"


class UndecidedError(Exception):
    """A step that cannot decide; the message says why."""


def judged(name: str, found: Deviation, limit: float, detail: str = "") -> Check:
    """Return the check that passes if the error is within the limit."""
    verdict: Verdict = "pass" if found.error <= limit else "fail"
    return Check(name, verdict, found.error, found.where, limit, detail)


def overall(checks: Iterable[Check]) -> Verdict:
    """Return fail if any check fails, else inconclusive if any is, else pass."""
    verdicts = {check.verdict for check in checks}
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts or not verdicts else "pass"


def deviation(
    found: Mapping[str, Any], expected: Mapping[str, Any], where: str = "", floor: float = 0.0
) -> Deviation:
    """Return the worst error of `found` over all tensors, normalised by each tensor's own scale.

    The scale is the largest magnitude of the expected tensor, at least `floor`, and 1 if that is 0.
    """
    worst = Deviation()
    for name, value in expected.items():
        worst = worst.worse(_deviation(name, found.get(name), np.asarray(value), where, floor))
    return worst


def _deviation(name: str, found: Any, expected: Array, where: str, floor: float) -> Deviation:
    label = f"{name}, {where}" if where else name
    if found is None:
        return Deviation(np.inf, f"{label}: missing")
    found = np.asarray(found)
    if found.shape != expected.shape:
        return Deviation(np.inf, f"{label}: shape {found.shape}, not {expected.shape}")
    if not expected.size:
        return Deviation()
    difference = np.abs(found.astype(np.float64) - expected)
    difference = np.where(np.isfinite(difference), difference, np.inf)
    index = np.unravel_index(int(difference.argmax()), difference.shape)
    scale = max(float(np.abs(expected).max()), floor) or 1.0
    place = f"{name}[{', '.join(str(i) for i in index)}]"
    return Deviation(float(difference[index]) / scale, f"{place}, {where}" if where else place)


def same_bits(found: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> Deviation:
    """Return an infinite error if any tensor differs in any bit or is not finite."""
    for name, value in expected.items():
        other = np.asarray(found[name])
        if not np.isfinite(other).all() or not np.array_equal(other, value):
            return Deviation(np.inf, f"{name}, {where}")
    return Deviation()
