"""What the layer adds is measured on the same arrays, and only if both compute the same."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="what is measured is the PyTorch layer")

import gatewright  # noqa: E402
from gatewright.bridges.torch.layer import RecurrentLayer  # noqa: E402
from gatewright.cli.overhead import overhead as command  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from gatewright.studies import overhead  # noqa: E402
from gatewright.studies.jobs import Size  # noqa: E402

SIZE = Size(B=2, H=8, T=4)


def found(cell: str = "gru", seconds: float = 0.0) -> dict[str, overhead.Overhead]:
    rows = overhead.overheads(gatewright.load(cell), SIZE, 1, seconds)
    return {each.task: each for each in rows}


@pytest.mark.parametrize("cell", ["gru", "lstm_peephole"])
def test_both_tasks_are_measured_in_pairs(cell: str) -> None:
    rows = found(cell)
    assert list(rows) == ["inference", "training"]
    for each in rows.values():
        assert (each.cell, each.size, each.threads) == (cell, SIZE, 1)
        assert each.pairs == overhead.LEAST_PAIRS
        assert 0 < each.kernels < each.layer
        assert each.low <= each.percent <= each.high
        assert each.reached == (True if each.high < 5 else False if each.low >= 5 else None)


def test_the_limits_hold_the_true_median_as_often_as_they_say() -> None:
    """Values of a lopsided kind, as times are: their true median is 1."""
    values = np.exp(np.random.default_rng(0).standard_normal((4000, 301)) ** 3)
    limits = [overhead.interval(row.tolist()) for row in np.sort(values)]
    held = np.mean([low <= 1.0 <= high for low, high in limits])
    assert 0.94 < held < 0.97
    few = overhead.interval([1.0, 2.0, 3.0])
    assert few == (1.0, 3.0)


@pytest.mark.parametrize(("low", "high", "reached"), [(1, 4, True), (5, 9, False), (4, 6, None)])
def test_a_target_is_reached_only_if_the_limits_say_so(
    low: float, high: float, reached: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = overhead.Overhead("gru", "training", SIZE, 1, 1.0, 1.1, (low + high) / 2, low, high, 99)
    assert row.reached is reached
    monkeypatch.setattr(overhead, "overheads", lambda *given: iter([row]))
    done = CliRunner().invoke(command, ["gru"], standalone_mode=False)
    assert done.return_value == {True: 0, False: 1, None: 4}[reached]


def test_what_a_layer_adds_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = found()["inference"]
    slow = RecurrentLayer.forward

    def forward(self: Any, *given: Any) -> Any:
        time.sleep(0.01)
        return slow(self, *given)

    monkeypatch.setattr(RecurrentLayer, "forward", forward)
    after = found()["inference"]
    assert after.layer - before.layer > 0.009
    assert after.percent > before.percent
    assert not after.reached


def test_a_layer_that_computes_something_else_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = RecurrentLayer.forward

    def forward(self: Any, x: Any, hx: Any) -> Any:
        y, state = right(self, x, hx)
        return y * 1.001, state

    monkeypatch.setattr(RecurrentLayer, "forward", forward)
    with pytest.raises(ArgumentError, match="inference computes something else than its kernels"):
        found()


def test_the_command_prints_a_row_for_each_task_and_says_no_beyond_the_target(
    tmp_path: Path,
) -> None:
    sizes = ["-B", "2", "-H", "8", "-T", "4", "--threads", "1", "--seconds", "0"]
    done = CliRunner().invoke(command, ["gru", *sizes], standalone_mode=False)
    assert done.exception is None
    heading, *rows = done.stdout.splitlines()
    assert heading.split()[:2] == ["cell", "task"]
    assert [row.split()[:2] for row in rows[:2]] == [["gru", "inference"], ["gru", "training"]]
    assert rows[-1] == "B=2, H=8, T=4; target: below 5 %"
    # At such a size a call of PyTorch's costs more than the kernels.
    assert done.return_value == 1
    both = ["gru", *sizes, "--threads", "2", "--json", "--output", str(tmp_path / "rows.json")]
    done = CliRunner().invoke(command, both, standalone_mode=False)
    content = json.loads(done.stdout)
    written = json.loads((tmp_path / "rows.json").read_text())
    assert written["machine"]["versions"]["torch"]
    assert [row["threads"] for row in written["rows"]] == [1, 1, 2, 2]
    assert [row["pairs"] for row in written["rows"]] == [
        row["pairs"] for row in content["overheads"]
    ]
    assert content["target_percent"] == 5.0
    assert {row["task"] for row in content["overheads"]} == {"inference", "training"}
    assert not any(row["reached"] for row in content["overheads"])
