from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

from gatewright.claims.function_rows import CALCULUS, functions_of, rows_verified
from gatewright.claims.translation import reverse_identities
from gatewright.language.cell import Cell
from gatewright.language.equation import parse
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number
from gatewright.language.functions import FUNCTIONS, Function
from gatewright.program import rules
from gatewright.program.compile import compile_cell
from gatewright.program.ir import Outer
from gatewright.verify.certificate import certify, run_step
from gatewright.verify.symbolic import symbolic
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


OWN = {
    row.name: row
    for row in (
        Function(
            "algebraic", ("x",), ("(1 - y * y) * sqrt(1 - y * y)",), stable="x / sqrt(1 + x * x)"
        ),
        Function(
            "hard_sigmoid",
            ("x",),
            ("0.2 * positive(2.5 - abs(x))",),
            stable="max(min(0.2 * x + 0.5, 1), 0)",
        ),
        Function(
            "mish",
            ("x",),
            ("tanh(softplus(x)) + x * sigmoid(x) * (1 - tanh(softplus(x))^2)",),
            stable="x * tanh(softplus(x))",
        ),
        Function(
            "log_sigmoid",
            ("x",),
            ("1 - exp(y)",),
            stable="min(x, 0) - log1p(exp(-abs(x)))",
            definition="log(sigmoid(x))",
        ),
        Function(
            "log_add_exp",
            ("a", "b"),
            ("exp(a - y)", "exp(b - y)"),
            stable="max(a, b) + log1p(exp(-abs(a - b)))",
            definition="log(exp(a) + exp(b))",
        ),
        Function("normal", ("x",), ("-2 * x * y",), stable="exp(-x * x)"),
    )
}
TABLE = FUNCTIONS | OWN


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_row_of_the_table_is_proved(name: str) -> None:
    found = rows_verified([name], TABLE)
    assert found.broken == found.undecided == []
    assert found.count >= len(TABLE[name].partials)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_derivative_in_the_table_is_found(name: str) -> None:
    wrong = FUNCTIONS | {name: replace(FUNCTIONS[name], partials=(WRONG[name],))}
    assert rows_verified((name,), wrong).broken


@pytest.mark.parametrize("name", ["max", "min", "log_add_exp"])
def test_a_wrong_derivative_of_two_arguments_is_found(name: str) -> None:
    partials = tuple(reversed(TABLE[name].partials))
    wrong = TABLE | {name: replace(TABLE[name], partials=partials)}
    assert rows_verified((name,), wrong).broken


@pytest.mark.parametrize(
    ("name", "stable"),
    [
        ("sigmoid", "1 / (1 + exp(x))"),
        ("softplus", "max(x, 0) + log1p(exp(-x))"),
        ("softplus", "max(x, 0) + log1p(exp(-abs(x))) + 0.000000000000000001"),
        ("silu", "x * sigmoid(x) * 1.0000000000001"),
        ("log_sigmoid", "min(x, 0) - log1p(exp(abs(x)))"),
        ("log_sigmoid", "max(x, 0) - log1p(exp(-abs(x)))"),
        ("log_add_exp", "max(a, b) + log1p(exp(-abs(a + b)))"),
        ("log_add_exp", "max(a, b) + log1p(exp(a - b))"),
    ],
)
def test_a_wrong_stable_form_is_found(name: str, stable: str) -> None:
    wrong = TABLE | {name: replace(TABLE[name], stable=stable)}
    assert rows_verified((name,), wrong).broken


def test_what_no_theory_has_is_undecided_and_not_wrong() -> None:
    """sin(a)^2 + cos(a)^2 = 1 is true; no rewriting here knows it."""
    partial = "cos(x) * (sin(x)^2 + cos(x)^2)"
    found = rows_verified(
        ("sin",), FUNCTIONS | {"sin": replace(FUNCTIONS["sin"], partials=(partial,))}
    )
    assert found.broken == []
    assert len(found.undecided) == 1


def in_sympy(expr: Expr, known: dict[str, sympy.Expr]) -> sympy.Expr:
    """Return an expression in SymPy's own functions: nothing of the prover takes part."""
    match expr:
        case Number(value):
            return sympy.Rational(value)
        case Name(name):
            return known[name]
        case Negate(operand):
            return -in_sympy(operand, known)
        case Call(function, arguments):
            inner = [in_sympy(argument, known) for argument in arguments]
            if function in ("sigmoid", "log1p", "softplus"):
                return {
                    "sigmoid": 1 / (1 + sympy.exp(-inner[0])),
                    "log1p": sympy.log(1 + inner[0]),
                    "softplus": sympy.log(1 + sympy.exp(inner[0])),
                }[function]
            return getattr(
                sympy, {"max": "Max", "min": "Min", "abs": "Abs"}.get(function, function)
            )(*inner)
        case Binary(operator, left, right):
            one, other = in_sympy(left, known), in_sympy(right, known)
            return {
                "+": lambda: one + other,
                "-": lambda: one - other,
                "*": lambda: one * other,
                "/": lambda: one / other,
                "^": lambda: one**other,
            }[operator]()


@pytest.mark.parametrize("name", sorted(CALCULUS))
def test_the_axioms_of_calculus_are_those_of_sympy(name: str) -> None:
    x = sympy.Symbol("x", positive=True)
    value = getattr(sympy, name)(x)
    (partial,) = CALCULUS[name].partials
    assert sympy.diff(value, x) == in_sympy(parse(partial), {"x": x, "y": value})


@pytest.mark.parametrize("name", sorted(name for name, row in TABLE.items() if row.definition))
def test_proved_derivatives_are_those_of_sympy(name: str) -> None:
    row = TABLE[name]
    symbols = {argument: sympy.Symbol(argument, real=True) for argument in row.arguments}
    value = in_sympy(parse(row.definition), dict(symbols))
    for argument, text in zip(row.arguments, row.partials, strict=True):
        partial = in_sympy(parse(text), {**symbols, "y": value})
        difference = sympy.diff(value, symbols[argument]) - partial
        for first, second in ((1, 3), (5, 2)):
            numbers = (sympy.Rational(first, 4), sympy.Rational(second, 4))
            point = dict(zip(symbols.values(), numbers, strict=False))
            assert abs(difference.subs(point).evalf(40)) < 1e-35


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
        ("log(1 + exp(x)) - log(1 + exp(-x))", "x", True),
        ("log(1 + exp(x)) + log(1 + exp(-x))", "x", False),
        ("exp(log(1 + exp(x)))", "1 + exp(x)", True),
        ("sqrt(1 + x * x) * sqrt(1 + x * x)", "1 + x * x", True),
        ("1 / sqrt(1 + x * x)", "sqrt(1 + x * x) / (1 + x * x)", True),
        ("sqrt(1 - x^2 / (1 + x^2))", "1 / sqrt(1 + x^2)", True),
        ("sqrt(1 + x * x)", "1 + x", False),
        ("abs(x) * abs(x)", "x * x", True),
        ("max(x, -x)", "abs(x)", True),
        ("max(x, 0)", "abs(x)", False),
    ],
)
def test_identities_are_decided(left: str, right: str, same: bool) -> None:
    own = Function("own", ("x",), ("0",), stable=right, definition=left)
    found = rows_verified(("own",), FUNCTIONS | {"own": own})
    stable = [text for text in found.broken if "stable" in text]
    assert bool(stable) is not same
    assert not any("stable" in text for text in found.undecided)


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
    monkeypatch.setattr("gatewright.claims.normal_form.LARGEST_PRODUCT", 1)
    assert run_step(symbolic, subject(ELMAN)).verdict == "inconclusive"
