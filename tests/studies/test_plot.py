"""The drawing: a panel per group, a mark per ratio, nothing outside, any name and any ratio."""

from __future__ import annotations

import dataclasses
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from gatewright.studies.jobs import TASKS
from gatewright.studies.plot import svg
from gatewright.studies.plot_parts import Axis, wrapped
from gatewright.studies.report import Report
from gatewright.studies.result_file import read_report
from tests.studies.reports import full_grid, report, row

RESULTS = Path(__file__).parents[2] / "gen/gatewright/studies/results"

SPACE = "{http://www.w3.org/2000/svg}"
FULL = report(
    *(
        each
        for cell in ("lstm", "gru")
        for task in TASKS
        for threads in (1, 4)
        for each in full_grid(cell, task, threads, **{"torch.nn": 1.5, "jax scan": 40.0})
    )
)


def words(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SPACE}text")]


def marks(root: ElementTree.Element, kind: str) -> int:
    return sum(kind in each.get("class", "").split() for each in root.iter())


def test_every_ratio_has_a_mark_and_every_group_a_panel() -> None:
    root = ElementTree.fromstring(svg(FULL))
    assert marks(root, "point") == 2 * len(FULL.rows)
    assert marks(root, "slower") == 8
    assert marks(root, "hollow") == marks(root, "wrong") == 0
    assert int(root.get("width", "0")) <= 900
    title = root.find(f"{SPACE}title")
    assert title is not None
    assert title.text
    assert words(root).count("inference, 4 threads") == 2
    assert words(root).count("1.50×") == 8


def test_what_cannot_be_trusted_is_drawn_otherwise() -> None:
    busy = dataclasses.replace(row("lstm", "training", 1, torch=2.0), others_percent=50.0)
    root = ElementTree.fromstring(svg(report(busy)))
    assert marks(root, "hollow") == 1
    wrong = row("lstm", "training", 1, torch=None)
    root = ElementTree.fromstring(svg(report(wrong)))
    # One in the panel and one in the legend.
    assert marks(root, "wrong") == 2
    assert "computed something else" in words(root)


@pytest.mark.parametrize("ratio", [3e-5, 1.0, 7e6])
def test_a_drawing_survives_any_name_and_any_ratio(ratio: float) -> None:
    found = row("a<b", "training", 1, **{"<&>": ratio})
    root = ElementTree.fromstring(svg(report(found)))
    assert {"a<b", "<&>"} <= set(words(root))
    size = float(root.get("width", "0")), float(root.get("height", "0"))
    for each in root.iter(f"{SPACE}circle"):
        assert 0 < float(each.get("cx", "-1")) < size[0]
        assert 0 < float(each.get("cy", "-1")) < size[1]
    assert "1" in words(root)


def test_an_empty_report_has_a_drawing() -> None:
    ElementTree.fromstring(svg(report()))


def test_a_peer_has_the_same_mark_in_every_drawing() -> None:
    def colour(found: Report) -> set[str]:
        text = svg(found)
        return set(re.findall(r'class="point (p\d)"', text))

    alone = colour(report(row("gru", "training", 1, **{"jax scan": 2.0})))
    assert len(alone) == 1
    assert alone < colour(FULL)


def test_an_axis_is_logarithmic_and_has_the_line_at_one() -> None:
    axis = Axis([0.5, 50.0])
    assert 1 in axis.ticks
    assert axis.part(axis.low) == 0.0
    assert axis.part(axis.high) == 1.0
    assert axis.part(5.0) - axis.part(0.5) == pytest.approx(axis.part(50.0) - axis.part(5.0))
    assert len(Axis([1e-9, 1e9]).ticks) <= 8
    assert math.isfinite(Axis([]).part(1.0))


def test_sentences_are_broken_between_words() -> None:
    assert list(wrapped("one two three", 6.0 * 9)) == ["one two", "three"]
    assert list(wrapped("", 100.0)) == [""]


def test_the_committed_drawing_is_that_of_the_committed_run() -> None:
    report = read_report((RESULTS / "full.json").read_text(encoding="utf-8"))
    assert (RESULTS / "full.svg").read_text(encoding="utf-8").strip() == svg(report).strip()
