"""Gradients of proved claims agree; what training keeps is told apart."""

from __future__ import annotations

import pytest

from gatewright.claims.claim import Claim
from gatewright.claims.library import claims_named, every_claim
from gatewright.claims.prove import decide
from gatewright.claims.theory import Theory
from gatewright.claims.training import gradients, training
from gatewright.claims.verdict import Proved

PROVED = [claim for claim in every_claim() if claim.expect == "proved" and claim.states]


def test_most_gradients_of_proved_claims_have_one_normal_form() -> None:
    shown = 0
    for claim in PROVED:
        finding = decide(claim).finding
        assert isinstance(finding, Proved)
        shown += not gradients(claim, finding.theory).unshown
    assert shown >= 0.65 * len(PROVED)


def test_gradients_of_a_false_claim_differ() -> None:
    (claim,) = claims_named(["update_gate_same_weights"])
    assert "gru.W_z" in gradients(claim, Theory.PARITY).unshown


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("keras_is_torch", "gradient descent moves both cells alike"),
        ("fused_doubled_weights", "lstm_fused.W_g by 4"),
        ("coupled_by_weights", "freely trained, they part"),
        ("mgu_is_gru_tied", "the ties of gru.z are imposed, not learned"),
        ("peephole_zero", "lstm_peephole.p_i stays 0"),
    ],
)
def test_what_training_keeps_is_told(name: str, note: str) -> None:
    claim: Claim
    (claim,) = claims_named([name])
    assert any(note in each for each in training(claim))
