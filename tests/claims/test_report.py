"""The page of the famous claim: written twice, complete, and without a script."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gatewright.claims.atoms import Reciprocal
from gatewright.claims.divergence import drifts
from gatewright.claims.formulas import MeaningError
from gatewright.claims.library import claims_named, every_claim, family
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.obligations import inductive
from gatewright.claims.prove import decide
from gatewright.claims.residual import residuals
from gatewright.claims.theory import Theory
from gatewright.claims.typeset import FORMULA, sides
from gatewright.claims.verdict import Proved, Refuted
from gatewright.claims.worked import worked
from gatewright.cli.app import run
from gatewright.language.equation import parse


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
    folder = tmp_path / "new"
    assert run(["prove", "lstm_gru", "--report", "--output", str(folder)]) == 0
    capsys.readouterr()
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "lstm_gru.md",
        "lstm_gru.html",
        "lstm_gru_timing.svg",
        "lstm_gru_divergence.svg",
    }
    page = (folder / "lstm_gru.html").read_text()
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    assert {"math", "svg", "table", "blockquote"} <= parser.seen
    assert "script" not in parser.seen
    # Formulas are typeset: what stays as it was written stands for several names at once.
    plain = re.findall(r"<code>([^<]*)</code>", page)
    ids = {claim.name for claim in family("lstm_gru")}
    assert all("*_" in each or "sigmoid(" in each for each in plain if each not in ids)
    assert 'class="formula">lstm' not in page and page.count('<div class="formula"><math') > 20
    text = (folder / "lstm_gru.md").read_text()
    for claim in family("lstm_gru"):
        assert f"### {claim.name}: {claim.expect}" in text
    assert "* gates read c and output gate at read time" in text
    assert "o_{t-1} = r_{t}" in text
    # The residual of the real cells, one product for each of the two differences.
    assert "z_{t} \\odot \\left(g_{t} - n_{t}\\right)" in text
    assert "| lstm | $c^{" not in text and "| lstm | $c_{t}$ | -0.380797 | 0.136185 |" in text
    for picture in names:
        if picture.endswith(".svg"):
            ET.fromstring((folder / picture).read_text())


@pytest.mark.parametrize("name", sorted({claim.family for claim in every_claim()}))
def test_every_formula_of_a_verdict_can_be_read_back(name: str) -> None:
    for claim in family(name):
        found = decide(claim).finding
        texts = [str(expr) for expr in claim.ties.values()]
        # Between backticks a claim file writes formulas and no other names.
        texts += FORMULA.findall(claim.statement) + FORMULA.findall(claim.told)
        assert not re.search(r"`\w*_\w*_\w*`", claim.statement + claim.told)
        if isinstance(found, Proved):
            texts += [text for pair in found.normal_forms for text in pair]
        if isinstance(found, Refuted):
            texts += [text for pair in found.residuals for text in pair]
            texts += [text for each in found.vanishes for text in FORMULA.findall(each)]
        # What is said of the initial state has no step relative to t.
        assert [each for each in texts if sides(each) is None and "[0]" not in each] == []


def test_a_residual_is_worth_what_the_difference_is_worth() -> None:
    """The factored text, read back, is the difference of one step."""
    compared = 0
    for claim in every_claim():
        if claim.expect != "refuted" or not claim.states:
            continue
        world, obligations = inductive(claim)
        shown, _ = residuals(claim)
        by_text = {each.what: each for each in obligations}
        for what, text in shown:
            if "[0]" in what:
                continue
            each = by_text[what]
            try:
                told = world.formula(parse(text, references=True), 0)
            except MeaningError:  # a gate that is a given sequence, in the step before
                continue
            form = NormalForm(Theory.PARITY, world.qualities)
            difference = world.terms.subtract(each.left, each.right)
            form.of(difference)
            if any(isinstance(atom, Reciprocal) for atom in form.atoms):
                continue  # A residual leaves divisors out.
            compared += 1
            assert not form.difference(told, difference), (claim.name, what, text)
    assert compared > 40


def test_the_worked_counterexample_is_the_certified_one() -> None:
    (claim,) = claims_named(["formulas"])
    finding = decide(claim).finding
    assert isinstance(finding, Refuted)
    rows = {row[1]: row[2:] for row in worked(claim, finding.counterexample)[1:]}
    for value, enclosure in (
        (rows["`lstm.c[t]`"][1], finding.counterexample.left),
        (rows["`gru.h[t]`"][1], finding.counterexample.right),
    ):
        low, high = map(float, enclosure.strip("[]").split(","))
        assert low - 1e-6 <= float(value) <= high + 1e-6
    assert rows["`lstm.c[t]`"][0] == rows["`gru.h[t]`"][0]


def test_the_difference_stays_below_its_bound() -> None:
    for drift in drifts():
        assert 0.01 * drift.bound < drift.largest <= drift.bound


def test_a_report_into_nowhere_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "gallery", "--report", "--output", "/dev/null/folder"]) == 2
    assert "cannot make the folder" in capsys.readouterr().err


OWN = """\
family: lstm_gru
title: A family of my own
claims:
  mine:
    statement: A GRU is a GRU.
    left: gru
    right: {cell: gru, as: other}
    parameters:
      gru.*: other.*
    observe:
      - gru.h[t] = other.h[t]
    expect: proved
"""


def test_a_part_of_the_famous_family_is_told_without_the_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["prove", "formulas", "--report", "--output", str(tmp_path)]) == 0
    page = (tmp_path / "lstm_gru.md").read_text()
    assert page.startswith("# Is the GRU an LSTM with tied gates?")
    assert "What is true" not in page
    (tmp_path / "own.yaml").write_text(OWN)
    own = str(tmp_path / "own.yaml")
    assert run(["prove", own, "--report", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "lstm_gru.md").read_text().startswith("# A family of my own")
    capsys.readouterr()


def test_what_is_true_stands_before_what_is_claimed(tmp_path: Path) -> None:
    assert run(["prove", "lstm_gru", "--report", "--output", str(tmp_path)]) == 0
    page = (tmp_path / "lstm_gru.md").read_text()
    assert 0 < page.index("## What is true") < page.index("## What is claimed") < 2000
    assert "(all states stay 0)" in page
