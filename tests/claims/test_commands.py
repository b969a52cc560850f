"""gatewright prove: exit codes, JSON, and the words for a proof and a refutation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gatewright.claims.library import claims_named
from gatewright.claims.mutate import mutants
from gatewright.claims.prove import decide, proof
from gatewright.claims.runs import random_runs
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


def test_proved_claims_run_in_ball_arithmetic(capsys: Capture) -> None:
    named = ["prove", "lstm_signs", "update_gate_negated", "formulas"]
    assert run([*named, "--runs", "9"]) == 0
    told = capsys.readouterr().out
    assert "2 of 2 proved claims survive 9 runs in ball arithmetic: 18 runs, 0 disagree" in told
    assert run([*named, "--runs", "9", "--json"]) == 0
    found = {each["id"]: each for each in json.loads(capsys.readouterr().out)["claims"]}
    assert found["update_gate_negated"]["runs"] == found["lstm_signs"]["runs"] == 9
    assert "runs" not in found["formulas"]


def test_a_false_proof_does_not_survive_its_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A prover that proves whatever it is asked is found out by numbers."""
    proofs = [proof(claim) for claim in claims_named(["update_gate_negated"])]
    monkeypatch.setattr("gatewright.claims.prove.proof", lambda claim: proofs[0])
    assert run(["prove", "formulas"]) == 1
    assert "formulas: PROVED" in capsys.readouterr().out
    assert run(["prove", "formulas", "--runs", "5"]) == 70
    problem = capsys.readouterr().err
    assert "formulas is proved, but 5 of 5 runs on random numbers differ" in problem


@pytest.mark.parametrize("name", ["step_towards_candidate", "lstm_permuted", "softmax_is_coupled"])
def test_a_false_proof_of_nearly_a_true_claim_does_not_survive(name: str) -> None:
    (claim,) = claims_named([name])
    wrong = [mutant for what, mutant in mutants(claim) if what.endswith(": + to -")]
    assert wrong
    for mutant in wrong:
        if decide(mutant, explain=False).word == "refuted":
            assert random_runs(mutant, 9).disagreed > 0


def test_a_run_with_a_wide_enclosure_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("gatewright.claims.runs.WIDEST", -1)
    assert run(["prove", "update_gate_negated", "--runs", "5"]) == 4
    told = capsys.readouterr().out
    assert "update_gate_negated: only 0 of 5 runs; 20 sets of numbers allow none" in told
    assert "0 of 1 proved claims survive" in told


MY_CELL = """\
cell: mine
inputs: {x: input}
states: {h: hidden}
parameters: {W: [hidden, input], U: [hidden, hidden], b: [hidden]}
constants: {phi: [tanh, relu]}
equations:
  h': phi(W @ x + U @ h + b)
output: h'
"""
OF_MY_CELL = """\
family: my_claims
cells:
  own: ../mine.yaml
  bare:
    extends: own
    equations:
      h': phi(W @ x + U @ h)
claims:
  is_elman:
    statement: The cell in the file is the Elman network.
    left: own
    right: elman
    parameters: {own.W: elman.W, own.U: elman.U, own.b: elman.b}
    observe:
      - own.h[t] = elman.h[t]
    expect: proved
  with_a_bias_of_zero:
    statement: Without its bias it is a variant of itself.
    left: {cell: ../mine.yaml, as: file, phi: relu}
    right: {cell: bare, phi: relu}
    parameters: {file.W: bare.W, file.U: bare.U, file.b: 0}
    observe:
      - file.h[t] = bare.h[t]
    expect: proved
"""


def test_a_claim_is_about_a_cell_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Paths begin in the folder of the claim file, wherever the command runs."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "mine.yaml").write_text(MY_CELL)
    (tmp_path / "claims" / "mine.yaml").write_text(OF_MY_CELL)
    for folder, path in ((tmp_path, "claims/mine.yaml"), (tmp_path / "claims", "mine.yaml")):
        monkeypatch.chdir(folder)
        assert run(["prove", path]) == 0
        assert "2 proved, 0 refuted" in capsys.readouterr().out
    assert run(["fmt", "--check", "mine.yaml"]) == 0
    assert run(["assume", "mine.yaml"]) == 2
    (tmp_path / "mine.yaml").write_text(MY_CELL.replace("W @ x", "V @ x"))
    assert run(["prove", "mine.yaml"]) == 2
    problem = capsys.readouterr().err
    assert "unknown name `V` in equation `h'`" in problem
    assert "mine.yaml:7:11" in problem
    assert problem.count("error[") == 1


def test_a_file_of_a_cell_is_read_as_if_it_stood_alone(mine: Path, capsys: Capture) -> None:
    """It extends the catalogue's GRU, whatever the claim file calls `gru`."""
    mine.write_text(BASE.replace("  keep:\n", "  gru: mine_too.yaml\n  keep:\n", 1))
    mine.with_name("mine_too.yaml").write_text("cell: mine_too\nextends: gru\n")
    assert run(["prove", "mine.yaml"]) == 0
    assert capsys.readouterr().out.startswith("negated: PROVED")
    mine.with_name("mine_too.yaml").write_text("cell: mine_too\nextends: grue\n")
    assert run(["prove", "mine.yaml"]) == 2
    assert "mine_too.yaml:2:10" in capsys.readouterr().err


def test_what_no_enclosure_can_be_had_of_is_unknown(mine: Path, capsys: Capture) -> None:
    """The root is of 0, of which an enclosure has negative numbers too."""
    mine.write_text(edited(l6="      h': z * h + (1 - z) * n + 2 + sqrt(z + 1 - z - 1)"))
    assert run(["prove", "mine.yaml"]) == 4
    assert "no counterexample found" in capsys.readouterr().out


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
