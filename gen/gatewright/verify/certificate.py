"""Cell, kernels -> Certificate: the gradient certificate, one check per step of its protocol.

    symbolic     the derivation equals SymPy's, exactly
    emitted      kernel, interpreted Programs and the cell's equations agree
    dot          exact directional derivatives, three regimes, every output
    elementwise  every element of every gradient against a complex step
    differences  the kernel against error-barred differences of itself
    bptt         sequences of many lengths, whatever memory held before
    shapes       sizes, empty arrays, layouts in memory
    precision    single against double precision
    kinks        the documented value where there is no derivative

Why several methods and one table: each has a blind spot that another covers, and a reader sees at a
glance which of them decided, how sharply, and where the worst number was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatewright.language.cell import Cell
from gatewright.program.compile import Programs, compile_cell
from gatewright.verify.agreement import bptt, emitted, shapes
from gatewright.verify.complex_step import dot, elementwise
from gatewright.verify.differences import differences
from gatewright.verify.kinks import kinks
from gatewright.verify.precision import precision
from gatewright.verify.subject import KernelsFactory, Subject
from gatewright.verify.symbolic import symbolic
from gatewright.verify.verdict import EXIT_CODES, Check, UndecidedError, Verdict, overall

SCHEMA_VERSION = 1
Step = Callable[[Subject], Check]

# In double precision everything but `precision`; in single precision what does not differentiate.
STEPS: dict[str, tuple[Step, ...]] = {
    "float64": (symbolic, emitted, dot, elementwise, differences, bptt, shapes, kinks),
    "float32": (symbolic, emitted, bptt, shapes, precision, kinks),
}


@dataclass(frozen=True)
class Certificate:
    """What is known about the gradients of one cell on one target in one precision."""

    cell: str
    target: str
    dtype: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """Fail if any check fails, else inconclusive if any is, else pass."""
        return overall(self.checks)

    @property
    def exit_code(self) -> int:
        """0 for pass, 1 for fail, 4 for inconclusive."""
        return EXIT_CODES[self.verdict]

    def check(self, name: str) -> Check:
        """Return a check by its name."""
        return next(check for check in self.checks if check.name == name)

    def __str__(self) -> str:
        head = f"{'check':<12}{'verdict':<13}{'error':>9} {'limit':>9}"
        title = f"{self.cell} on {self.target}, {self.dtype}: {self.verdict}"
        return "\n".join([title, head, *(str(check) for check in self.checks)])

    def as_dict(self) -> dict[str, Any]:
        """Return the certificate as plain data; an infinite or undefined error is null."""
        checks = []
        for check in self.checks:
            entry = asdict(check)
            entry["error"] = check.error if np.isfinite(check.error) else None
            checks.append(entry)
        return {
            "schema_version": SCHEMA_VERSION,
            "cell": self.cell,
            "target": self.target,
            "dtype": self.dtype,
            "verdict": self.verdict,
            "checks": checks,
        }

    def to_json(self) -> str:
        """Return the certificate as JSON."""
        return json.dumps(self.as_dict(), indent=2)


def certify(
    cell: Cell,
    kernels_factory: KernelsFactory,
    target: str,
    dtype: str = "float64",
    programs: Programs | None = None,
) -> Certificate:
    """Return the gradient certificate of the kernels that `kernels_factory(dtype)` makes.

    `programs` are those the kernels were made from, compiled anew from the cell if None.
    """
    subject = Subject(cell, programs or compile_cell(cell), kernels_factory, target, dtype)
    checks = tuple(run_step(step, subject) for step in STEPS[dtype])
    return Certificate(cell.identifier, target, dtype, checks)


def run_step(step: Step, subject: Subject) -> Check:
    """Run a step: one that cannot decide is inconclusive, one in which anything is raised fails."""
    name = step.__name__
    try:
        with np.errstate(all="ignore"):
            return step(subject)
    except UndecidedError as reason:
        return Check(name, "inconclusive", float("nan"), "", 0.0, str(reason))
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        return Check(name, "fail", float("inf"), "", 0.0, " ".join(detail.split())[:200])
