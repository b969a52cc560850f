"""Claims that are nearly true, and claims that do not look it: each gets its verdict."""

from __future__ import annotations

import pytest

from gatewright.claims.checker import confirm
from gatewright.claims.named_like import named_like
from gatewright.claims.prove import decide
from gatewright.claims.relate import relate
from gatewright.claims.verdict import Proved, Refuted, Verdict
from gatewright.language import catalogue
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve

from .corpus import claims, refusal

ONE_LINE = """\
  {name}:
    inputs: {{x: input}}
    states: {{h: hidden}}
    parameters:
      W: [hidden, input]
      U: [hidden, hidden]
      b: [hidden]
    equations:
      a: W @ x + U @ h + b
      h': {next}
    output: h'
"""
TWO_CELLS = """\
family: mine
cells:
{left}{right}claims:
  one:
    statement: Both compute the same.
    left: p
    right: q
{more}    parameters:
      p.*: q.*
    states:
      p.h[t]: q.h[t]
    observe:
      - p.h[t] = q.h[t]
    expect: proved
"""
SEQUENCES = """\
family: mine
claims:
  one:
    statement: The LSTM's cell is the GRU's state if its gates are the GRU's.
    left: lstm
    right: gru
    for_all: {{phi: function}}
    activations: {{lstm.g: phi, lstm.h: identity, gru.n: phi}}
    sequences: [gru.r, gru.z]
    ties:
      lstm.i[t]: gru.z[t]
      lstm.f[t]: {f}
      lstm.o[t]: {o}
    parameters:
      lstm.*_g: gru.*_n
    states:
      lstm.c[t]: gru.h[t]
      lstm.h[t]: ({o}) * gru.h[t]
    observe:
      - {observe}
    expect: proved
"""


def two_cells(left: str, right: str, more: str = "") -> str:
    cells = (ONE_LINE.format(name=n, next=text) for n, text in (("p", left), ("q", right)))
    return TWO_CELLS.format(left=next(cells), right=next(cells), more=more)


def of(text: str) -> Verdict:
    (claim,) = claims(text)
    return decide(claim)


def sequences(f: str, o: str, observe: str) -> Verdict:
    return of(SEQUENCES.format(f=f, o=o, observe=observe))


def assert_refuted(verdict: Verdict) -> None:
    assert isinstance(verdict.finding, Refuted), verdict.finding
    assert confirm(verdict.claim, verdict.finding.counterexample).confirmed


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("relu(a) + relu(-a)", "a"),
        ("relu(a) * relu(a)", "a * a"),
        ("relu(b * a)", "b * relu(a)"),
        ("sqrt(a * a)", "a"),
        ("tanh(a)", "2 * sigmoid(a) - 1"),
        ("1 / (1 + exp(a))", "sigmoid(a)"),
        ("softplus(-a)", "softplus(a) + a"),
        ("hard_tanh(a)", "relu(a + 1) - relu(a - 1)"),
        ("softplus(a)", "log(2 + exp(a))"),
        ("max(a, 0) * max(-a, 0)", "1e-6 * tanh(a) * tanh(a)"),
        ("tanh(a)", "tanh(a) + 1e-9 * h * a"),
        ("(1 + a * a) ^ 0.5", "1 + a"),
    ],
)
def test_cells_that_nearly_agree_are_told_apart(left: str, right: str) -> None:
    assert_refuted(of(two_cells(left, right)))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("relu(a) - relu(-a)", "a"),
        ("relu(relu(a))", "relu(a)"),
        ("relu(sigmoid(a))", "sigmoid(a)"),
        ("max(a, h) + min(a, h)", "a + h"),
        ("abs(a)", "max(a, -a)"),
        ("tanh(2 * a)", "2 * tanh(a) / (1 + tanh(a) * tanh(a))"),
        ("sigmoid(a) * sigmoid(-a)", "sigmoid(a) - sigmoid(a) * sigmoid(a)"),
        ("softplus(a) - softplus(-a)", "a"),
        ("softplus(a)", "log(1 + exp(a))"),
        ("hard_tanh(a)", "relu(a + 1) - relu(a - 1) - 1"),
        ("tanh(a)", "(exp(a) - exp(-a)) / (exp(a) + exp(-a))"),
        ("silu(a)", "a * sigmoid(a)"),
        ("(a * a) ^ 0.5 * h", "h * (a * a) ^ 0.5"),
    ],
)
def test_cells_that_agree_for_a_reason_are_proved(left: str, right: str) -> None:
    assert of(two_cells(left, right)).word == "proved"


@pytest.mark.parametrize(
    ("f", "o", "observe"),
    [
        ("1 - gru.z[t-1]", "gru.r[t+1]", "lstm.c[t] = gru.h[t]"),
        ("1 - gru.z[t]", "gru.r[t]", "lstm.c[t] = gru.h[t]"),
        ("1 - gru.z[t]", "gru.r[t+2]", "lstm.c[t] = gru.h[t]"),
        ("1 - gru.z[t]", "gru.r[t+1]", "lstm.h[t] = gru.h[t]"),
        ("1 - gru.z[t]", "gru.r[t+1]", "lstm.h[t] = gru.r[t] * gru.h[t]"),
        ("1 - gru.z[t]", "gru.r[t+1]", "lstm.c[t-1] = gru.h[t]"),
    ],
)
def test_a_step_off_by_one_and_the_wrong_state_are_seen(f: str, o: str, observe: str) -> None:
    assert_refuted(sequences(f, o, observe))


@pytest.mark.parametrize(
    "observe",
    [
        "lstm.c[t] = gru.h[t]",
        "lstm.c[t-1] = gru.h[t-1]",
        "lstm.g[t] = gru.n[t]",
        "lstm.h[t] = gru.r[t+1] * gru.h[t]",
        "lstm.h[t-1] = gru.r[t] * gru.h[t-1]",
    ],
)
def test_the_right_steps_are_proved(observe: str) -> None:
    assert sequences("1 - gru.z[t]", "gru.r[t+1]", observe).word == "proved"


ANY = "    for_all: {{{name}: function}}\n    activations: {{p.tanh: {name}, q.tanh: {name}}}\n"


@pytest.mark.parametrize("right", ["tanh(a) - a", "1 - tanh(a)", "-tanh(a)"])
def test_no_law_is_used_of_any_function(right: str) -> None:
    assert_refuted(of(two_cells("tanh(-a)", right, ANY.format(name="phi"))))


@pytest.mark.parametrize("name", ["ramp", "half", "sign", "positive", "identity", "diag", "log1p"])
def test_any_function_has_no_name_with_a_meaning(name: str) -> None:
    """Else it would have that meaning in proofs: `half(-a) = 1 - half(a)` was proved of it."""
    error = refusal(two_cells("tanh(-a)", "1 - tanh(a)", ANY.format(name=name)))
    assert error.diagnostics[0].code == "E0606"


def test_a_root_that_is_squared_is_proved_with_a_condition() -> None:
    finding = of(two_cells("sqrt(a) * sqrt(a)", "a")).finding
    assert isinstance(finding, Proved)
    assert str(finding.theory) == "TANH-SIGMOID"
    assert [each.startswith("sqrt(") for each in finding.conditions] == [True]


RENAMED = """\
cell: renamed
inputs: {x: input}
states: {y: hidden, s: hidden}
parameters:
  A_w, A_k, A_e, A_q: [hidden, input]
  B_w, B_k, B_e, B_q: [hidden, hidden]
  c_w, c_k, c_e, c_q: [hidden]
equations:
  q: tanh(A_q @ x + B_q @ y + c_q)
  e: sigmoid(A_e @ x + B_e @ y + c_e)
  k: sigmoid(A_k @ x + B_k @ y + c_k)
  w: sigmoid(A_w @ x + B_w @ y + c_w)
  s': (1 - e) * s - k * q
  y': w * tanh(s')
output: y'
gates: [w, k, e]
"""


def test_a_cell_of_other_names_is_found_to_be_an_lstm() -> None:
    """No name of it is one of the LSTM's, a gate erases instead of keeping, a sign is turned."""
    found = relate(resolve(read_spec_text(RENAMED)), catalogue.load("lstm"))
    assert found.complete
    assert set(found.relations[0].changes) == {
        "renamed.*_q = -lstm.*_g",
        "renamed.*_e = -lstm.*_f",
        "renamed.*_k = lstm.*_i",
        "renamed.*_w = lstm.*_o",
    }
    assert found.relations[0].states == ("renamed.y[t] = h[t]", "renamed.s[t] = c[t]")


OTHER_WORDS = """\
cell: other_words
inputs: {u: features}
states: {y: units}
parameters:
  W: [units, features]
  U: [units, units]
  b: [units]
equations:
  y': tanh(W @ u + U @ y + b)
output: y'
"""


def test_a_cell_with_other_words_for_its_input_and_sizes_is_related() -> None:
    cell = resolve(read_spec_text(OTHER_WORDS))
    elman = catalogue.load("elman")
    assert relate(cell, elman).relations
    assert relate(elman, cell).relations


def test_a_name_is_not_given_to_two_things() -> None:
    clash = resolve(read_spec_text(OTHER_WORDS.replace("b: [", "x: [").replace("+ b", "+ x")))
    assert named_like(clash, catalogue.load("elman")) == clash
    found = relate(clash, catalogue.load("elman"))
    assert found.left_out == ("everything: the cells read different inputs",)
