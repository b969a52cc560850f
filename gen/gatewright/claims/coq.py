"""Claim -> Coq: a certificate that Coq's kernel checks, for all sizes at once.

A vector is a function from places to real numbers, a matrix any additive and homogeneous map. For
every term there is a definition and a lemma that it equals its normal form; each is proved from the
lemmas of its parts and one identity, by `ring` or `field`. An obligation is then two normal forms
that `field` finds equal.

Why a lemma per term: each proof is as small as one step of the prover, so what Coq refuses points
at the rule that was wrong.
"""

from __future__ import annotations

import re
from fractions import Fraction

from gatewright.claims.activations import applied, positive_factor, sign_of_all
from gatewright.claims.atoms import Applied, Exponential, Mapped, Reciprocal, Variable
from gatewright.claims.claim import Claim
from gatewright.claims.coq_prelude import PRELUDE
from gatewright.claims.division import positive_unit
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.obligations import inductive
from gatewright.claims.polynomial import Monomial, Number, Polynomial, leading, scale, single
from gatewright.claims.prove import proof
from gatewright.claims.state_maps import candidates
from gatewright.claims.terms import INVERSE, Term, base, below
from gatewright.claims.theory import SCALARS, Quality, Theory

FUNCTIONS = {"tanh": "tanh_", "ramp": "relu"}
CONCRETE = frozenset({"sigmoid", "tanh", "relu", "ramp", "exp", "silu"})


class UnsupportedError(Exception):
    """A proof that uses something the certificates cannot say yet."""


def certificate(claim: Claim) -> str:
    """Return the Coq file that proves a claim's obligations.

    Raises UnsupportedError if the claim is not proved, or its proof cannot be written in Coq.
    """
    tried = ((each, proof(each)) for each in ([claim] if claim.states else candidates(claim)))
    claim, found = next(((each, got) for each, got in tried if got), (claim, None))
    if found is None:
        raise UnsupportedError("the claim is not proved")
    if found.theory is Theory.EXP:
        raise UnsupportedError("a proof that needs sigmoid by exponentials")
    world, obligations = inductive(claim)
    form = NormalForm(found.theory, world.qualities)
    writer = _Writer(form, world.dims)
    goals = []
    for index, each in enumerate(obligations):
        left, right = writer.term(each.left), writer.term(each.right)
        steps = f"rewrite e_{left}, e_{right}. cbv beta. pointwise. {writer.algebra}."
        if left == right:
            steps = "reflexivity."
        what = each.what.replace("*)", "* )").replace("(*", "( *")
        goals.append(
            f"(* {each.role}: {what} *)\n"
            f"Theorem obligation_{index} : {left} = {right}.\n"
            f"Proof. {steps} Qed."
        )
    checks = "\n".join(f"Print Assumptions obligation_{k}." for k in range(len(goals)))
    title = f"(* {claim.name} in the theory {found.theory} *)"
    body = "\n".join([*writer.declarations(), *writer.lines, *goals])
    return f"{title}\n{PRELUDE}Section Claim.\n{body}\nEnd Claim.\n{checks}\n"


def _name(text: str) -> str:
    plus = text.replace("[t-", "_before").replace("[t+", "_after").replace("[t]", "_now")
    return "v_" + re.sub(r"\W", "_", plus.rstrip("]").replace(INVERSE, "_inv"))


class _Writer:
    """Definitions and lemmas for the terms of one claim."""

    def __init__(self, form: NormalForm, dims: dict[str, tuple[str, ...]]) -> None:
        self.form, self.dims = form, dims
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.vectors: set[str] = set()
        self.matrices: set[str] = set()
        self.functions: set[str] = set()
        self.inputs = {n for n, d in dims.items() if len(d) == 1 and d[0] != "hidden"}

    # What stands at the top: variables and what is known of them.

    def declarations(self) -> list[str]:
        found = [f"Variable {f} : R -> R." for f in sorted(self.functions)]
        for name in sorted(self.vectors):
            found += self._vector(name)
        for name in sorted({base(each) for each in self.matrices}):
            found += self._matrix(name)
        return found

    def _vector(self, name: str) -> list[str]:
        quality, coq = self.form.qualities.get(name, Quality.FREE), _name(name)
        if quality in SCALARS:
            known = [f"Variable {coq} : R."]
            extra = f"{coq} <> 0" if quality is Quality.NONZERO_SCALAR else ""
        else:
            known = [f"Variable {coq} : V."]
            extra = {
                Quality.NONZERO: f"forall i, {coq} i <> 0",
                Quality.POSITIVE: f"forall i, 0 < {coq} i",
                Quality.NONNEGATIVE: f"forall i, 0 <= {coq} i",
                Quality.SIGN: f"forall i, {coq} i * {coq} i = 1",
            }.get(quality, "")
        if extra:
            known += [f"Hypothesis H_{coq} : {extra}.", f"Hint Resolve H_{coq} : core."]
        return known

    def _matrix(self, name: str) -> list[str]:
        quality, coq = self.form.qualities.get(name, Quality.FREE), _name(name)
        inverse = f"{coq}_inv"
        if quality is Quality.PERMUTATION:
            return [
                f"Variables p_{coq} p_{inverse} : nat -> nat.",
                f"Hypothesis c_{coq} : forall i, p_{coq} (p_{inverse} i) = i.",
                f"Hypothesis c_{inverse} : forall i, p_{inverse} (p_{coq} i) = i.",
                f"Definition {coq} (a : V) : V := fun i => a (p_{coq} i).",
                f"Definition {inverse} (a : V) : V := fun i => a (p_{inverse} i).",
            ]
        if quality is Quality.DIAGONAL:
            diagonal = _name(f"diag({name})")
            return [
                f"Variable {diagonal} : V.",
                f"Definition {coq} (a : V) : V := fun i => {diagonal} i * a i.",
            ]
        known = []
        for each in [coq, *([inverse] if quality is Quality.INVERTIBLE else [])]:
            known += [
                f"Variable {each} : V -> V.",
                f"Hypothesis {each}_add : additive {each}.",
                f"Hypothesis {each}_hom : homogeneous {each}.",
            ]
        if quality is Quality.INVERTIBLE:
            known += [
                f"Hypothesis c_{coq} : forall a, {coq} ({inverse} a) = a.",
                f"Hypothesis c_{inverse} : forall a, {inverse} ({coq} a) = a.",
            ]
        return known

    # Polynomials, at a place of the vectors.

    def number(self, value: Number) -> str:
        exact = Fraction(value)
        if exact.denominator == 1:
            return f"({exact.numerator})" if exact < 0 else str(exact.numerator)
        return f"({exact.numerator} / {exact.denominator})"

    def poly(self, poly: Polynomial, at: str = "i") -> str:
        if not poly:
            return "0"
        return " + ".join(self.product(m, c, at) for m, c in sorted(poly.items()))

    def product(self, monomial: Monomial, value: Number, at: str) -> str:
        factors = [self.number(value)] if value != 1 or not monomial else []
        return " * ".join([*factors, *(self.power(a, p, at) for a, p in monomial)])

    def power(self, atom: int, exponent: Number, at: str) -> str:
        if exponent != int(exponent):
            raise UnsupportedError("a fractional power")
        text = self.atom(atom, at)
        product = " * ".join([text] * abs(int(exponent)))
        return f"({product})" if exponent > 0 else f"/ ({product})"

    def atom(self, atom: int, at: str) -> str:
        match self.form.atoms[atom]:
            case Variable(name):
                if not name.startswith("diag("):
                    self.vectors.add(name)
                return _name(name) if self.form.scalar[atom] else f"{_name(name)} {at}"
            case Applied(function, argument):
                return f"{self.function(function)} ({self.poly(dict(argument), at)})"
            case Exponential(monomial):
                return f"exp ({self.product(monomial, 1, at)})"
            case Reciprocal(of):
                return f"/ ({self.poly(dict(of), at)})"
            case Mapped(matrix, monomial):
                coq = self.matrix(matrix)
                if self.kind(matrix) is Quality.PERMUTATION:
                    return self.product(monomial, 1, f"(p_{coq} {at})")
                return f"{coq} (fun i => {self.product(monomial, 1, 'i')}) {at}"

    def kind(self, matrix: str) -> Quality:
        return self.form.qualities.get(base(matrix), Quality.FREE)

    def matrix(self, name: str) -> str:
        self.matrices.add(name)
        return _name(name)

    def function(self, name: str) -> str:
        if name not in CONCRETE:
            self.functions.add(f"f_{name}")
            return f"f_{name}"
        return FUNCTIONS.get(name, name)

    # Terms: a definition, and the lemma that it is its normal form.

    def term(self, root: Term) -> str:
        for term in below(root):
            if term.place not in self.names:
                self.names[term.place] = f"t{len(self.names)}"
                self._define(term)
        return self.names[root.place]

    def _define(self, term: Term) -> None:
        name = self.names[term.place]
        parts = [self.names[part.place] for part in term.parts]
        rewrites = " ".join(f"rewrite e_{part}." for part in dict.fromkeys(parts))
        body, proof = self._node(term, parts)
        canonical = self.poly(self.form.of(term))
        self.lines.append(f"Definition {name} : V := {body}.")
        self.lines.append(
            f"Lemma e_{name} : {name} = (fun i => {canonical}).\n"
            f"Proof. unfold {name}. {rewrites} cbv beta. {proof} Qed."
        )

    def _node(self, term: Term, parts: list[str]) -> tuple[str, str]:
        plain = f"pointwise. {self.algebra}."
        match term.kind:
            case "number":
                return f"fun i => {self.number(term.value)}", plain
            case "variable":
                self.vectors.add(term.name)
                scalar = self.form.scalar[self.form.variable(term.name)]
                return f"fun i => {_name(term.name)}{'' if scalar else ' i'}", plain
            case "add":
                return f"fun i => {parts[0]} i + {parts[1]} i", plain
            case "multiply":
                return f"fun i => {parts[0]} i * {parts[1]} i", plain
            case "divide":
                return f"fun i => {parts[0]} i / {parts[1]} i", plain
            case "apply":
                argument = self.form.of(term.parts[0])
                proof = f"pointwise. {self._applied(term.name, argument)} {self.algebra}."
                return f"fun i => {self.function(term.name)} ({parts[0]} i)", proof
            case _:
                proof = self._mapped(term.name, self.form.of(term.parts[0]))
                return f"{self.matrix(term.name)} {parts[0]}", proof

    @property
    def algebra(self) -> str:
        """The tactic for an equation between normal forms; the square of a sign is 1."""
        signs = [n for n, q in sorted(self.form.qualities.items()) if q is Quality.SIGN]
        if not signs:
            return "algebra"
        facts = " ".join(f"(H_{_name(name)} i)" for name in signs)
        return f"(first [ algebra | ring [{facts}] ])"

    def _applied(self, function: str, argument: Polynomial) -> str:
        """Return the rewriting that makes a function of a normal form its own normal form."""
        form = self.form
        if function == "ramp":
            function = "relu"
        result = applied(form, function, argument)
        text = self.poly(argument)
        if list(result.values()) == [1] and len(result) == 1:
            ((monomial, _),) = result.items()
            found = form.atoms[monomial[0][0]] if len(monomial) == 1 else None
            if isinstance(found, Applied) and dict(found.argument) == argument:
                return ""
        negative = scale(argument, -1)
        opposite = f"replace ({text}) with (- ({self.poly(negative)})) by {self.algebra}. "
        if not argument and function in ("sigmoid", "tanh", "relu"):
            return f"rewrite {function}_0."
        if function == "exp":
            return self._exp(argument)
        if function == "tanh" and form.theory >= Theory.TANH_SIGMOID:
            double = scale(argument, 2)
            inner = self._applied("sigmoid", double)
            return (
                f"unfold tanh_. replace (2 * ({text})) with ({self.poly(double)}) by algebra. "
                f"{inner}"
            )
        if function == "silu" and form.theory >= Theory.TANH_SIGMOID:
            return f"unfold silu. {self._applied('sigmoid', argument)}"
        if function in ("sigmoid", "tanh", "relu") and leading(argument) < 0:
            rest = self._applied(function, negative)
            lemma = {"sigmoid": "sigmoid_opp", "tanh": "tanh_opp", "relu": "relu_opp"}[function]
            return f"{opposite}rewrite {lemma}. {rest}"
        if function == "sigmoid" and form.theory >= Theory.EXP:
            exponent = self._exp(negative)
            return (
                f"unfold sigmoid. replace (- ({text})) with ({self.poly(negative)}) by algebra. "
                f"{exponent}"
            )
        sign = sign_of_all(form, argument)
        if sign is not None and function in ("sigmoid", "tanh"):
            plain = form.multiply(single(sign), argument)
            coq_sign = self.atom(sign, "i")
            known = f"(H_{coq_sign.removesuffix(' i')} i)"
            return (
                f"replace ({text}) with ({coq_sign} * ({self.poly(plain)})) by {self.algebra}. "
                f"rewrite (sign_{function} ({coq_sign}) ({self.poly(plain)}) {known}). "
                f"{self._applied(function, plain)}"
            )
        if function == "relu":
            return self._relu(argument, text)
        raise UnsupportedError(f"{function} of a sign or a scale")

    def _relu(self, argument: Polynomial, text: str) -> str:
        """Take a positive factor out of relu."""
        unit, rest = positive_unit(self.form, argument)
        if not unit:
            unit, rest = positive_factor(self.form, argument)
        factor = self.product(unit, 1, "i")
        if not unit:
            first = leading(argument)
            factor, rest = self.number(first), scale(argument, 1 / Fraction(first))
        return (
            f"replace ({text}) with ({factor} * ({self.poly(rest)})) by {self.algebra}. "
            f"rewrite (relu_scale ({factor}) ({self.poly(rest)})) by pos. "
            f"{self._applied('relu', rest)}"
        )

    def _exp(self, argument: Polynomial) -> str:
        """Split exp of a sum into a product, an integer multiple into a power."""
        pieces = []
        for monomial, value in sorted(argument.items()):
            if value != int(value):
                raise UnsupportedError("exp of a fraction")
            text = self.product(monomial, 1, "i")
            sign = "" if value > 0 else "- "
            pieces += [f"{sign}({text})"] * abs(int(value))
        if not pieces:
            return "rewrite exp_0."
        total = " + ".join(f"({piece})" for piece in pieces)
        return (
            f"replace ({self.poly(argument)}) with ({total}) by algebra. "
            "repeat rewrite exp_plus. repeat rewrite exp_Ropp."
        )

    def _mapped(self, matrix: str, argument: Polynomial) -> str:
        coq = self.matrix(matrix)
        quality = self.kind(matrix)
        if quality is Quality.PERMUTATION:
            plain = _name(base(matrix))
            cancel = f"repeat rewrite c_{plain}. repeat rewrite c_{plain}_inv."
            return f"pointwise. unfold {coq}. {cancel} first [ {self.algebra} | deep ]."
        if quality is Quality.DIAGONAL:
            return f"pointwise. unfold {coq}. {self.algebra}."
        parts = sorted(argument.items())
        steps = []
        for index in range(len(parts) - 1):
            head = self.poly(dict(parts[: len(parts) - 1 - index]))
            (monomial, value) = parts[len(parts) - 1 - index]
            tail = self.product(monomial, value, "i")
            steps.append(f"rewrite ({coq}_add (fun i => {head}) (fun i => {tail})).")
        for monomial, value in parts:
            outside = tuple(each for each in monomial if self.form.scalar[each[0]])
            inside = tuple(each for each in monomial if not self.form.scalar[each[0]])
            if value == 1 and not outside:
                continue
            factor = self.product(outside, value, "i")
            inner = self.product(inside, 1, "i")
            given = self.product(monomial, value, "i")
            steps.append(
                f"replace (fun i : nat => {given}) with (fun i : nat => ({factor}) * ({inner})) "
                f"by (pointwise; {self.algebra}). "
                f"rewrite ({coq}_hom ({factor}) (fun i => {inner}))."
            )
        if not argument:
            steps.append(
                f"replace (fun _ : nat => 0) with (fun i : nat => 0 * 0) by (pointwise; ring). "
                f"rewrite ({coq}_hom 0 (fun _ => 0))."
            )
        cancel = ""
        if quality is Quality.INVERTIBLE:
            cancel = f"repeat rewrite c_{coq}. "
        return " ".join(steps) + f" cbv beta. {cancel}pointwise. {self.algebra}."
