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
from tests.claims.survivors import explained, is_unread, survivors

RUNS = 24


def of(name: str) -> Claim:
    return next(claim for claim in every_claim() if claim.name == name)


def test_each_is_unread_or_explained_and_no_explanation_is_stale() -> None:
    read = {
        (claim.name, what)
        for claim, what, mutant, found in survivors()
        if found.word == "unknown" or not is_unread(claim, mutant)
    }
    assert read == explained().keys()
    assert sum(found.word == "proved" for *_, found in survivors()) > 100


def test_those_that_are_proved_agree_in_balls_and_in_a_finite_field() -> None:
    compared = 0
    for claim, what, mutant, found in survivors():
        if found.word != "proved":
            continue
        runs = random_runs(mutant, RUNS, seed=1)
        assert runs.disagreed == 0, f"{claim.name}: {what}"
        assert runs.made > RUNS // 3, f"{claim.name}: {what}"
        world, obligations = inductive(mutant)
        for each in obligations:
            same = equal_in_field(each.left, each.right, world)
            assert same is not False, f"{claim.name}: {what}: {each.what}"
            compared += same is True
    assert compared > 300


def test_those_that_are_unknown_are_proved_by_another_state_map() -> None:
    """h = c / q: what multiplies both is not seen. The reason says by what; that proves it."""
    proved = 0
    for claim, what, mutant, found in survivors():
        why = explained().get((claim.name, what), "")
        factor = re.search(r"multiplied by (exp\(.*?\)), and", why)
        if found.word != "unknown" or factor is None:
            continue
        assert random_runs(mutant, RUNS, seed=2).disagreed == 0
        states = {
            (alias, name): parse(f"({expr}) * {factor[1]}", references=True)
            if name in ("c", "q")
            else expr
            for (alias, name), expr in mutant.states.items()
        }
        assert proof(mutant) is None
        assert proof(replace(mutant, states=states)) is not None, what
        proved += 1
    assert proved == 6


def test_the_rest_has_no_meaning() -> None:
    rest = [
        (mutant, what)
        for claim, what, mutant, found in survivors()
        if "no meaning" in explained().get((claim.name, what), "")
    ]
    assert len(rest) == 3
    for mutant, what in rest:
        assert decide(mutant, explain=False).word == "unknown", what
        with pytest.raises(MeaningError, match="is defined by itself"):
            inductive(mutant)


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
