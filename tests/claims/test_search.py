"""Searches find the reductions that are known, and nothing where nothing is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.claims import enclosures, scalar_model
from gatewright.claims.assume import abduce, assumptions
from gatewright.claims.balls import ARITHMETIC, UNIT
from gatewright.claims.library import claims_named
from gatewright.claims.options import Option
from gatewright.claims.prove import decide
from gatewright.claims.relate import relate
from gatewright.claims.scalar_model import ScalarModel
from gatewright.claims.screen import Screen
from gatewright.cli.app import run
from gatewright.language import catalogue
from gatewright.language.equation import parse

Combination = tuple[Mapping[str, Option], Mapping[str, str]]


def changes(first: str, second: str) -> set[tuple[str, ...]]:
    found = relate(catalogue.load(first), catalogue.load(second))
    return {tuple(sorted(each.changes)) for each in found.relations}


def test_the_lstm_becomes_the_gru_only_with_its_reset_gate_gone() -> None:
    found = relate(catalogue.load("lstm"), catalogue.load("gru"))
    assert found.account.all > 1_000_000
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


def test_none_is_proved_where_none_is() -> None:
    for first, second in (("elman", "lstm"), ("gru", "lstm"), ("gru", "gru_reset_after")):
        found = relate(catalogue.load(first), catalogue.load(second))
        assert not found.relations
        assert found.complete
        assert found.account.all == found.account.excluded + found.account.meaningless > 0


@pytest.mark.parametrize("first", ["gru", "lstm_coupled", "janet", "elman"])
def test_every_combination_is_accounted_for(first: str) -> None:
    for second in catalogue.names():
        found = relate(catalogue.load(first), catalogue.load(second), all_ways=True)
        account = found.account
        assert account.all == account.proved + account.excluded + account.meaningless, second
        assert bool(found.relations) == bool(account.proved)


FOREIGN = """\
cell: foreign
inputs: {x: features}
states: {s: units, m: units}
parameters:
  Aa, Bb, Cc, Dd: [units, features]
  Ee, Ff, Gg, Hh: [units, units]
  p, q, r, u: [units]
equations:
  alpha: sigmoid(Aa @ x + Ee @ s + p)
  beta: sigmoid(Bb @ x + Ff @ s + q)
  gamma: tanh(Cc @ x + Gg @ s + r)
  m': beta * m + alpha * gamma
  delta: sigmoid(Dd @ x + Hh @ s + u)
  s': delta * tanh(m')
output: s'
gates: [alpha, beta, delta]
"""


def test_an_lstm_in_other_words_is_known_in_the_catalogue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign.yaml"
    path.write_text(FOREIGN)
    assert run(["relate", str(path)]) == 0
    told = capsys.readouterr().out
    assert "foreign becomes lstm (UF), with" in told
    assert "lstm becomes foreign (UF), with" in told
    assert "0 undecided" in told
    # Both would be Elman's network, to which it is related too.
    assert "foreign becomes elman (UF), with" in told
    assert "foreign becomes mgu" not in told
    assert "not listed: 1 in which no gate of either cell is left" in told
    assert run(["relate", str(path), "mgu"]) == 0
    assert "foreign becomes mgu (UF), with\n  mgu.f = 1" in capsys.readouterr().out


def test_gates_need_not_be_listed(tmp_path: Path) -> None:
    path = tmp_path / "foreign.yaml"
    path.write_text(FOREIGN.replace("gates: [alpha, beta, delta]\n", ""))
    cell = catalogue.load(path)
    assert cell.gates == ()
    found = relate(cell, catalogue.load("lstm"))
    assert "foreign.(Aa, Ee, p) = lstm.*_i" in found.relations[0].changes


def test_what_does_not_matter_is_told_once() -> None:
    """Without U_n a GRU's reset gate multiplies what nobody reads."""
    found = relate(catalogue.load("gru"), catalogue.load("minimal_rnn"), all_ways=True)
    assert found.account.proved == 11
    (one,) = found.relations
    assert "gru.r = anything" in one.changes
    assert "gru.*_n = minimal_rnn.*_z, U_n = 0" in one.changes


def test_a_gate_that_is_fixed_in_both_cells_makes_no_other_relation() -> None:
    pair = catalogue.load("lstm_peephole"), catalogue.load("lstm")
    found = relate(*pair, all_ways=True)
    assert found.account.proved > len(found.relations) > 0
    assert not any(each.startswith("lstm.") for one in found.relations for each in one.changes)
    # It stays where the other relation cannot be had: the LSTM is a GRU without a reset gate.
    assert any("gru.r = 1" in one for one in changes("lstm", "gru"))


def test_no_cell_becomes_another_by_emitting_nothing() -> None:
    for first in ("lstm", "lstm_coupled"):
        for each in relate(catalogue.load(first), catalogue.load("minimal_rnn"), True).relations:
            assert each.output != "0"


@pytest.mark.parametrize(
    ("first", "second", "fixed"),
    [
        ("gru", "mgu", {}),
        ("gru", "mgu", {"f": 1.0}),
        ("lstm_no_forget", "elman", {}),
        ("fast_grnn", "elman", {}),
        ("elman", "lstm", {}),
    ],
)
def test_what_is_screened_is_what_one_by_one_leaves(
    first: str, second: str, fixed: dict[str, float]
) -> None:
    """No shortcut excludes what the numbers do not: every combination is tried on them alone."""
    screen = Screen(catalogue.load(first), catalogue.load(second), fixed)
    left = [(each.options, each.states) for each in screen.left_over()]
    tried = 0
    expected = []
    for states in screen._state_maps():
        for picked in itertools.product(*screen.options.values()):
            tried += 1
            options = dict(zip(screen.options, picked, strict=True))
            if all(screen._agrees(model, states, options) for model in screen.models):
                expected.append((options, states))
    assert screen.all == tried == screen.excluded + len(left)
    assert sorted(map(repr, left)) == sorted(map(repr, ordered(expected, left)))


def ordered(found: Sequence[Combination], like: Sequence[Combination]) -> list[Combination]:
    """Return combinations with their options in the order in which a search chooses them."""
    order = list(like[0][0]) if like else []
    return [({each: options[each] for each in order}, states) for options, states in found]


def test_an_inversion_that_is_wrong_excludes_what_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = catalogue.load("gru"), catalogue.load("mgu")
    assert relate(*pair).account.proved == 5
    monkeypatch.setitem(scalar_model._UNDONE, "+", (enclosures.plus, enclosures.plus))
    assert relate(*pair).account.proved < 5


def test_the_size_of_the_space_is_what_its_choices_multiply_to() -> None:
    """Elman's one equation: its weights are Elman's times four factors or 0; tanh or identity."""
    account = relate(catalogue.load("elman"), catalogue.load("elman")).account
    assert account.all == 2 * 5
    assert account.proved == 1


def test_a_combination_without_numbers_is_undecided(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ScalarModel, "option", lambda *_: None)
    found = relate(catalogue.load("elman"), catalogue.load("ugrnn"))
    assert not found.complete
    assert run(["relate", "elman", "ugrnn"]) == 4
    assert "it is undecided whether one is in this space" in capsys.readouterr().out


def test_a_combination_that_no_number_excludes_and_nothing_proves_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatewright.claims.relate.proof", lambda claim: None)
    found = relate(catalogue.load("gru"), catalogue.load("mgu"))
    assert found.relations == ()
    assert found.account.undecided > 0
    assert any("gru.*_r = mgu.*_f" in each for each in found.undecided)


def test_one_unit_alone_excludes_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one unit a matrix commutes with a gate, and MGU cannot be told from reset-after GRU."""
    pair = catalogue.load("gru_reset_after"), catalogue.load("mgu")
    assert relate(*pair).complete
    monkeypatch.setattr("gatewright.claims.relate.RUNS", 1)
    assert relate(*pair).account.undecided == 4


NUMBERS = st.floats(-1e6, 1e6)
ERRORS = st.floats(0, 1e-3)


@given(NUMBERS, ERRORS, st.fractions(-1, 1), NUMBERS, ERRORS, st.fractions(-1, 1))
def test_enclosures_enclose(
    a: float, ra: float, s: Fraction, b: float, rb: float, t: Fraction
) -> None:
    """Whatever numbers two enclosures stand for, their sum and product stand for theirs."""
    one, other = Fraction(a) + s * Fraction(ra), Fraction(b) + t * Fraction(rb)
    for operation, exact in (
        (enclosures.plus, one + other),
        (enclosures.minus, one - other),
        (enclosures.times, one * other),
    ):
        value, error = operation((a, ra), (b, rb))
        assert abs(Fraction(value) - exact) <= Fraction(error)
    if abs(b) > 2 * rb + 1e-300:
        value, error = enclosures.over((a, ra), (b, rb))
        assert abs(Fraction(value) - one / other) <= Fraction(error)
    elif abs(b) <= rb:
        with pytest.raises(ZeroDivisionError):
            enclosures.over((a, ra), (b, rb))
    if one == other:
        assert not enclosures.apart((a, ra), (b, rb))


@given(
    st.sampled_from(["y + a * b", "a * y + b", "a - b * y", "-(y - a) * b", "y / a", "a / y - b"]),
    *[st.floats(-8, 8).filter(lambda value: abs(value) > 1e-3)] * 3,
)
def test_an_equation_solved_for_a_name_encloses_it(text: str, a: float, b: float, y: float) -> None:
    expr = parse(text)
    known = {"a": (a, 0.0), "b": (b, 0.0), "y": (y, 0.0)}
    wanted = scalar_model.value_of(expr, known)
    solved = scalar_model.inversion(expr, "y", ())
    assert solved is not None
    found = solved(wanted, known)
    if found is not None:
        assert abs(Fraction(found[0]) - Fraction(y)) <= Fraction(found[1])


def test_an_equation_is_not_solved_through_a_function() -> None:
    assert scalar_model.inversion(parse("a * tanh(y)"), "y", ()) is None
    assert scalar_model.inversion(parse("a * tanh(y)"), "y", ("tanh",)) is not None


@given(st.floats(-20, 20))
def test_enclosures_of_functions_hold_their_balls(value: float) -> None:
    for name in ("tanh", "sigmoid", "relu"):
        ball = ARITHMETIC.function(name)(ARITHMETIC.number(Fraction(value)))
        middle, error = enclosures.applied(name, (value, 0.0))
        assert Fraction(middle) - Fraction(error) <= Fraction(ball.low, UNIT)
        assert Fraction(middle) + Fraction(error) >= Fraction(ball.high, UNIT)
        assert error < 1e-14


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


def test_weights_and_biases_may_be_assumed_to_be_zero() -> None:
    """A reset gate without weights is constant; a candidate without W and b never leaves 0."""
    (claim,) = claims_named(["formulas"])
    found = abduce(claim, 3)
    sets = {frozenset(each.assumptions): each for each in found.sufficient}
    gone = {"gru.W_r = 0", "gru.U_r = 0"}
    for expected in (
        gone | {"gates read c"},
        gone | {"gru.U_z = 0"},
        gone | {"gru.z is constant"},
        {"gru.W_n = 0", "gru.b_n = 0"},
    ):
        assert frozenset(expected) in sets
    assert frozenset({"gru.W_r = 0", "gru.b_r = 0"}) not in sets
    at_rest = [set(each.assumptions) for each in found.sufficient if each.at_rest]
    assert at_rest == [{"gru.W_n = 0", "gru.b_n = 0"}]
    assert not found.undecided
    assert found.tried == found.refuted + len(found.sufficient)
    for one in sets:
        assert not any(other < one for other in sets)


def test_a_difference_in_doubles_alone_refutes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (claim,) = claims_named(["formulas"])
    assert abduce(claim, 1).refuted > 10
    monkeypatch.setattr("gatewright.claims.refute.separation", lambda *_: (Fraction(0), 0))
    found = abduce(claim, 1)
    assert found.refuted == 0
    assert len(found.undecided) == found.tried - len(found.sufficient)


def test_states_that_do_not_stay_zero_are_not_at_rest() -> None:
    """With a bias the states leave 0, and then the two cells differ."""
    (claim,) = claims_named(["formulas"])
    one = {each.text: each for each in assumptions(claim)}
    with_bias = one["gru.W_n = 0"].apply(claim)
    assert with_bias is not None
    assert decide(with_bias, explain=False).word == "refuted"


def test_a_true_claim_needs_nothing() -> None:
    (claim,) = claims_named(["update_gate_negated"])
    (found,) = abduce(claim, 1).sufficient
    assert found.assumptions == ()


def test_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["relate", "gru", "mgu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (found, *_) = told["relations"]
    assert found["theory"] == "UF"
    (searched,) = told["searched"]
    assert searched["combinations"] == searched["proved"] + searched["excluded"] > 0
    assert searched["undecided"] == 0
    assert len(told["space"]) == 6
    assert run(["relate", "elman", "lstm"]) == 1
    told_in_words = capsys.readouterr().out
    assert "0 found among 40 combinations" in told_in_words
    assert "there is proved to be none in this space:" in told_in_words
    assert run(["assume", "reset_order_same_weights"]) == 0
    assert "assuming: before.U_n is diagonal" in capsys.readouterr().out
    assert run(["assume", "lstm_gru"]) == 2
    assert run(["relate", "no_such_cell"]) == 2


def test_what_was_not_searched_is_not_proved_to_be_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["transform", "lstm", "--zoneout", "h"]) == 0
    path = tmp_path / "masked.yaml"
    path.write_text(capsys.readouterr().out)
    assert run(["relate", str(path), "lstm"]) == 4
    told = capsys.readouterr().out
    assert "not searched: everything: the cells read different inputs" in told
    assert "proved to be none" not in told
