"""Normal forms against numbers: equal where they say equal, and complete where they claim to be."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.claims.balls import ARITHMETIC
from gatewright.claims.evaluate import Model, evaluate
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.terms import Term, Terms
from gatewright.claims.theory import Theory

TABLE = Terms()
NUMBERS = st.fractions(-2, 2, max_denominator=4)
LEAVES = st.one_of(
    st.sampled_from(["a", "b", "c"]).map(TABLE.variable),
    NUMBERS.map(TABLE.number),
)
FUNCTIONS = ("sigmoid", "tanh", "relu", "silu", "softsign", "hard_tanh")


def _grown(parts: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
    pair = st.tuples(parts, parts)
    return st.one_of(
        pair.map(lambda p: TABLE.add(*p)),
        pair.map(lambda p: TABLE.subtract(*p)),
        pair.map(lambda p: TABLE.multiply(*p)),
        st.tuples(st.sampled_from(FUNCTIONS), parts).map(lambda p: TABLE.apply(*p)),
        st.tuples(st.sampled_from(["U", "W"]), parts).map(lambda p: TABLE.map(*p)),
    )


TERMS = st.recursive(LEAVES, _grown, max_leaves=8)
VECTORS = st.lists(NUMBERS, min_size=2, max_size=2)
MATRICES = st.lists(VECTORS, min_size=2, max_size=2)
MODELS = st.builds(
    Model,
    st.fixed_dictionaries(dict.fromkeys("abc", VECTORS)),
    st.fixed_dictionaries(dict.fromkeys("UW", MATRICES)),
    st.just({}),
)


def reconstructed(form: NormalForm, term: Term) -> Term:
    """Build the term that a normal form stands for."""
    from gatewright.claims.atoms import Applied, Exponential, Mapped, Reciprocal, Variable

    def poly(value: dict) -> Term:  # type: ignore[type-arg]
        total = TABLE.zero
        for monomial, coefficient in value.items():
            product = TABLE.number(Fraction(coefficient))
            for atom, power in monomial:
                product = TABLE.multiply(product, raised(atom, power))
            total = TABLE.add(total, product)
        return total

    def raised(number: int, power: Fraction) -> Term:
        match form.atoms[number]:
            case Variable(name):
                base = TABLE.variable(name)
            case Applied(function, argument):
                base = TABLE.apply(function, poly(dict(argument)))
            case Mapped(matrix, monomial):
                base = TABLE.map(matrix, poly({monomial: 1}))
            case Reciprocal(of):
                base = TABLE.divide(TABLE.one, poly(dict(of)))
            case Exponential(monomial):
                return TABLE.apply("exp", poly({monomial: power}))
        return TABLE.power(base, int(power))

    return poly(form.of(term))


@pytest.mark.parametrize("theory", list(Theory))
@given(term=TERMS, model=MODELS)
@settings(max_examples=80, deadline=None)
def test_a_term_has_the_value_of_its_normal_form(theory: Theory, term: Term, model: Model) -> None:
    form = NormalForm(theory)
    try:
        one, other = evaluate([term, reconstructed(form, term)], model, ARITHMETIC)
    except OverflowError:
        return
    length = max(len(one), len(other))
    pairs = zip(one * (length // len(one)), other * (length // len(other)), strict=True)
    assert all(a.overlaps(b) for a, b in pairs)


@given(TERMS, TERMS, TERMS)
@settings(max_examples=100, deadline=None)
def test_rearranging_a_sum_of_products_changes_nothing(a: Term, b: Term, c: Term) -> None:
    form = NormalForm(Theory.UF)
    left = TABLE.multiply(a, TABLE.add(b, c))
    right = TABLE.add(TABLE.multiply(c, a), TABLE.multiply(b, a))
    assert not form.difference(left, right)
    assert not form.difference(
        TABLE.map("U", TABLE.subtract(a, b)),
        TABLE.subtract(TABLE.map("U", a), TABLE.map("U", b)),
    )


def test_a_matrix_does_not_pass_through_a_product() -> None:
    form = NormalForm(Theory.EXP)
    a, b = TABLE.variable("a"), TABLE.variable("b")
    left = TABLE.map("U", TABLE.multiply(a, b))
    assert form.difference(left, TABLE.multiply(a, TABLE.map("U", b)))


@pytest.mark.parametrize(
    ("left", "right", "theory"),
    [
        ("sigmoid(-a)", "1 - sigmoid(a)", Theory.PARITY),
        ("tanh(-a)", "-tanh(a)", Theory.PARITY),
        ("relu(2 * a)", "2 * relu(a)", Theory.PARITY),
        ("relu(-a)", "relu(a) - a", Theory.PARITY),
        ("max(a, b)", "max(b, a)", Theory.PARITY),
        ("tanh(a)", "2 * sigmoid(2 * a) - 1", Theory.TANH_SIGMOID),
        ("exp(a + b)", "exp(a) * exp(b)", Theory.TANH_SIGMOID),
        ("silu(a)", "a * sigmoid(a)", Theory.TANH_SIGMOID),
        ("sigmoid(a)", "exp(a) / (1 + exp(a))", Theory.EXP),
        ("tanh(a)", "(exp(a) - exp(-a)) / (exp(a) + exp(-a))", Theory.EXP),
        ("1 / (1 + exp(a)) + 1 / (1 + exp(-a))", "1", Theory.TANH_SIGMOID),
    ],
)
def test_an_identity_is_found_in_the_weakest_theory_that_has_it(
    left: str, right: str, theory: Theory
) -> None:
    one, other = term(left), term(right)
    equal = [t for t in Theory if not NormalForm(t).difference(one, other)]
    assert equal[0] is theory
    assert equal == [t for t in Theory if t >= theory]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("sigmoid(2 * a)", "2 * sigmoid(a)"),
        ("tanh(a + b)", "tanh(a) + tanh(b)"),
        ("relu(a + b)", "relu(a) + relu(b)"),
        ("exp(2 * a)", "2 * exp(a)"),
        ("sigmoid(a) * sigmoid(-a)", "sigmoid(a)"),
        ("1 / (a + b)", "1 / a + 1 / b"),
    ],
)
def test_what_is_not_an_identity_is_equal_in_no_theory(left: str, right: str) -> None:
    assert all(NormalForm(t).difference(term(left), term(right)) for t in Theory)


def term(text: str) -> Term:
    from gatewright.language.equation import parse
    from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number

    def build(expr: Expr) -> Term:
        match expr:
            case Number(value):
                return TABLE.number(Fraction(repr(value)))
            case Name(name):
                return TABLE.variable(name)
            case Negate(operand):
                return TABLE.negate(build(operand))
            case Call("max", (one, other)):
                return TABLE.maximum(build(one), build(other))
            case Call(name, (argument,)):
                return TABLE.apply(name, build(argument))
            case Binary(operator, one, other):
                combine = {"+": TABLE.add, "-": TABLE.subtract, "*": TABLE.multiply}
                return combine.get(operator, TABLE.divide)(build(one), build(other))
        raise AssertionError(expr)

    return build(parse(text))
