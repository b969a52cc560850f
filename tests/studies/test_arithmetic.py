"""Geometric means, tables and numbers as text, on values that can be checked by hand."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys

import pytest

from gatewright.studies import tables
from gatewright.studies.machine import Watch
from gatewright.studies.process import VARIABLES, environment
from gatewright.studies.report import QUIET_PERCENT, Mean, geometric_mean, rounded
from tests.studies.reports import report, row


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert geometric_mean([3.0]) == pytest.approx(3.0)
    assert geometric_mean([1e-300, 1e300]) == pytest.approx(1.0)


def test_means_keep_cells_tasks_threads_and_peers_apart() -> None:
    found = report(
        row("lstm", "inference", 1, torch=2.0, jax=4.0),
        row("lstm", "inference", 1, torch=8.0),
        row("lstm", "inference", 4, torch=1.0),
        row("lstm", "training", 1, torch=0.25),
        row("gru", "inference", 1, torch=0.5, jax=None),
    ).means()
    assert set(found) == {
        Mean("lstm", "inference", 1, "torch", 4.0, 2),
        Mean("lstm", "inference", 1, "jax", 4.0, 1),
        Mean("lstm", "inference", 4, "torch", 1.0, 1),
        Mean("lstm", "training", 1, "torch", 0.25, 1),
        Mean("gru", "inference", 1, "torch", 0.5, 1),
        Mean("all", "inference", 1, "torch", 2.0, 3),
        Mean("all", "inference", 1, "jax", 4.0, 1),
        Mean("all", "inference", 4, "torch", 1.0, 1),
        Mean("all", "training", 1, "torch", 0.25, 1),
    }


def test_one_cell_has_no_mean_of_all() -> None:
    assert {mean.cell for mean in report(row("lstm", "training", 1, torch=1.0)).means()} == {"lstm"}


def test_tables_show_ratios_refusals_and_gaps() -> None:
    found = report(
        row("lstm", "inference", 1, torch=2.0, jax=None), row("gru", "training", 1, torch=0.051)
    )
    headings, rows = tables.points(found)
    assert headings[-2:] == ("torch", "jax")
    assert [each[-2:] for each in rows] == [("0.051x", "-"), ("2.00x", "disagrees")]
    headings, rows = tables.means(found)
    assert headings == ("cell", "task", "threads", "torch", "jax")
    assert ("lstm", "inference", "1", "2.00x", "-") in rows


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0512, "0.051"), (0.512, "0.51"), (5.12, "5.12"), (51.23, "51.2"), (5123.4, "5123")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert tables.number_text(value) == text


def test_a_disturbed_point_is_marked() -> None:
    quiet = row("lstm", "inference", 1, torch=2.0)
    busy = dataclasses.replace(quiet, others_percent=QUIET_PERCENT + 0.1)
    unknown = dataclasses.replace(quiet, others_percent=None)
    assert [each.disturbed for each in (quiet, busy, unknown)] == [False, True, False]
    _, rows = tables.points(report(quiet, busy))
    assert [each[6] for each in rows] == ["1.00", "~1.00"]
    assert report(busy).means() == ()
    assert [mean.points for mean in report(busy, quiet, unknown).means()] == [2]
    assert report(quiet, unknown).sentences == ()
    assert "1 of 2 points (marked ~)" in report(busy, quiet).sentences[0]


def test_a_watch_sees_other_processes() -> None:
    if Watch().others_percent() is None:
        pytest.skip("this system does not say how busy it is")
    spin = "import time\nend = time.perf_counter() + 1.5\nwhile time.perf_counter() < end: pass"
    watch = Watch()
    processes = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(os.cpu_count() or 1)]
    assert [process.wait() for process in processes] == [0] * len(processes)
    busy = watch.others_percent() or 0.0
    assert busy > 40.0


def test_new_processes_are_told_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NPROC", raising=False)
    with environment(2):
        assert {os.environ[name] for name in VARIABLES} == {"2"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NPROC" not in os.environ


def test_rounding_keeps_significant_digits() -> None:
    assert rounded(123456.0) == 123500.0
    assert rounded(0.000123456, 2) == 0.00012
    assert math.isclose(rounded(1.0), 1.0)
