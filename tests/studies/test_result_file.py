"""Result files: one point per line, small, in one order; spoilt ones are refused in a sentence."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import pytest

from gatewright.cli.bench import CELLS
from gatewright.studies.jobs import TASKS
from gatewright.studies.report import Comparison, Report, Row
from gatewright.studies.result_file import as_dict, file_text, read_report
from tests.studies.reports import SCHEMA, full_grid, report, row

MIXED = report(
    row("lstm", "training", 4, **{"torch.nn": 2.0, "jax scan": None}),
    row("lstm", "inference", 1, 1, 64, torch=1.5),
    row("gru", "training", 1),
    dataclasses.replace(row("lstm", "inference", 1, torch=3.0), others_percent=None),
)


def test_a_file_reads_back_as_it_was_written() -> None:
    assert read_report(file_text(MIXED)) == MIXED
    jsonschema.validate(json.loads(file_text(MIXED)), SCHEMA)
    assert json.loads(file_text(MIXED)) == as_dict(MIXED)


def test_a_point_is_a_line_and_only_its_own_line_and_mean_change() -> None:
    text = file_text(MIXED)
    assert sum(line.lstrip().startswith('{"B":') for line in text.splitlines()) == len(MIXED.rows)
    slower = [
        dataclasses.replace(each, us_per_step=1.25) if each.cell == "gru" else each
        for each in MIXED.rows
    ]
    changed = file_text(dataclasses.replace(MIXED, rows=tuple(slower)))
    pairs = zip(text.splitlines(), changed.splitlines(), strict=True)
    assert [new.split(",")[3] for old, new in pairs if old != new] == ['"ours":[1.25']


def test_the_full_grid_of_all_cells_is_a_small_file() -> None:
    def realistic(each: Row) -> Row:
        peers = [("torch loop", 1234.0), ("jax scan", 87.65)]
        peers += [("torch.nn", 43.21)] if each.cell in ("lstm", "gru_reset_after", "elman") else []
        peers += [("onnxruntime", 34.56)] if each.task == "inference" else []
        found = tuple(Comparison(name, True, 3e-7, "", us, us, 105) for name, us in peers)
        return dataclasses.replace(
            each, us_per_step=23.45, percent_of_peak=71.2, others_percent=0.3, repetitions=355,
            peers=found,
        )  # fmt: skip

    rows = [
        realistic(each)
        for cell in CELLS
        for task in TASKS
        for threads in (1, 4)
        for each in full_grid(cell, task, threads)
    ]
    assert len(rows) == 320
    assert len(file_text(report(*rows)).encode()) <= 59_000


def spoilt(change: Any) -> str:
    content = as_dict(MIXED)
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "no JSON", '{"schema_version": 1}', '{"schema_version": 2}', "1e999",
     file_text(MIXED)[:-40],
     spoilt(lambda c: c["machine"].pop("versions")),
     spoilt(lambda c: c["peaks"][0].update(gflops=-1)),
     spoilt(lambda c: c["groups"][0].update(task="dreaming")),
     spoilt(lambda c: c["groups"][0].update(points=None)),
     spoilt(lambda c: c["groups"][0]["points"][0].update(ours=["fast", 5])),
     spoilt(lambda c: c["groups"][0]["points"][0].update(ours=[float("nan"), 5])),
     spoilt(lambda c: c["groups"][0]["points"][0].update(ours=[1.0])),
     spoilt(lambda c: c["groups"][0]["points"][0].update(B=True)),
     spoilt(lambda c: c["groups"][0]["points"][0].update(torch=[0.0, 5, None])),
     spoilt(lambda c: c["groups"][0]["points"][0].update(torch=[None, 0, 0.1])),
     spoilt(lambda c: c["groups"].append(c["groups"][0]))],
)  # fmt: skip
def test_what_is_no_result_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(this is|its schema_version)") as refusal:
        read_report(text)
    assert "\n" not in str(refusal.value)


def test_an_empty_report_can_be_written() -> None:
    empty = report()
    assert read_report(file_text(empty)) == empty
    assert isinstance(empty, Report)
