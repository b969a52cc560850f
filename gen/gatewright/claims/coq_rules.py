"""Rules of the normal form -> Coq: the rewriting that carries one term to its normal form.

Each rule of `activations` and of linearity is one lemma of the prelude, or `ring` and `field`.

Why the rules are followed and not searched: what the prover did is known, so Coq only has to check
it, in the order in which it was done.
"""

from __future__ import annotations

from fractions import Fraction

from gatewright.claims.activations import applied, positive_factor, sign_of_all
from gatewright.claims.atoms import Applied
from gatewright.claims.coq_text import Notation, UnsupportedError, coq_name
from gatewright.claims.division import combined, positive_unit
from gatewright.claims.polynomial import Polynomial, leading, scale, single
from gatewright.claims.terms import base
from gatewright.claims.theory import Quality, Theory

OPPOSITE = {"sigmoid": "sigmoid_opp", "tanh": "tanh_opp", "relu": "relu_opp"}


class Rules(Notation):
    """Writes the proofs that a function or a matrix of a normal form is its own normal form."""

    @property
    def algebra(self) -> str:
        """The tactic for an equation between normal forms; the square of a sign is 1."""
        known = sorted(self.context.qualities.items())
        signs = [name for name, quality in known if quality is Quality.SIGN]
        if not signs:
            return "algebra"
        facts = " ".join(f"(H_{coq_name(name)} i)" for name in signs)
        return f"(first [ algebra | ring [{facts}] ])"

    def replaced(self, old: str, new: str) -> str:
        """Return the step that writes one polynomial in another way."""
        return f"replace ({old}) with ({new}) by {self.algebra}. "

    def function_steps(self, function: str, argument: Polynomial) -> str:
        """Return the rewriting that makes a function of a normal form its own normal form."""
        if function == "ramp":
            function = "relu"
        if self.form.theory >= Theory.TANH_SIGMOID:
            one = combined(self.form, argument)
            if one != argument:
                rest = self._steps(function, one)
                return self.replaced(self.poly(argument), self.poly(one)) + rest
        return self._steps(function, argument)

    def _steps(self, function: str, argument: Polynomial) -> str:
        form = self.form
        if self._is_atom(function, argument):
            return ""
        if not argument and function in ("sigmoid", "tanh", "relu"):
            return f"rewrite {function}_0."
        stronger = self._by_exponentials(function, argument)
        if stronger is not None:
            return stronger
        text = self.poly(argument)
        if function in OPPOSITE and leading(argument) < 0:
            negative = scale(argument, -1)
            return (
                f"{self.replaced(text, f'- ({self.poly(negative)})')}rewrite {OPPOSITE[function]}. "
                f"{self.function_steps(function, negative)}"
            )
        if function == "sigmoid" and form.theory >= Theory.EXP:
            negative = scale(argument, -1)
            return (
                f"unfold sigmoid. {self.replaced(f'- ({text})', self.poly(negative))}"
                f"{self._exp(negative)}"
            )
        sign = sign_of_all(form, argument)
        if sign is not None and function in ("sigmoid", "tanh"):
            plain = form.multiply(single(sign), argument)
            coq, inner = self.atom(sign), self.poly(plain)
            known = f"(H_{coq.removesuffix(' i')} i)"
            return (
                f"{self.replaced(text, f'{coq} * ({inner})')}"
                f"rewrite (sign_{function} ({coq}) ({inner}) {known}). "
                f"{self.function_steps(function, plain)}"
            )
        if function == "relu":
            return self._relu(argument, text)
        raise UnsupportedError(f"{function} of a sign or a scale")

    def _is_atom(self, function: str, argument: Polynomial) -> bool:
        result = applied(self.form, function, argument)
        if list(result.values()) != [1]:
            return False
        ((monomial, _),) = result.items()
        found = self.form.atoms[monomial[0][0]] if len(monomial) == 1 else None
        return isinstance(found, Applied) and dict(found.argument) == argument

    def _by_exponentials(self, function: str, argument: Polynomial) -> str | None:
        if function == "exp":
            return self._exp(argument)
        if self.form.theory < Theory.TANH_SIGMOID:
            return None
        if function == "tanh":
            double = scale(argument, 2)
            written = self.replaced(f"2 * ({self.poly(argument)})", self.poly(double))
            return f"unfold tanh_. {written}{self.function_steps('sigmoid', double)}"
        if function == "silu":
            return f"unfold silu. {self.function_steps('sigmoid', argument)}"
        return None

    def _relu(self, argument: Polynomial, text: str) -> str:
        """Take a positive factor out of relu."""
        unit, rest = positive_unit(self.form, argument)
        if not unit:
            unit, rest = positive_factor(self.form, argument)
        factor = self.product(unit, 1)
        if not unit:
            first = leading(argument)
            factor, rest = self.number(first), scale(argument, 1 / Fraction(first))
        inner = self.poly(rest)
        return (
            f"{self.replaced(text, f'{factor} * ({inner})')}"
            f"rewrite (relu_scale ({factor}) ({inner})) by pos. "
            f"{self.function_steps('relu', rest)}"
        )

    def _exp(self, argument: Polynomial) -> str:
        """Split exp of a sum into a product, an integer multiple into a power."""
        pieces = []
        for monomial, value in sorted(argument.items()):
            if value != int(value):
                raise UnsupportedError("exp of a fraction")
            text = self.product(monomial, 1)
            sign = "" if value > 0 else "- "
            pieces += [f"{sign}({text})"] * abs(int(value))
        if not pieces:
            return "rewrite exp_0."
        total = " + ".join(f"({piece})" for piece in pieces)
        split = "repeat rewrite exp_plus. repeat rewrite exp_Ropp."
        return self.replaced(self.poly(argument), total) + split

    def matrix_steps(self, matrix: str, argument: Polynomial) -> str:
        """Return the proof that a matrix of a normal form is its own normal form."""
        coq, quality = self.matrix(matrix), self.kind(matrix)
        if quality is Quality.PERMUTATION:
            plain = coq_name(base(matrix))
            cancel = f"repeat rewrite c_{plain}. repeat rewrite c_{plain}_inv."
            return f"pointwise. unfold {coq}. {cancel} first [ {self.algebra} | deep ]."
        if quality is Quality.DIAGONAL:
            return f"pointwise. unfold {coq}. {self.algebra}."
        steps = self._linear(coq, argument)
        cancel = f"repeat rewrite c_{coq}. " if quality is Quality.INVERTIBLE else ""
        return f"{steps} cbv beta. {cancel}pointwise. {self.algebra}."

    def _linear(self, coq: str, argument: Polynomial) -> str:
        """Push a matrix to the monomials, and what is one number in every element out of it."""
        if not argument:
            zero = "replace (fun _ : nat => 0) with (fun i : nat => 0 * 0) by (pointwise; ring). "
            return f"{zero}rewrite ({coq}_hom 0 (fun _ => 0))."
        parts = sorted(argument.items())
        steps = []
        for last in range(len(parts) - 1, 0, -1):
            head, tail = self.poly(dict(parts[:last])), self.product(*parts[last])
            steps.append(f"rewrite ({coq}_add (fun i => {head}) (fun i => {tail})).")
        for monomial, value in parts:
            outside = tuple(each for each in monomial if self.form.scalar[each[0]])
            inside = tuple(each for each in monomial if not self.form.scalar[each[0]])
            if value == 1 and not outside:
                continue
            factor, inner = self.product(outside, value), self.product(inside, 1)
            given = self.product(monomial, value)
            steps.append(
                f"replace (fun i : nat => {given}) with (fun i : nat => ({factor}) * ({inner})) "
                f"by (pointwise; {self.algebra}). "
                f"rewrite ({coq}_hom ({factor}) (fun i => {inner}))."
            )
        return " ".join(steps)
