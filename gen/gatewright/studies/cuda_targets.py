"""Timings -> Verdicts: how far each promise of this project about a GPU is kept.

    reached   the figure of a point keeps to the limit
    missed    it does not
    open      a time is missing, or was taken on another device than the promise is about

Why a verdict for each point and none over all: who names some cells has times of these alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gatewright.studies.cuda_check import MODES
from gatewright.studies.cuda_time import EAGER, LONG, PRODUCTS, STEPS, Timing, ours
from gatewright.studies.targets import MISSED, OPEN, REACHED

# What was promised of this device, in ms: what FlashRNN's authors measured of their LSTM, without
# the product of inputs, which is in ours.
DEVICE, FORWARD_MS, BOTH_MS = "H100", 4.9, 13.6
LEAST_OVER_LOOP, MOST_OVER_PRODUCTS = 30.0, 1.15
LARGE_H, LARGE_B = 1024, 64
_BOTH = "both"
_DIRECTIONS = ("forward", _BOTH)


@dataclass(frozen=True)
class Verdict:
    """A promise at one point: `figure` is in ms, or a ratio; None where times are missing."""

    promise: str
    where: str
    figure: float | None
    limit: float
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file says of it."""
        return asdict(self)


def verdicts(device: str, timings: Sequence[Timing]) -> tuple[Verdict, ...]:
    """Return a verdict for each promise and each point that it is about, by a device's name."""
    every = (_flashrnn(device, timings), _gru(timings), _loops(timings), _products(timings))
    return tuple(each for found in every for each in found)


def _flashrnn(device: str, timings: Sequence[Timing]) -> Iterator[Verdict]:
    """An LSTM in bfloat16 takes no longer than FlashRNN's."""
    mode = next(mode for mode in MODES if mode.products == "bfloat16")
    for row in timings:
        if (row.cell, row.sizes, row.who) == ("lstm", LONG, ours(mode)):
            for way, limit in zip(_DIRECTIONS, (FORWARD_MS, BOTH_MS), strict=True):
                taken = _time(row, way)
                here = DEVICE in device and taken is not None
                kept = taken is not None and taken <= limit
                verdict = (REACHED if kept else MISSED) if here else OPEN
                where = _where(row, way)
                yield Verdict("ms, no more than FlashRNN's", where, taken, limit, verdict)


def _gru(timings: Sequence[Timing]) -> Iterator[Verdict]:
    """A GRU is faster than cuDNN's in every precision."""
    for row in timings:
        if (row.cell, row.sizes) == ("gru_reset_after", LONG) and row.who.startswith("torch.nn."):
            precision = row.who.rpartition(", ")[2]
            own = [each for each in _beside(row, timings) if _runs(each, precision)]
            yield from _ratios("times faster than nn.GRU", row, own, 1.0)


def _loops(timings: Sequence[Timing]) -> Iterator[Verdict]:
    """Every cell is many times as fast as a loop over its steps."""
    for row in timings:
        if row.who == EAGER:
            own = [each for each in _beside(row, timings) if _runs(each, "float32")]
            yield from _ratios("times faster than a loop", row, own, LEAST_OVER_LOOP)


def _products(timings: Sequence[Timing]) -> Iterator[Verdict]:
    """Large steps that run one by one take little more than their products."""
    for row in timings:
        if row.who == ours(STEPS) and row.sizes.H >= LARGE_H and row.sizes.B >= LARGE_B:
            alone = [each for each in _beside(row, timings) if each.who == PRODUCTS]
            for way in _DIRECTIONS:
                figure = _ratio(_time(row, way), _fastest(alone, way))
                verdict = _verdict(figure, figure is not None and figure <= MOST_OVER_PRODUCTS)
                promise = "times the products alone"
                yield Verdict(promise, _where(row, way), figure, MOST_OVER_PRODUCTS, verdict)


def _ratios(promise: str, theirs: Timing, own: Sequence[Timing], least: float) -> Iterator[Verdict]:
    for way in _DIRECTIONS:
        figure = _ratio(_time(theirs, way), _fastest(own, way))
        verdict = _verdict(figure, figure is not None and figure >= least)
        yield Verdict(promise, _where(theirs, way), figure, least, verdict)


def _beside(row: Timing, timings: Sequence[Timing]) -> list[Timing]:
    return [each for each in timings if (each.cell, each.sizes) == (row.cell, row.sizes)]


def _runs(row: Timing, precision: str) -> bool:
    """Tell whether a row is of our kernels with numbers of a precision."""
    return any(
        row.who == ours(mode) and (mode.products or mode.dtype) == precision for mode in MODES
    )


def _time(row: Timing, way: str) -> float | None:
    return row.both if way == _BOTH else row.forward


def _fastest(rows: Sequence[Timing], way: str) -> float | None:
    return min((taken for row in rows if (taken := _time(row, way)) is not None), default=None)


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _verdict(figure: float | None, kept: bool) -> str:
    return OPEN if figure is None else REACHED if kept else MISSED


def _where(row: Timing, way: str) -> str:
    return f"{row.cell}, {row.sizes}, {row.who}, {'with backward' if way == _BOTH else way}"
