"""Targets are reached only by the whole grid, missed by one point, open otherwise."""

from __future__ import annotations

import dataclasses

import pytest

from gatewright.studies import tables
from gatewright.studies.report import Report, Row
from gatewright.studies.targets import TARGETS, Verdict, verdicts
from tests.studies.reports import full_grid, report, row


def lstm(found: Report, cell: str = "lstm") -> Verdict:
    (verdict,) = (
        each
        for each in verdicts(found)
        if each.target.name == "torch.nn.LSTM" and each.cell == cell
    )
    return verdict


def grid(ratio: float | None, **first: float | None) -> list[Row]:
    rows = full_grid("lstm", "training", 1, **{"torch.nn": ratio})
    if first:
        rows[0] = row("lstm", "training", 1, rows[0].B, rows[0].H, **{"torch.nn": first["first"]})
    return rows


def test_the_promises_are_those_that_were_made() -> None:
    found = {each.name: (each.mean, each.worst) for each in TARGETS}
    assert found == {
        "torch.nn.LSTM": (1.5, 1.0),
        "torch.nn.GRU and RNN": (3.0, 1.5),
        "jax.lax.scan": (2.5, 1.2),
        "PyTorch eager loop": (10.0, 3.0),
        "onnxruntime": (1.3, 1.0),
        "percent of the peak": (80.0, 65.0),
    }


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (grid(1.5), "reached"),
        (grid(1.49), "missed"),
        (grid(4.0, first=0.99), "missed"),
        (grid(4.0)[1:], "open"),
        (grid(1.2)[1:], "open"),
        (grid(4.0, first=0.99)[:2], "missed"),
        (grid(4.0, first=None), "open"),
        ([dataclasses.replace(each, others_percent=50.0) for each in grid(4.0)], "open"),
        ([*grid(4.0)[1:], dataclasses.replace(grid(4.0)[0], T=3)], "open"),
    ],
)
def test_a_verdict_needs_every_point_and_one_bad_point_is_enough(
    rows: list[Row], verdict: str
) -> None:
    assert lstm(report(*rows)).verdict == verdict


def test_a_verdict_says_where_it_is_worst_and_how_many_points_it_has() -> None:
    found = lstm(report(*grid(4.0, first=0.5)))
    assert (found.worst, found.where, found.points, found.expected) == (0.5, "B=1 H=128", 16, 16)
    assert found.mean == pytest.approx((4.0**15 * 0.5) ** (1 / 16), rel=1e-3)


def test_a_verdict_says_what_the_peak_itself_would_reach() -> None:
    rows = [dataclasses.replace(each, percent_of_peak=80.0) for each in grid(1.2)]
    found = lstm(report(*rows))
    # A peer at two thirds of the peak cannot be beaten by half as much again.
    assert (found.mean, found.ceiling, found.verdict) == (1.2, 1.5, "missed")


def test_all_cells_tasks_and_threads_are_judged_together_too() -> None:
    good = [each for threads in (1, 4) for each in full_grid("lstm", "training", threads,
            **{"torch.nn": 4.0})]  # fmt: skip
    found = lstm(report(*good), "all")
    assert (found.threads, found.points, found.expected) == ((1, 4), 32, 32)
    assert found.verdict == "reached"
    bad = [*good[1:], row("lstm", "training", 1, 1, 128, **{"torch.nn": 0.9})]
    found = lstm(report(*bad), "all")
    assert (found.verdict, found.where) == ("missed", "B=1 H=128, lstm, training, 1 thread")


def test_the_peak_is_promised_for_large_steps_only() -> None:
    rows = [
        dataclasses.replace(each, percent_of_peak=90.0 if each.B >= 64 and each.H >= 256 else 1.0)
        for each in full_grid("gru", "inference", 4)
    ]
    (found,) = verdicts(report(*rows))
    assert (found.target.name, found.verdict) == ("percent of the peak", "reached")
    assert (found.mean, found.worst, found.points) == (90.0, 90.0, 6)


def test_the_table_states_what_is_reached_and_what_was_promised() -> None:
    half = [dataclasses.replace(each, percent_of_peak=50.0) for each in grid(1.62)]
    headings, (first, *_) = tables.targets([lstm(report(*half))])
    assert len(headings) == len(first)
    assert first == ("torch.nn.LSTM", "lstm", "training", "1", "1.62x of 1.5x", "3.24x",
                     "1.62x of 1x", "16 of 16", "reached", "B=1 H=128")  # fmt: skip
    _, (empty, *_) = tables.targets([lstm(report(*grid(None)))])
    assert empty[4:] == ("- of 1.5x", "-", "- of 1x", "0 of 16", "open", "")
