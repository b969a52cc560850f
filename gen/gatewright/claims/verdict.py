"""Verdicts: proved, refuted or unknown, each with what makes it more than a word.

Why three: a procedure that must answer yes or no about recurrences with exponentials would have to
guess; what it cannot decide is named, with what was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gatewright.claims.claim import Claim
from gatewright.claims.theory import Theory

Unknown = Literal[
    "equal for the steps tried, no inductive state map",
    "not derivable in the theory, no counterexample found",
    "outside the fragment",
]


@dataclass(frozen=True)
class Proved:
    """What a proof used and what it holds for.

    `sizes` is the hidden size that a test by evaluation would need to see every difference.
    """

    theory: Theory
    rules: tuple[tuple[str, int], ...]
    conditions: tuple[str, ...]
    lookahead: Mapping[str, int]
    normal_forms: tuple[tuple[str, str], ...]  # what is equal, and its normal form
    states: Mapping[str, str]
    size_to_test: int


@dataclass(frozen=True)
class Counterexample:
    """Exact numbers at which the two sides of a claim differ.

    `vectors` and `matrices` give every number that is not 0; `left` and `right` enclose the two
    values in the observed element. `instances` say what stands for each abstract function.
    """

    step: int
    size: int
    sizes: Mapping[str, int]
    observed: int
    element: int
    vectors: Mapping[str, tuple[Fraction, ...]]
    matrices: Mapping[str, tuple[tuple[Fraction, ...], ...]]
    instances: Mapping[str, str]
    left: str
    right: str


@dataclass(frozen=True)
class Refuted:
    """Where the two sides part, by how much, and when they would not.

    `residuals` are pairs: what fails to hold, and by how much, factored, in one step from related
    states. `vanishes` says of each when it would be zero, or nothing; formulas in it stand
    between backticks.
    """

    step: int
    counterexample: Counterexample
    equal_with_one_unit: bool
    residuals: tuple[tuple[str, str], ...]
    vanishes: tuple[str, ...]


@dataclass(frozen=True)
class Undecided:
    """Why no decision was reached, and what was tried."""

    kind: Unknown
    tried: str


Finding = Proved | Refuted | Undecided


@dataclass(frozen=True)
class Verdict:
    """A claim with what was found about it and the time it took."""

    claim: Claim
    finding: Finding
    milliseconds: float

    @property
    def word(self) -> Literal["proved", "refuted", "unknown"]:
        """The verdict in one word."""
        match self.finding:
            case Proved():
                return "proved"
            case Refuted():
                return "refuted"
            case _:
                return "unknown"

    @property
    def as_expected(self) -> bool:
        """Whether the claim file expects this verdict."""
        return self.word == self.claim.expect

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints for the claim."""
        finding = self.finding
        return {
            "id": self.claim.name,
            "verdict": self.word,
            "expected": self.claim.expect,
            "theory": str(finding.theory) if isinstance(finding, Proved) else None,
            "step": finding.step if isinstance(finding, Refuted) else None,
            "size": finding.counterexample.size if isinstance(finding, Refuted) else None,
            "milliseconds": round(self.milliseconds, 3),
        }
