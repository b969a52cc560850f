"""Gradients of proved claims are decided; what training keeps is told apart."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gatewright.claims.claim import Claim
from gatewright.claims.differentiate import adjoints
from gatewright.claims.evaluate import Floats, Model, evaluate
from gatewright.claims.gradients import gradients
from gatewright.claims.library import claims_named, every_claim
from gatewright.claims.obligations import inductive
from gatewright.claims.prove import decide
from gatewright.claims.tell import claim_with
from gatewright.claims.terms import Term, Terms
from gatewright.claims.theory import Theory
from gatewright.claims.training import training
from gatewright.claims.verdict import Proved

PROVED = [claim for claim in every_claim() if claim.expect == "proved"]
REFUTED = [claim for claim in every_claim() if claim.expect == "refuted" and claim.states]
# relu, max and |a| with other derivatives at 0, or a factor moved out of them.
KINKS = {"relu_is_max", "relu_is_half_abs", "slstm_clamp_stabilised", "elman_scaled_relu"}


@pytest.mark.parametrize("claim", PROVED, ids=lambda claim: claim.name)
def test_the_gradients_of_every_proved_claim_are_decided(claim: Claim) -> None:
    finding = decide(claim).finding
    assert isinstance(finding, Proved)
    found = gradients(claim_with(claim, finding), finding.theory)
    assert found.compared > 0 and found.unshown == ()
    assert found.kinks == (claim.name in KINKS)


def test_relu_and_max_have_two_derivatives_at_0_and_one_elsewhere() -> None:
    (claim,) = claims_named(["relu_is_max"])
    world, (observed, *_) = inductive(claim)
    seed = world.terms.variable("ct")
    left = adjoints(world.terms, [(observed.left, seed)]).variables["elman.b"]
    right = adjoints(world.terms, [(observed.right, seed)]).variables["elman.b"]
    assert [_at(each, Fraction(0)) for each in (left, right)] == [0.5, 0.0]
    for bias in (Fraction(1, 3), Fraction(-2)):
        assert _at(left, bias) == _at(right, bias)


def _at(term: Term, bias: Fraction) -> float:
    zero = (Fraction(0),)
    vectors = {"elman.b": (bias,), "elman.h[t-1]": zero, "x[t]": zero, "ct": (Fraction(1),)}
    model = Model(vectors, {"elman.W": (zero,), "elman.U": (zero,)}, {})
    ((value,),) = evaluate([term], model, Floats())
    return float(value)


def test_gradients_of_false_claims_differ() -> None:
    shown = [claim.name for claim in REFUTED if not gradients(claim, Theory.EXP).unshown]
    # Of these one step has equal gradients and unequal values, or the start is what differs.
    assert set(shown) <= {"logistic_elman_from_zero"}
    (claim,) = claims_named(["update_gate_same_weights"])
    assert "gru.W_z" in gradients(claim, Theory.PARITY).unshown
    assert str(gradients(claim, Theory.PARITY)).startswith("unknown: ")


def test_a_sum_of_elements_moves_a_matrix_across() -> None:
    """The gradient by one number: x . (W^T y) and y . (W x) are one sum, x . (W y) is another."""
    from gatewright.claims.gradients import _Compare
    from gatewright.claims.normal_form import NormalForm

    terms = Terms()
    x, y = terms.variable("x"), terms.variable("y")
    compare = _Compare(terms, NormalForm(), False)
    left = terms.multiply(x, terms.map("W^T", y))
    for right, same in (
        (terms.multiply(y, terms.map("W", x)), True),
        (terms.multiply(x, terms.map("W", y)), False),
    ):
        assert (not compare._summed(compare.form.difference(left, right))) == same


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
