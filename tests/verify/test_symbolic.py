from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

from gatewright.claims.translation import reverse_identities
from gatewright.language.cell import Cell
from gatewright.language.equation import parse
from gatewright.language.functions import FUNCTIONS
from gatewright.program import rules
from gatewright.program.compile import compile_cell
from gatewright.program.ir import Outer
from gatewright.verify.algebra import Branches, is_zero, symbol
from gatewright.verify.certificate import certify, run_step
from gatewright.verify.symbolic import functions_of, symbolic, table_identities
from tests.verify.cells import ELMAN, ODD_CELLS, make, reference, subject

WRONG = {
    "sigmoid": "y * (1 + y)",
    "tanh": "1 - y",
    "relu": "y",
    "exp": "x",
    "log": "1 / y",
    "sqrt": "0.5 / x",
    "sin": "-cos(x)",
    "cos": "sin(x)",
    "softplus": "sigmoid(-x)",
    "silu": "sigmoid(x) * (1 + x)",
    "softsign": "1 - abs(y)",
    "hard_tanh": "positive(1 - x)",
    "abs": "positive(x)",
    "log1p": "1 / x",
    "positive": "1",
    "half": "1",
    "sign": "1",
}


def test_every_row_of_the_table_is_proved() -> None:
    found = table_identities(tuple(FUNCTIONS), FUNCTIONS)
    assert found.broken == []
    assert found.count >= 4 * len(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_derivative_in_the_table_is_found(name: str) -> None:
    wrong = FUNCTIONS | {name: replace(FUNCTIONS[name], partials=(WRONG[name],))}
    assert table_identities((name,), wrong).broken


@pytest.mark.parametrize("name", ["max", "min"])
def test_a_wrong_derivative_of_two_arguments_is_found(name: str) -> None:
    partials = tuple(reversed(FUNCTIONS[name].partials))
    assert table_identities(
        (name,), FUNCTIONS | {name: replace(FUNCTIONS[name], partials=partials)}
    ).broken


@pytest.mark.parametrize(
    ("name", "stable"),
    [
        ("sigmoid", "1 / (1 + exp(x))"),
        ("softplus", "max(x, 0) + log1p(exp(-x))"),
        ("softplus", "max(x, 0) + log1p(exp(-abs(x))) + 0.000000000000000001"),
        ("silu", "x * sigmoid(x) * 1.0000000000001"),
    ],
)
def test_a_wrong_stable_form_is_found(name: str, stable: str) -> None:
    wrong = FUNCTIONS | {name: replace(FUNCTIONS[name], stable=stable)}
    assert table_identities((name,), wrong).broken


def test_a_wrong_row_fails_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FUNCTIONS, "tanh", replace(FUNCTIONS["tanh"], partials=("1 - y",)))
    rules.partials.cache_clear()
    try:
        programs = compile_cell(ELMAN)
        certificate = certify(ELMAN, reference(programs), "reference", programs=programs)
    finally:
        rules.partials.cache_clear()
    assert certificate.check("symbolic").verdict == "fail"
    assert "tanh" in certificate.check("symbolic").where
    assert certificate.check("elementwise").verdict == "fail"


def test_functions_of_a_cell_include_those_its_rows_call() -> None:
    cell = make("one_silu", "h' = silu(W @ x + U @ h + b)")
    assert functions_of(compile_cell(cell)) == ("exp", "sigmoid", "silu")


@pytest.mark.parametrize("cell", ODD_CELLS, ids=lambda cell: cell.name)
def test_reverse_programs_are_proved(cell: Cell) -> None:
    programs = compile_cell(cell)
    found = reverse_identities(programs, FUNCTIONS)
    assert found.broken == []
    assert found.count > len(programs.cell.parameters)


def test_a_missing_weight_gradient_is_named() -> None:
    programs = compile_cell(ELMAN)
    outers = programs.reverse.outers
    assert isinstance(outers[0], Outer)
    wrong = replace(outers[0], lefts=("d_h_next",))
    faulty = replace(programs, reverse=replace(programs.reverse, outers=(wrong, *outers[1:])))
    found = reverse_identities(faulty, FUNCTIONS)
    assert found.broken == ["`d_W` is not the gradient of `W`"]


def test_the_check_counts_what_it_proved() -> None:
    check = run_step(symbolic, subject(ELMAN))
    assert check.verdict == "pass"
    assert "identities" in check.detail


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("tanh(x)", "2 * sigmoid(2 * x) - 1", True),
        ("sigmoid(x) * sigmoid(-x)", "sigmoid(x) * (1 - sigmoid(x))", True),
        ("exp(x) * exp(-x)", "1", True),
        ("sigmoid(x)", "1 - sigmoid(-x) * 1.0000000000000002", False),
        ("tanh(x)", "sigmoid(x)", False),
        ("(x + 1)^3", "x^3 + 3 * x^2 + 3 * x + 1", True),
    ],
)
def test_identities_are_decided(left: str, right: str, same: bool) -> None:
    branches = Branches(FUNCTIONS, {symbol("x"): sympy.Integer(1)})
    first, second = (branches.translate(parse(text), {}) for text in (left, right))
    assert is_zero(first - second) is same


@pytest.mark.parametrize(
    "cell",
    [
        make("cancels", "v = W @ x", "h' = tanh(((h + h) - (h + v)) + W @ x) + U @ h * b"),
        make("twice", "h' = tanh(((U @ tanh(h)) + (U @ tanh(h))) + W @ x) + b"),
    ],
    ids=lambda cell: cell.name,
)
def test_products_that_cancel_or_repeat_are_proved(cell: Cell) -> None:
    assert reverse_identities(compile_cell(cell), FUNCTIONS).broken == []


def test_an_identity_too_large_to_expand_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewright.verify.algebra.LARGEST", 3)
    assert run_step(symbolic, subject(ELMAN)).verdict == "inconclusive"


def test_symbols_carry_a_prefix() -> None:
    assert symbol("W_i").name == "v_W_i"
