"""The page of the famous claim: written twice, complete, and without a script."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gatewright.claims.divergence import drifts
from gatewright.claims.library import family
from gatewright.cli.app import run


class _Balanced(HTMLParser):
    """Collects the tags that are opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_of_the_famous_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "lstm_gru", "--report", "--output", str(tmp_path)]) == 0
    capsys.readouterr()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "lstm_gru.md",
        "lstm_gru.html",
        "lstm_gru_timing.svg",
        "lstm_gru_divergence.svg",
    }
    page = (tmp_path / "lstm_gru.html").read_text()
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    assert {"math", "svg", "table", "blockquote"} <= parser.seen
    assert "script" not in parser.seen
    text = (tmp_path / "lstm_gru.md").read_text()
    for claim in family("lstm_gru"):
        assert f"### {claim.name}: {claim.expect}" in text
    assert "* gates read c and output gate at read time" in text
    assert "o[t−1] = r[t]" in text
    for picture in names:
        if picture.endswith(".svg"):
            ET.fromstring((tmp_path / picture).read_text())


def test_the_difference_stays_below_its_bound() -> None:
    for drift in drifts():
        assert 0.01 * drift.bound < drift.largest <= drift.bound


def test_a_report_into_nowhere_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "gallery", "--report", "--output", "/no/such/folder"]) == 2
    assert "cannot write" in capsys.readouterr().err
