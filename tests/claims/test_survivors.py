"""Every mutant of a proved claim that is not refuted is one that is true, or has no meaning."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gatewright.claims.checker import confirm
from gatewright.claims.claim import Claim
from gatewright.claims.field import equal_in_field
from gatewright.claims.formulas import MeaningError
from gatewright.claims.library import every_claim
from gatewright.claims.mutate import mutants
from gatewright.claims.obligations import inductive
from gatewright.claims.prove import decide, proof
from gatewright.claims.runs import random_runs
from gatewright.claims.verdict import Refuted
from gatewright.language.equation import parse
from tests.claims.survivors import Survivor, explained, is_unread, survivors

RUNS = 24
PROVED = [claim for claim in every_claim() if claim.expect == "proved"]


def of(name: str) -> Claim:
    return next(claim for claim in every_claim() if claim.name == name)


@pytest.mark.parametrize("claim", PROVED, ids=lambda claim: claim.name)
def test_every_mutant_is_refuted_or_true_or_without_a_meaning(claim: Claim) -> None:
    """One claim a test, so that no two processes decide the same mutants."""
    why = {what: text for (name, what), text in explained().items() if name == claim.name}
    read = set()
    for each in survivors(claim):
        if each.found.word == "proved":
            _agrees_in_balls_and_in_a_finite_field(each)
            if is_unread(claim, each.mutant):
                continue
        else:
            _is_true_or_without_a_meaning(each, why.get(each.what, ""))
        read.add(each.what)
    assert read == why.keys(), "each is explained, and no explanation is stale"


def _agrees_in_balls_and_in_a_finite_field(each: Survivor) -> None:
    runs = random_runs(each.mutant, RUNS, seed=1)
    assert (runs.made, runs.disagreed) == (RUNS, 0), each.what
    world, obligations = inductive(each.mutant)
    for pair in obligations:
        same = equal_in_field(pair.left, pair.right, world)
        assert same is not False, f"{each.what}: {pair.what}"


def _is_true_or_without_a_meaning(each: Survivor, why: str) -> None:
    """h = c / q: what multiplies both is not seen. The reason says by what; that proves it."""
    if "no meaning" in why:
        with pytest.raises(MeaningError, match="is defined by itself"):
            inductive(each.mutant)
        return
    factor = re.search(r"multiplied by (exp\(.*?\)), and", why)
    assert factor, f"{each.what} is unknown, and nothing says why"
    assert random_runs(each.mutant, RUNS, seed=2).disagreed == 0
    states = {
        (alias, name): parse(f"({expr}) * {factor[1]}", references=True)
        if name in ("c", "q")
        else expr
        for (alias, name), expr in each.mutant.states.items()
    }
    assert proof(each.mutant) is None
    assert proof(replace(each.mutant, states=states)) is not None, each.what


def test_what_is_explained_is_of_a_claim_that_is_proved() -> None:
    assert {name for name, _ in explained()} <= {claim.name for claim in PROVED}
    assert len(explained()) > 10


def test_what_is_read_is_not_called_unread() -> None:
    claim = of("update_gate_negated")
    changed = [mutant for _, mutant in mutants(claim) if not is_unread(claim, mutant)]
    assert len(changed) > 10
    assert all(decide(mutant, explain=False).word == "refuted" for mutant in changed)


@pytest.mark.parametrize("name", ["coupled_by_weights", "ran_is_lstm"])
def test_a_sign_under_an_abstract_function_is_seen(name: str) -> None:
    """An even function in place of an abstract one hides it, so others take their turn."""
    wrong = dict(mutants(of(name)))["lstm: c': + to -"]
    finding = decide(wrong, explain=False).finding
    assert isinstance(finding, Refuted)
    assert confirm(wrong, finding.counterexample).confirmed
    assert random_runs(wrong, RUNS).disagreed > 0
