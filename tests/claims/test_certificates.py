"""Coq accepts certificates of proved claims, each a theorem about runs, and refuses false ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gatewright.claims.claim import Claim
from gatewright.claims.coq import FROM_ZERO, THEOREM, UnsupportedError, certificate, written
from gatewright.claims.library import claims_named, every_claim
from gatewright.claims.theory import Theory
from gatewright.cli.app import run

from .corpus import edited

PROVED = [claim for claim in every_claim() if claim.expect == "proved"]
# One claim per kind of proof: lookahead, functions, scales, quotients, permutations, signs, changes
# of basis, a searched state map, and sigmoid by exponentials.
KINDS = (
    "sequences_step_before",
    "formulas_retimed",
    "constant_reset",
    "gates_by_tanh",
    "slstm_stabiliser",
    "lstm_permuted",
    "lstm_signs",
    "linear_change_of_basis",
    "elman_scaled_relu",
    "keras_reset_before",
    "softmax_is_coupled",
    "functions_written_out",
)
# What is false of a claim is refused where it is false: in a step, or in what a step observes.
FALSE = (
    ("formulas", "observed_0"),
    ("sequences_same_step", "observed_0"),
    ("sequences_step_before_emitted", "observed_0"),
    ("update_gate_same_weights", "observed_0"),
    ("coupled_two_conventions_same_weights", "observed_0"),
    ("logistic_elman_from_zero", "start_0"),
    ("slstm_stabiliser_ignored", "observed_0"),
)

needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="coqc is not installed")


def refusal(text: str, folder: Path) -> str:
    """Return the lemma at which Coq refuses a file; empty if it accepts it."""
    path = folder / "claim.v"
    path.write_text(text)
    done = subprocess.run(
        ["coqc", "-q", path.name], cwd=folder, capture_output=True, check=False, text=True
    )
    if done.returncode == 0:
        return ""
    found = re.search(r"line (\d+)", done.stderr)
    assert found is not None, done.stderr
    above = text.split("\n")[: int(found[1])]
    stated = re.compile(r"(?:Lemma|Theorem) (\w+)")
    return next((m[1] for line in reversed(above) if (m := stated.match(line))), "elsewhere")


@pytest.mark.parametrize("claim", PROVED, ids=lambda claim: claim.name)
def test_every_certificate_is_about_runs_of_any_length(claim: Claim) -> None:
    text = certificate(claim)
    assert f"Theorem {THEOREM} (s : State) : related 0 s -> forall k, observed k (run s k)." in text
    assert "induction k" in text
    assert (f"Theorem {FROM_ZERO} : forall k, observed k (run zero k)." in text) == (
        claim.initial == "zero"
    )
    assert all(each.text in text for each in claim.observe)
    assert "Admitted" not in text and "Axiom" not in text


@needs_coq
@pytest.mark.parametrize("name", KINDS)
def test_coq_accepts_a_proof_of_every_kind(name: str, tmp_path: Path) -> None:
    (claim,) = claims_named([name])
    assert refusal(certificate(claim), tmp_path) == ""


@needs_coq
@pytest.mark.parametrize(("name", "where"), FALSE)
def test_coq_refuses_a_false_claim_where_it_is_false(name: str, where: str, tmp_path: Path) -> None:
    (claim,) = claims_named([name])
    assert claim.expect == "refuted"
    assert refusal(written(claim, Theory.TANH_SIGMOID), tmp_path) == where


@needs_coq
@pytest.mark.parametrize(
    ("right", "wrong", "where"),
    [
        # An induction that begins one step late, and a theorem that says more than was proved.
        ("induction k as [| k IH]; [exact R |", "induction k as [| k IH]; [exact IH |", "always"),
        ("| S j => step j (run s j)", "| S j => step (S j) (run s j)", "always"),
        (
            "related 0 s -> forall k, observed k (run s k)",
            "forall k, observed k (run s k)",
            THEOREM,
        ),
    ],
)
def test_coq_refuses_a_changed_certificate(
    right: str, wrong: str, where: str, tmp_path: Path
) -> None:
    (claim,) = claims_named(["update_gate_negated"])
    text = certificate(claim)
    changed = text.replace(right, wrong)
    assert changed != text
    assert refusal(changed, tmp_path).startswith(where)


@needs_coq
def test_coq_refuses_a_gate_that_computes_something_else(tmp_path: Path) -> None:
    (claim,) = claims_named(["update_gate_negated"])
    text = certificate(claim)
    gate = re.search(r"Definition (\w+) : V := fun i => sigmoid \((\w+) i\)", text)
    assert gate is not None
    changed = text.replace(gate[0], gate[0].replace("sigmoid (", "sigmoid (2 * "))
    assert refusal(changed, tmp_path) == f"e_{gate[1]}"


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
    assert run(["certify"]) == 2


def test_a_claim_without_a_proof_is_not_certified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refuted, the answer is no; unknown, there is none. Neither is a fault of certificates."""
    assert run(["certify", "formulas", "--output", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "refuted      no proof to certify: see `gatewright prove formulas`" in told
    assert told.endswith("\n1 refuted\n")
    path = tmp_path / "open.yaml"
    factor = " * (sin(b_z)^2 + cos(b_z)^2)"
    own = f"      h': z * h + (1 - z) * n\n      z: sigmoid(W_z @ x + U_z @ h + b_z){factor}"
    path.write_text(edited(l6=own))
    assert run(["certify", str(path), "--output", str(tmp_path)]) == 4
    assert "1 unknown" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.v"))


@needs_coq
def test_a_certificate_that_assumes_something_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (claim,) = claims_named(["reset_one"])
    text = certificate(claim)
    left_open = text.replace(
        "Lemma kept k s : related k s -> related (S k) (step k s).\nProof.",
        "Lemma kept k s : related k s -> related (S k) (step k s).\nAdmitted.\n"
        "Lemma unused k s : related k s -> related (S k) (step k s).\nProof.",
    )
    assert left_open != text
    monkeypatch.setattr("gatewright.claims.coq.certificate", lambda _: left_open)
    assert run(["certify", "reset_one", "--output", str(tmp_path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["certificates"]
    assert found == {"id": "reset_one", "verdict": "rejected", "detail": "it assumes kept"}


def test_two_claims_of_one_name_are_not_certified_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their certificates would be one file, and a verdict be about the other's."""
    paths = [tmp_path / name for name in ("one.yaml", "two.yaml")]
    for path in paths:
        path.write_text(edited())
    assert run(["certify", *map(str, paths), "--output", str(tmp_path)]) == 2
    assert "two claims are called" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.v"))


def test_without_coq_is_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert run(["certify", "reset_one"]) == 3
    assert "coqc" in capsys.readouterr().err
