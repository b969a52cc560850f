"""Searches find the reductions that are known, and nothing where nothing is."""

from __future__ import annotations

import json

import pytest

from gatewright.claims.assume import abduce
from gatewright.claims.library import claims_named
from gatewright.claims.relate import relate
from gatewright.cli.app import run
from gatewright.language import catalogue


def changes(first: str, second: str) -> set[tuple[str, ...]]:
    found = relate(catalogue.load(first), catalogue.load(second))
    return {tuple(sorted(each.changes)) for each in found.relations}


def test_the_lstm_becomes_the_gru_only_with_its_reset_gate_gone() -> None:
    found = relate(catalogue.load("lstm"), catalogue.load("gru"))
    assert found.combinations > 100_000
    best = found.relations[0]
    assert set(best.changes) == {
        "gru.r = 1",
        "lstm.*_i = gru.*_z",
        "lstm.*_f = -gru.*_z",
        "lstm.*_g = gru.*_n",
        "lstm.o = 1",
        "tanh in lstm.h = identity",
    }
    for each in found.relations:
        assert "gru.r = 1" in each.changes or each.lookahead


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("gru", "mgu", {"gru.*_n = mgu.*_n", "gru.*_r = mgu.*_f", "gru.*_z = mgu.*_f"}),
        ("lstm", "lstm_no_forget", {"lstm.f = 1"}),
        ("lstm", "lstm_coupled", {"lstm.*_f = -lstm_coupled.*_i"}),
        ("lstm_peephole", "lstm", {"lstm_peephole.(W_i, U_i, p_i, b_i) = lstm.*_i, p_i = 0"}),
        ("gru", "ugrnn", {"gru.r = 1", "gru.*_z = -ugrnn.*_z"}),
    ],
)
def test_known_reductions_are_found(first: str, second: str, expected: set[str]) -> None:
    found = changes(first, second)
    assert any(expected <= {_short(each) for each in one} for one in found), found


def _short(change: str) -> str:
    return change.replace("lstm_peephole.*_i =", "lstm_peephole.(W_i, U_i, p_i, b_i) =")


def test_none_is_said_where_none_is() -> None:
    assert not relate(catalogue.load("elman"), catalogue.load("lstm")).relations
    plain = relate(catalogue.load("gru"), catalogue.load("gru_reset_after"))
    assert all("gru_reset_after.r = 1" in each.changes for each in plain.relations)


def test_the_minimal_assumptions_of_the_famous_claim() -> None:
    (claim,) = claims_named(["formulas"])
    found = abduce(claim, 2)
    sets = {frozenset(each.assumptions) for each in found.sufficient}
    read_time, gates = "output gate at read time", "gates read c"
    assert frozenset({"gru.r = 1"}) in sets
    for expected in (
        {read_time, gates},
        {read_time, "gru.U_z = 0"},
        {"gru.r is constant", gates},
        {"gru.r is constant", "gru.U_z = 0"},
        {"gru.U_n = 0", gates},
        {"gru.U_n = 0", "gru.U_z = 0"},
    ):
        assert frozenset(expected) in sets
    assert frozenset({read_time}) not in sets
    assert frozenset({gates}) not in sets
    assert not found.undecided
    for one in sets:
        assert not any(other < one for other in sets)


def test_a_true_claim_needs_nothing() -> None:
    (claim,) = claims_named(["update_gate_negated"])
    (found,) = abduce(claim, 1).sufficient
    assert found.assumptions == ()


def test_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["relate", "gru", "mgu", "--json"]) == 0
    (found, *_) = json.loads(capsys.readouterr().out)["relations"]
    assert found["theory"] == "UF"
    assert run(["relate", "elman", "lstm"]) == 1
    assert "0 found among" in capsys.readouterr().out
    assert run(["assume", "reset_order_same_weights"]) == 0
    assert "assuming: before.U_n is diagonal" in capsys.readouterr().out
    assert run(["assume", "lstm_gru"]) == 2
    assert run(["relate", "no_such_cell"]) == 2
