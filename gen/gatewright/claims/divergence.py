"""How far the tied LSTM drifts from the GRU when gates are sequences tied at equal steps: measured.

With L the largest row sum of |U|, d the largest change of the reset gate from one step to the next,
r its largest value and B = max(|h(0)|, 1): if L r < 1 and the states start equal, then
|c - h| <= L d B / (1 - L r) at every step, and never more than 2 B. (By hand; tanh candidate.)

Why measured too: a bound that is never nearly reached says less than one that is.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

STEPS = 120
UNITS = 4
RUNS = 10


@dataclass(frozen=True)
class Drift:
    """One value of L: the bound, the largest difference seen, and one run step by step."""

    size: float
    bound: float
    largest: float
    run: tuple[float, ...]


def drifts(sizes: tuple[float, ...] = (0.25, 0.5, 0.9)) -> tuple[Drift, ...]:
    """Return the measured differences for several sizes of the recurrent matrix."""
    return tuple(_drift(size) for size in sizes)


def _drift(size: float) -> Drift:
    runs = [_run(size, random.Random(seed)) for seed in range(RUNS)]
    largest, bound, run = max(runs, key=lambda each: each[0] / each[1])
    return Drift(size, bound, largest, run)


def _run(size: float, rng: random.Random) -> tuple[float, float, tuple[float, ...]]:
    weights = [[rng.uniform(-1, 1) for _ in range(UNITS)] for _ in range(UNITS)]
    scale = size / max(sum(map(abs, row)) for row in weights)
    weights = [[scale * value for value in row] for row in weights]
    phases = [rng.uniform(0, 6) for _ in range(UNITS)]
    speeds = [rng.uniform(0.02, 0.3) for _ in range(UNITS)]

    def reset(step: int) -> list[float]:
        return [0.5 + 0.45 * math.sin(p + s * step) for p, s in zip(phases, speeds, strict=True)]

    gru = lstm = [0.0] * UNITS
    differences = []
    change = 0.0
    for step in range(1, STEPS + 1):
        before, now = reset(step - 1), reset(step)
        change = max(change, *(abs(a - b) for a, b in zip(before, now, strict=True)))
        update = [rng.uniform(0.05, 0.95) for _ in range(UNITS)]
        x = [rng.uniform(-1, 1) for _ in range(UNITS)]
        gru = _step(gru, now, update, x, weights)
        lstm = _step(lstm, before, update, x, weights)
        differences.append(max(abs(a - b) for a, b in zip(lstm, gru, strict=True)))
    bound = min(2.0, size * change / (1 - size * 0.95))
    return max(differences), bound, tuple(differences)


def _step(
    state: list[float],
    reset: list[float],
    update: list[float],
    x: list[float],
    weights: list[list[float]],
) -> list[float]:
    read = [a * b for a, b in zip(reset, state, strict=True)]
    new = [
        math.tanh(v + sum(w * r for w, r in zip(row, read, strict=True)))
        for v, row in zip(x, weights, strict=True)
    ]
    return [(1 - z) * h + z * n for z, h, n in zip(update, state, new, strict=True)]
