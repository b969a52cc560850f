"""The loss of a job while it is trained.

Why without PyTorch: a curve is drawn and printed by what does not need it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """After some steps: the mean loss of the steps since the point before, and the held-out one."""

    step: int
    training: float | None
    held_out: float


@dataclass(frozen=True)
class Curve:
    """The points of a run, from before the first step to after the last."""

    points: tuple[Point, ...]

    @property
    def final(self) -> float:
        """The held-out loss in the end."""
        return self.points[-1].held_out
