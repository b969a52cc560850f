"""gatewright prove: exit codes, JSON, and the words for a proof and a refutation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gatewright.cli.app import run

from .corpus import BASE, edited

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine.yaml"


def test_json_has_the_fields_and_no_others(capsys: Capture) -> None:
    assert run(["prove", "--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema_version"] == 1
    keys = ["id", "verdict", "expected", "theory", "step", "size", "milliseconds"]
    assert all(list(claim) == keys for claim in found["claims"])
    by_id = {claim["id"]: claim for claim in found["claims"]}
    assert by_id["formulas"] | {"milliseconds": 0} == {
        "id": "formulas",
        "verdict": "refuted",
        "expected": "refuted",
        "theory": None,
        "step": 2,
        "size": 1,
        "milliseconds": 0,
    }
    assert by_id["sequences_step_before"]["theory"] == "UF"


def test_a_file_of_ones_own_is_decided(mine: Path, capsys: Capture) -> None:
    mine.write_text(BASE)
    assert run(["prove", "mine.yaml"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("negated: PROVED\n")
    assert "used once: sigmoid(-a) = 1 - sigmoid(a)" in told


def test_exit_codes_say_whether_it_is_as_expected(mine: Path, capsys: Capture) -> None:
    mine.write_text(edited(l18="      keep.W_r: gru.W_r", l23="    expect: refuted"))
    assert run(["prove", "mine.yaml"]) == 0
    mine.write_text(edited(l18="      keep.W_r: gru.W_r"))
    assert run(["prove", "mine.yaml"]) == 1
    assert "the claim file expects: proved" in capsys.readouterr().out


def test_what_cannot_be_decided_is_exit_code_4(mine: Path, capsys: Capture) -> None:
    # Equal, but only if sin(a)^2 + cos(a)^2 = 1, which no theory here has.
    own = "      h': z * h + (1 - z) * n\n      z: sigmoid(W_z @ x + U_z @ h + b_z)"
    own += " * (sin(b_z)^2 + cos(b_z)^2)"
    mine.write_text(edited(l6=own))
    assert run(["prove", "mine.yaml"]) == 4
    told = capsys.readouterr().out
    assert "not derivable in the theory, no counterexample found" in told


@pytest.mark.parametrize("arguments", [[], ["--all", "lstm_gru"], ["no_such_claim"], ["no.yaml"]])
def test_bad_input_is_exit_code_2(arguments: list[str], capsys: Capture) -> None:
    assert run(["prove", *arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_claim_is_named_with_the_closest(capsys: Capture) -> None:
    assert run(["prove", "formulas_retime"]) == 2
    assert capsys.readouterr().err == (
        "error[E0615]: no claim 'formulas_retime' in the library\n"
        "     = help: did you mean `formulas_retimed`?\n"
    )
