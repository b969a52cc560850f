"""Forecasting: the series of Mackey and Glass (1977), six steps ahead.

A model of the number of blood cells, which answers to the number some time ago:

    dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)

With this delay it is chaotic, and a customary test of forecasts. The last fifth of the series is
never trained on. Losses are in parts of the variance, so the mean of the series would have 1; what
must be beaten is the forecast that nothing changes in six steps.

Why computed and not measured: the equation says what every number should be.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import gatewright.torch
from gatewright.examples.training import Batch, Job, Size, check_length, stream

SIZES = {
    "small": Size(hidden=32, batch=32, length=60, steps=200, rate=0.01),
    "full": Size(hidden=128, batch=64, length=200, steps=1000, rate=0.002),
}
DELAY, STEPS_PER_UNIT, SAMPLES = 17, 10, 4000
# How far a forecast looks ahead, and how many steps are seen before the first one counts.
AHEAD, SEEN = 6, 20


def mackey_glass(samples: int = SAMPLES) -> Tensor:
    """Return the series at t = 0, 1, ..., after its beginnings, by the method of Heun."""
    h, lag = 1 / STEPS_PER_UNIT, DELAY * STEPS_PER_UNIT
    x = [1.2] * (lag + 1)
    for k in range((samples + 300) * STEPS_PER_UNIT):
        now, then, after = x[-1], x[k], x[k + 1]
        slope = 0.2 * then / (1 + then**10) - 0.1 * now
        ahead = 0.2 * after / (1 + after**10) - 0.1 * (now + h * slope)
        x.append(now + h * (slope + ahead) / 2)
    return torch.tensor(x[-samples * STEPS_PER_UNIT :: STEPS_PER_UNIT])


class Forecaster(nn.Module):
    """A layer of the cell, and a linear map of all its outputs to the change that is coming."""

    def __init__(self, cell: Any, hidden: int, **options: Any) -> None:
        super().__init__()
        self.recurrent = gatewright.torch.layer(cell, 1, hidden, **options)
        self.readout = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return forecasts [T, B, 1] for a series x [T, B, 1]."""
        y, _ = self.recurrent(x)
        change: Tensor = self.readout(y)
        return x + change


def windows(series: Tensor, starts: Tensor, T: int) -> Batch:
    """Return parts of a series and the same parts AHEAD steps later, [T, B, 1]."""
    places = starts + torch.arange(T)[:, None]
    return series[places, None], series[places + AHEAD, None]


def job(cell: Any, size: Size, seed: int = 0, **options: Any) -> Job:
    """Return the job for a cell; `options` are those of `gatewright.torch.layer`."""
    series = mackey_glass()
    series = (series - series.mean()) / series.std()
    cut, T = 4 * len(series) // 5, size.length
    known, new = series[:cut], series[cut:]
    check_length("forecast", T, above=SEEN, below=len(new) - AHEAD)
    held_out = windows(new, torch.arange(0, len(new) - T - AHEAD, T // 2), T)

    def batch(k: int) -> Batch:
        last = len(known) - T - AHEAD
        return windows(known, torch.randint(last, (size.batch,), generator=stream(seed, k)), T)

    def show(model: Forecaster) -> str:
        rows = zip(model(held_out[0])[SEEN::5, 0, 0], held_out[1][SEEN::5, 0, 0], strict=True)
        return "\n".join(f"{found:5.2f} for {value:5.2f}" for found, value in list(rows)[:6])

    def loss(model: nn.Module, x: Tensor, later: Tensor) -> Tensor:
        return nn.functional.mse_loss(model(x)[SEEN:], later[SEEN:])

    return Job(
        model=Forecaster(cell, size.hidden, **options),
        size=size,
        batch=batch,
        held_out=held_out,
        loss=loss,
        show=show,
        unit="parts of the variance",
        baseline=loss(nn.Identity(), *held_out).item(),
        baseline_is="the last value",
    )
