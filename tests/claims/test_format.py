"""Claim files in house style: formulas are spelled alike, nothing else moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewright.claims.format import format_claims
from gatewright.claims.library import family_names
from gatewright.cli.app import run
from gatewright.resources import data_folder

from .corpus import BASE, claims, edited


def test_formulas_are_spelled_in_house_style_and_comments_stay() -> None:
    text = edited(l15="      keep.r[t]: gru.r[ t ]  # tied", l22="      - keep.h[t]=gru.h[t]")
    shown = format_claims(text).split("\n")
    assert shown[14] == "      keep.r[t]: gru.r[t]  # tied"
    assert shown[21] == "      - keep.h[t] = gru.h[t]"
    assert claims(format_claims(text))[0].ties == claims(text)[0].ties


@pytest.mark.parametrize("name", family_names())
def test_the_library_is_in_house_style(name: str) -> None:
    text = (data_folder("specs") / "claims" / f"{name}.yaml").read_text()
    assert format_claims(text) == text


def test_the_command_formats_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(edited(l22="      - keep.h[t]=gru.h[t]"))
    assert run(["fmt", "--check", str(path)]) == 1
    assert run(["fmt", str(path)]) == 0
    assert run(["fmt", "--check", str(path)]) == 0
    assert path.read_text() == BASE
