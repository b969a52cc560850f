from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.claims.family import read_family_text
from gatewright.claims.prove import decide
from gatewright.claims.resolve import resolve_family
from gatewright.language.codes import CODES
from gatewright.language.diagnostics import SpecError

from ..effort import effort
from ..refusals import Case, shown
from .corpus import BASE, claims, edited, refusal, rejected


def test_the_base_file_is_accepted() -> None:
    (claim,) = claims(BASE)
    assert claim.name == "negated"
    assert len(claim.parameters) == 9


@pytest.mark.parametrize("case", rejected(), ids=lambda case: case.name)
def test_every_mistake_is_reported_with_its_place(case: Case) -> None:
    with effort(1_000_000):
        error = refusal(case.text)
    assert shown(error) == case.expected
    for item in error.diagnostics:
        assert item.code in CODES


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("(" * 500_000 + "gru.r[t]" + ")" * 500_000, "E0001"),
        ("(" * 5_000 + "gru.r[t]" + ")" * 5_000, "E0208"),
        (" + ".join(["gru.r[t]"] * 100_000), "E0001"),
        (" + ".join(["gru.r[t]"] * 10_000), "E0209"),
        ("[" * 100_000, "E0104"),
        ("9" * 100_000, "E0204"),
        (f"gru.r[t+{'9' * 5_000}]", "E0604"),
    ],
    ids=["parentheses", "fewer", "sum", "shorter", "brackets", "digits", "step"],
)
def test_what_is_much_too_large_is_refused_at_once(formula: str, code: str) -> None:
    with effort(10_000_000):
        error = refusal(edited(l15=f"      keep.r[t]: {formula}"))
    assert [item.code for item in error.diagnostics] == [code]
    assert len(str(error)) < 2_000


def test_powers_of_powers_end_as_unknown() -> None:
    inner = "gru.r[t] + gru.z[t] + gru.n[t]"
    for _ in range(6):
        inner = f"({inner}) ^ 16"
    (claim,) = claims(edited(l15=f"      keep.r[t]: {inner}"))
    with effort(20_000_000):
        assert decide(claim).word == "unknown"


def test_every_code_of_a_claim_file_has_a_case() -> None:
    used = {code for case in rejected() for code in re.findall(r"E06\d\d", case.expected)}
    # E0613 needs cells with other inputs, E0615 a command line.
    assert used | {"E0613", "E0615"} == {code for code in CODES if code.startswith("E06")}


def test_cells_of_different_inputs_are_no_claim() -> None:
    cell = "    inputs: {u: input}\n    equations:\n"
    changed = edited(
        l5=cell + "      r: sigmoid(W_r @ u + U_r @ h + b_r)\n"
        "      z: sigmoid(W_z @ u + U_z @ h + b_z)\n"
        "      n: tanh(W_n @ u + U_n @ (r * h) + b_n)"
    )
    text = changed.replace("    extends: gru\n", "    states: {h: hidden}\n    output: h'\n    parameters:\n      W_r, W_z, W_n: [hidden, input]\n      U_r, U_z, U_n: [hidden, hidden]\n      b_r, b_z, b_n: [hidden]\n")  # fmt: skip  # noqa: E501
    (found,) = refusal(text).diagnostics
    assert found.code == "E0613"
    assert found.message == "the cells read different inputs: u: [input] and x: [input]"


def test_a_tie_without_a_time_index_is_shown_with_the_reason() -> None:
    assert (
        str(refusal(edited(l15="      keep.r: gru.r[t]")))
        == """\
error[E0602]: `keep.r` has no time index: a gate that is used a step later than another makes a \
different claim
    --> claims.yaml:15:7
     |
  15 |       keep.r: gru.r[t]
     |       ^^^^^^
     = help: write `keep.r[t]`, or `keep.r[t-1]` for the value of the step before"""
    )


@given(st.integers(0, len(BASE) - 1), st.text("[]{}:*@&'\"-+/^(),=.tk0\n #", max_size=4))
@settings(max_examples=300, deadline=2000)
def test_no_edit_makes_anything_but_a_claim_or_an_explanation(place: int, text: str) -> None:
    try:
        resolve_family(read_family_text(BASE[:place] + text + BASE[place + len(text) :]))
    except SpecError as error:
        assert str(error).startswith("error[E")
