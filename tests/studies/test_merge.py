"""Results of one machine become one; of different machines, versions or speeds they do not."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from gatewright.studies.merge import MergeError, merge
from gatewright.studies.report import Report
from tests.studies.reports import report, row

LSTM = report(row("lstm", "training", 1, torch=2.0), row("lstm", "training", 4, torch=1.0))
GRU = report(row("gru", "training", 1, torch=4.0))
ELMAN = report(row("elman", "inference", 1))


def on(found: Report, **machine: Any) -> Report:
    return dataclasses.replace(found, machine={**found.machine, **machine})


def test_the_order_of_files_changes_nothing() -> None:
    results = {
        merge(order).rows: merge(order) for order in itertools.permutations((LSTM, GRU, ELMAN))
    }
    (merged,) = results.values()
    assert [each.cell for each in merged.rows] == ["elman", "gru", "lstm", "lstm"]
    assert [each.threads for each in merged.peaks] == [1, 4]
    assert merge([LSTM]) == LSTM


def test_days_may_pass_between_two_runs() -> None:
    later = on(GRU, date="2026-01-05", load_average_before=0.7)
    assert merge([LSTM, later]).machine["date"] == "2026-01-02 to 2026-01-05"
    assert merge([later, LSTM, later]).machine["date"] == "2026-01-02 to 2026-01-05"
    assert merge([LSTM, GRU]).machine["date"] == "2026-01-02"


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (on(GRU, cpu="another processor"), "cpu is a processor in one and another processor in"),
        (on(GRU, cores=8), "cores is 4 in one and 8 in another"),
        (on(GRU, versions={"python": "3.11", "torch": "2.14"}), "version of torch is 2.13 in one"),
        (on(GRU, versions={"python": "3.11"}), "version of torch is 2.13 in one and none in"),
        (dataclasses.replace(GRU, protocol={**GRU.protocol, "dtype": "float64"}), "dtype is"),
        (report(row("gru", "training", 1), gflops=111.0), "not equally fast: its peak on 1 thread"),
        (
            report(dataclasses.replace(row("lstm", "inference", 1), kernels="87654321")),
            "the equations or the generated file of lstm differ",
        ),
    ],
)
def test_what_was_measured_elsewhere_or_otherwise_is_refused(other: Report, sentence: str) -> None:
    for pair in ([LSTM, other], [other, LSTM]):
        with pytest.raises(MergeError) as refusal:
            merge(pair)
        assert "\n" not in str(refusal.value)
    with pytest.raises(MergeError, match=sentence):
        merge([LSTM, other])


def test_percentages_are_of_the_higher_peak() -> None:
    faster = report(row("gru", "training", 1), gflops=105.0)
    for pair in ([LSTM, faster], [faster, LSTM]):
        merged = merge(pair)
        assert [(each.threads, each.gflops) for each in merged.peaks] == [(1, 105.0), (4, 400.0)]
        percents = {each.key[:3]: each.percent_of_peak for each in merged.rows}
        assert percents["gru", "training", 1] == 50.0
        assert percents["lstm", "training", 1] == 47.6
        assert percents["lstm", "training", 4] == 50.0


def test_of_a_point_measured_twice_the_quieter_time_is_kept() -> None:
    quiet = row("lstm", "training", 1, torch=1.0)
    busy = dataclasses.replace(row("lstm", "training", 1, torch=9.0), others_percent=2.0)
    for pair in ([quiet, busy], [busy, quiet]):
        assert merge([report(each) for each in pair]).rows == (quiet,)
