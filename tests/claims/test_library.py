"""The claims that ship: decided as expected, checked a second time, and hard to fool."""

from __future__ import annotations

import ast
import statistics
import sys
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from gatewright.claims.checker import confirm
from gatewright.claims.claim import Claim
from gatewright.claims.field import equal_in_field
from gatewright.claims.library import every_claim
from gatewright.claims.mutate import mutants
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.obligations import inductive, unrolled
from gatewright.claims.prove import decide
from gatewright.claims.runs import random_runs
from gatewright.claims.theory import Quality, Theory
from gatewright.claims.verdict import Proved, Refuted, Verdict
from gatewright.claims.world import World
from gatewright.language import shelf

CLAIMS = every_claim()
PROVED = [claim for claim in CLAIMS if claim.expect == "proved"]
REFUTED = [claim for claim in CLAIMS if claim.expect == "refuted"]


def named(claim: Claim) -> str:
    return claim.name


@cache
def verdict(name: str) -> Verdict:
    return decide(next(claim for claim in CLAIMS if claim.name == name))


def test_there_are_many_claims_true_and_false() -> None:
    assert len(CLAIMS) >= 60
    assert len(PROVED) >= 25
    assert len(REFUTED) >= 25
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    gallery = [claim for claim in CLAIMS if claim.family == "gallery"]
    assert sum(bool(claim.links) for claim in gallery) >= 4


@pytest.mark.parametrize("claim", CLAIMS, ids=named)
def test_every_claim_is_decided_as_its_file_expects(claim: Claim) -> None:
    assert verdict(claim.name).word == claim.expect


def test_proofs_and_refutations_are_quick() -> None:
    for claim in CLAIMS:
        decide(claim)
    times = {
        word: statistics.median(
            min(decide(c).milliseconds for _ in range(2)) for c in CLAIMS if c.expect == word
        )
        for word in ("proved", "refuted")
    }
    assert times["proved"] < 10
    assert times["refuted"] < 50


@pytest.mark.parametrize("claim", REFUTED, ids=named)
def test_the_independent_checker_confirms_every_refutation(claim: Claim) -> None:
    finding = verdict(claim.name).finding
    assert isinstance(finding, Refuted)
    assert confirm(claim, finding.counterexample).confirmed


@pytest.mark.parametrize("claim", PROVED[::3], ids=named)
def test_the_checker_confirms_nothing_about_a_true_claim(claim: Claim) -> None:
    """A counterexample to another claim, put into a proved one: both sides must be equal."""
    world = World(claim, "unroll")
    unrolled(claim, 1, world)
    donor = verdict("update_gate_same_weights").finding
    assert isinstance(donor, Refuted)
    numbers = {name: (Fraction(1, 3),) for name, dims in world.dims.items() if len(dims) < 2}
    weights = {name: ((Fraction(1, 2),),) for name, dims in world.dims.items() if len(dims) == 2}
    plain = Quality.FREE, Quality.NONZERO, Quality.POSITIVE, Quality.UNIT
    if any(quality not in plain for quality in world.qualities.values()):
        return
    instances = {name: "a * a" for name, s in claim.symbols.items() if s.kind == "function"}
    forged = replace(
        donor.counterexample, vectors=numbers, matrices=weights, instances=instances, observed=0
    )
    assert not confirm(claim, forged).confirmed


def test_the_checker_shares_nothing_with_the_prover() -> None:
    """It imports what a claim and a counterexample are, and the reader of equations."""
    seen: set[str] = set()
    open_modules = ["gatewright.claims.checker"]
    while open_modules:
        name = open_modules.pop()
        seen.add(name)
        text = Path(sys.modules[name].__file__ or "").read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gatewright."):
                open_modules += {node.module or ""} - seen
    shared = {"claim", "theory", "verdict"}
    assert {name for name in seen if ".claims" in name} == {
        "gatewright.claims.checker",
        *(f"gatewright.claims.{name}" for name in shared),
    }


def test_the_checker_sees_a_forged_counterexample() -> None:
    claim = next(claim for claim in CLAIMS if claim.name == "formulas")
    finding = verdict("formulas").finding
    assert isinstance(finding, Refuted)
    nothing = replace(finding.counterexample, vectors={}, matrices={})
    assert not confirm(claim, nothing).confirmed
    earlier = replace(finding.counterexample, step=1)
    assert not confirm(claim, earlier).confirmed


def test_normal_forms_agree_with_a_random_finite_field() -> None:
    compared = 0
    for claim in CLAIMS:
        places = [inductive(claim)] if claim.states else []
        world = World(claim, "unroll")
        places += [(world, unrolled(claim, step, world)) for step in (1, 2)]
        for where, obligations in places:
            form = NormalForm(Theory.TANH_SIGMOID, where.qualities)
            for each in obligations:
                equal = equal_in_field(each.left, each.right, where)
                if equal is not None:
                    compared += 1
                    assert equal == (not form.difference(each.left, each.right)), claim.name
    assert compared > 300


def test_the_field_sees_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """With sigmoid taken for odd, some normal form is equal where the field is not."""
    monkeypatch.setattr("gatewright.claims.activations.ODD", {"tanh", "sin", "sigmoid"})
    monkeypatch.setattr("gatewright.claims.activations._sigmoid", lambda form, argument: None)
    monkeypatch.setattr(
        "gatewright.claims.activations._by_symmetry",
        _sigmoid_as_odd,
    )
    claim = next(claim for claim in CLAIMS if claim.name == "update_gate_negated")
    world, obligations = inductive(claim)
    form = NormalForm(Theory.PARITY, world.qualities)
    assert any(
        equal_in_field(each.left, each.right, world) != (not form.difference(each.left, each.right))
        for each in obligations
    )


def _sigmoid_as_odd(form: NormalForm, function: str, argument: dict) -> dict | None:  # type: ignore[type-arg]
    from gatewright.claims import activations

    return activations._odd(form, function, argument) if function == "sigmoid" else None


@pytest.mark.parametrize("claim", PROVED, ids=named)
def test_proved_claims_survive_random_runs(claim: Claim) -> None:
    runs = random_runs(claim, 12)
    assert (runs.made, runs.disagreed) == (12, 0)


def test_random_runs_see_a_false_claim() -> None:
    claim = next(claim for claim in CLAIMS if claim.name == "formulas")
    assert random_runs(claim, 5).disagreed > 0


def test_at_least_five_hundred_mutants_are_tried() -> None:
    assert sum(len(list(mutants(claim))) for claim in PROVED) >= 3000


def test_verdicts_say_the_weakest_theory() -> None:
    expected = {
        "sequences_step_before": Theory.UF,
        "update_gate_negated": Theory.PARITY,
        "gates_by_tanh": Theory.TANH_SIGMOID,
        "softmax_is_coupled": Theory.EXP,
    }
    for name, theory in expected.items():
        finding = verdict(name).finding
        assert isinstance(finding, Proved)
        assert finding.theory is theory


def test_a_tie_to_the_step_ahead_is_told() -> None:
    finding = verdict("sequences_step_before").finding
    assert isinstance(finding, Proved)
    assert finding.lookahead == {"lstm.o": 1}


def test_refutations_say_the_smallest_size_and_the_first_step() -> None:
    finding = verdict("reset_order_same_weights").finding
    assert isinstance(finding, Refuted)
    assert finding.equal_with_one_unit
    assert (finding.step, finding.counterexample.size) == (2, 2)
    finding = verdict("formulas_gates_read_c").finding
    assert isinstance(finding, Refuted)
    (condition,) = finding.vanishes
    assert condition.startswith("zero if and only if `gru.U_n @ (")
    assert "lstm_gates_read_c.c[t-1] * lstm_gates_read_c.o[t]" in condition


def test_every_cell_of_the_catalogue_is_in_a_claim() -> None:
    used = {side.cell.name for claim in every_claim() for side in claim.sides}
    assert set(shelf.names()) - used == set()
    assert len(every_claim()) >= 60


def test_a_claim_with_a_link_says_what_is_in_the_thread() -> None:
    for claim in every_claim():
        assert not claim.links or len(claim.told) > 40, claim.name
