"""Promises about a GPU: kept, missed or open, by what was timed."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from gatewright.studies.cuda_check import MODES, Sizes
from gatewright.studies.cuda_targets import verdicts
from gatewright.studies.cuda_time import EAGER, LONG, PRODUCTS, Timing, ours

MODE = {mode.name: ours(mode) for mode in MODES}
H100 = "NVIDIA H100 80GB HBM3"
LARGE = Sizes(256, 64, 1024, 1024)


def row(cell: str, who: str, forward: float | None, both: float | None, at: Sizes = LONG) -> Timing:
    return Timing(cell, at, who, forward, both)


def found(*rows: Timing, device: str = H100) -> list[tuple[str, float | None, str]]:
    return [(each.promise, each.figure, each.verdict) for each in verdicts(device, rows)]


@pytest.mark.parametrize(
    ("forward", "device", "verdict"),
    [
        (4.9, H100, "reached"),
        (4.91, H100, "missed"),
        (4.9, "NVIDIA A100", "open"),
        (None, H100, "open"),
    ],
)
def test_milliseconds_are_of_one_device(forward: float | None, device: str, verdict: str) -> None:
    own = row("lstm", MODE["bfloat16, one kernel"], forward, 20.0)
    first, second = found(own, device=device)
    assert first == ("ms, no more than FlashRNN's", forward, verdict)
    assert second[2] == ("missed" if device == H100 else "open")


def test_the_fastest_of_ours_in_a_precision_runs_beside_cudnn() -> None:
    rows = (
        row("gru_reset_after", MODE["float32, steps"], 8.0, 30.0),
        row("gru_reset_after", MODE["float32, one kernel"], 4.0, 16.0),
        row("gru_reset_after", MODE["float16, one kernel"], 1.0, 1.0),
        row("gru_reset_after", "torch.nn.GRU, float32", 6.0, 12.0),
        row("gru_reset_after", "torch.nn.GRU, bfloat16", 6.0, 12.0),
        row("gru_reset_after", "torch.nn.GRU, float32", 6.0, 12.0, LARGE),
    )
    assert found(*rows) == [
        ("times faster than nn.GRU", 1.5, "reached"),
        ("times faster than nn.GRU", 0.75, "missed"),
        ("times faster than nn.GRU", None, "open"),
        ("times faster than nn.GRU", None, "open"),
    ]


def test_a_loop_runs_beside_ours_of_the_same_precision_and_size() -> None:
    rows = (
        row("mine", MODE["float32, one kernel"], 2.0, 5.0),
        row("mine", MODE["bfloat16, one kernel"], 0.1, 0.1),
        row("mine", MODE["float32, one kernel"], 0.1, 0.1, LARGE),
        row("mine", EAGER, 60.0, 149.0),
    )
    assert found(*rows) == [
        ("times faster than a loop", 30.0, "reached"),
        ("times faster than a loop", 29.8, "missed"),
    ]


def test_steps_run_beside_their_products_where_these_are_large() -> None:
    rows = (
        row("lstm", MODE["float32, steps"], 11.0, 24.0, LARGE),
        row("lstm", PRODUCTS, 10.0, 20.0, LARGE),
        row("lstm", MODE["float32, steps"], 99.0, 99.0, Sizes(256, 16, 1024, 1024)),
    )
    assert found(*rows) == [
        ("times the products alone", 1.1, "reached"),
        ("times the products alone", 1.2, "missed"),
    ]
