"""The reverse reads like the derivation on paper: few operations, names of the literature."""

from __future__ import annotations

from pathlib import Path

from gatewright.language import catalogue
from gatewright.language.equation import parse
from gatewright.language.expression import Name, Number
from gatewright.program.compile import compile_cell
from gatewright.program.ir import Assign
from gatewright.program.rules import add, divide, multiply, negate


def reverse_text(name: str) -> dict[str, str]:
    reverse = compile_cell(catalogue.load(name)).reverse
    return {
        item.target.name: str(item).split(" = ", 1)[1]
        for item in reverse.statements()
        if isinstance(item, Assign)
    }


def test_the_reverse_of_the_lstm_is_what_one_writes_by_hand() -> None:
    text = reverse_text("lstm")
    assert text["d_o"] == "d_h_next * tanh_c_next"
    assert text["d_a_o"] == "d_o * o * (1 - o)"
    assert text["d_f"] == "d_c_next * c"
    assert text["d_c"] == "d_c_next * f"
    assert text["d_a_g"] == "d_g * (1 - g * g)"


def test_the_reverse_of_the_lstm_needs_no_more_than_24_operations() -> None:
    # Differentiating the composed formula and eliminating common subexpressions needs 34.
    assert compile_cell(catalogue.load("lstm")).reverse.operations <= 24


def test_the_update_gate_of_the_gru_is_factored() -> None:
    assert reverse_text("gru")["d_z"] == "d_h_next * (n - h)"


def test_the_output_gate_with_peephole_sends_a_cotangent_into_the_new_cell_state() -> None:
    assert "d_a_o * p_o" in reverse_text("lstm_peephole")["d_c_next"]


def test_a_state_that_nothing_reads_has_a_zero_cotangent(tmp_path: Path) -> None:
    path = tmp_path / "lagged.yaml"
    path.write_text(
        "cell: lagged\ntitle: Input of the step before\ncite: [none2026]\n"
        "inputs: {x: input}\nstates: {h: hidden, p: input}\n"
        "parameters:\n  W, V: [hidden, input]\n  U: [hidden, hidden]\n"
        "equations:\n  h': tanh(W @ x + V @ p + U @ h)\n  p': x\noutput: h'\ngates: []\n"
    )
    programs = compile_cell(catalogue.load(str(path)))
    assert "d_p" in programs.reverse.results
    assert "ct_p_next" in str(programs.reverse)


def test_signs_units_and_shared_factors_fold() -> None:
    a, b, c = Name("a"), Name("b"), Name("c")
    assert add(a, negate(b)) == parse("a - b")
    assert multiply(a, Number(1.0)) == a
    assert multiply(negate(a), b) == negate(multiply(a, b))
    assert multiply(a, parse("b * (1 - b)")) == parse("a * b * (1 - b)")
    assert add(multiply(a, b), multiply(a, c)) == parse("a * (b + c)")
    assert add(multiply(a, b), negate(multiply(a, c))) == parse("a * (b - c)")
    assert divide(negate(a), b) == negate(parse("a / b"))
    assert negate(negate(a)) == a
