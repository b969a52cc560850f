"""Coq accepts the certificates of proved claims and rejects one of a false claim."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gatewright.claims.coq import UnsupportedError, certificate
from gatewright.claims.library import claims_named, every_claim
from gatewright.cli.app import run

needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="coqc is not installed")


def accepted(text: str, folder: Path) -> bool:
    path = folder / "claim.v"
    path.write_text(text)
    done = subprocess.run(["coqc", "-q", path.name], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def test_nearly_every_proved_claim_has_a_certificate() -> None:
    written = 0
    for claim in every_claim():
        if claim.expect == "proved":
            try:
                assert "Theorem obligation_0" in certificate(claim)
                written += 1
            except UnsupportedError:
                continue
    assert written >= 55


@needs_coq
@pytest.mark.parametrize(
    "name",
    [
        "sequences_step_before",
        "formulas_retimed",
        "constant_reset",
        "gates_by_tanh",
        "slstm_stabiliser",
        "lstm_permuted",
        "lstm_signs",
        "linear_change_of_basis",
        "elman_scaled_relu",
    ],
)
def test_coq_accepts_a_proof_of_every_kind(name: str, tmp_path: Path) -> None:
    (claim,) = claims_named([name])
    assert accepted(certificate(claim), tmp_path)


@needs_coq
def test_coq_rejects_what_is_not_so(tmp_path: Path) -> None:
    (claim,) = claims_named(["update_gate_negated"])
    text = certificate(claim)
    assert accepted(text, tmp_path)
    changed = text.replace("Definition t5 : V := fun i => ", "Definition t5 : V := fun i => 2 * ")
    if changed == text:
        changed = text.replace("1 - sigmoid x", "2 - sigmoid x")
    assert not accepted(changed, tmp_path)


def test_a_refuted_claim_has_no_certificate() -> None:
    (claim,) = claims_named(["formulas"])
    with pytest.raises(UnsupportedError, match="not proved"):
        certificate(claim)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["certify", "reset_one", "--output", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["certificates"][0]["id"] == "reset_one"
    assert found["certificates"][0]["verdict"] in ("accepted", "written")
    assert (tmp_path / "reset_one.v").exists()
    assert run(["certify", "formulas", "--output", str(tmp_path)]) == 4
    assert run(["certify"]) == 2


def test_without_coq_is_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert run(["certify", "reset_one"]) == 3
    assert "coqc" in capsys.readouterr().err
