"""Plans are told for every point without measuring."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatewright.cli.app import run
from gatewright.studies import process
from gatewright.studies.explain import explain
from gatewright.studies.jobs import TASKS, Size, Subject, jobs

Capture = pytest.CaptureFixture[str]


def test_every_point_has_a_plan_per_direction() -> None:
    wanted = list(jobs([Subject("gru")], TASKS, [1, 4], [Size(1, 32, 3), Size(64, 512, 128)]))
    found = list(explain(wanted))
    assert [(each.direction, each.threads, each.H) for each in found] == [
        (direction, threads, H)
        for threads in (1, 4)
        for H in (32, 512)
        for direction in ("forward", "backward")
    ]
    for each in found:
        assert each.why
        assert 1 <= each.used <= each.threads
        assert (each.split == "-") == (each.used == 1)
    assert found[-1].used == 4


def test_inference_alone_has_no_plan_of_the_reverse() -> None:
    wanted = list(jobs([Subject("lstm")], ["inference"], [1], [Size(1, 32, 3)]))
    assert [each.direction for each in explain(wanted)] == ["forward"]


def test_the_command_prints_plans_and_measures_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: Any) -> None:
        raise AssertionError("something was measured")

    monkeypatch.setattr(process, "measure", refused)
    monkeypatch.setattr(process, "peak", refused)
    assert run(["bench", "lstm", "--explain", "--threads", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == [
        "cell",
        "direction",
        "threads",
        "B",
        "H",
        "T",
        "uses",
        "split",
        "why",
    ]
    assert len(shown) == 1 + 4 * 2
    assert run(["bench", "lstm", "--explain", "--threads", "1", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["plans"]) == 8
    assert {"direction", "why", "used"} <= content["plans"][0].keys()
