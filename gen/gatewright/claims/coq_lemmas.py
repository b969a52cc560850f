"""Terms -> Coq: for every term a definition, and the lemma that it equals its normal form.

Each lemma is proved from those of the term's parts and one rule, so what Coq refuses points at the
rule that was wrong.

Why definitions of the terms and not of their normal forms: what a theorem speaks of is then what
the cells say, and the normal forms are only how it is proved.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gatewright.claims.coq_rules import Rules
from gatewright.claims.coq_text import Context, comment, coq_name
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.polynomial import Polynomial
from gatewright.claims.terms import Term, below


class Lemmas(Rules):
    """Definitions and lemmas of terms, in the order in which they need each other.

    `prefix` begins their names; several writers of one certificate have several. `told` says, by
    place, which terms are values of a cell.
    """

    def __init__(
        self,
        form: NormalForm,
        context: Context,
        prefix: str,
        told: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(form, context)
        self.prefix, self.told = prefix, told
        self.lines: list[str] = []
        self._names: dict[int, str] = {}
        self._given: dict[int, str] = {}

    def term(self, root: Term) -> str:
        """Return the name of a term's definition, which is written if it was not before."""
        for term in below(root):
            if term.place not in self._names:
                self._names[term.place] = f"{self.prefix}{len(self._names)}"
                self._define(term)
        return self._names[root.place]

    def take(self, variable: Term, value: Polynomial, equal: str, by: str) -> str:
        """Assume that a variable is what the Coq text `equal` says; return the hypothesis' name.

        `by` rewrites that text to the normal form `value`.
        """
        self.form.take(variable, value)
        self.context.vectors.add(variable.name)
        coq = coq_name(variable.name)
        self._given[variable.place] = f"rewrite G_{coq}. {by}"
        self.lines.append(f"Hypothesis G_{coq} : {coq} = {equal}.")
        return f"G_{coq}"

    def equation(self, name: str, left: Term, right: Term) -> None:
        """Write the lemma that two terms are equal, with all that is assumed in its section."""
        one, other = self.term(left), self.term(right)
        steps = f"rewrite e_{one}, e_{other}. cbv beta. pointwise. {self.algebra}."
        if one == other:
            steps = "reflexivity."
        self.lines.append(f"Lemma {name} : {one} = {other}.\nProof using All. {steps} Qed.")

    def nonnegative(self, name: str, term: Term) -> None:
        """Write the lemma that no element of a term is negative."""
        one = self.term(term)
        self.lines.append(
            f"Lemma {name} : forall i, 0 <= {one} i.\n"
            f"Proof using All. intro i. rewrite e_{one}. cbv beta. nonneg. Qed."
        )

    def _define(self, term: Term) -> None:
        name = self._names[term.place]
        parts = [self._names[part.place] for part in term.parts]
        rewrites = " ".join(f"rewrite e_{part}." for part in dict.fromkeys(parts))
        body, proof = self._node(term, parts)
        canonical = self.poly(self.form.of(term))
        if term.place in self.told:
            self.lines.append(comment(self.told[term.place]))
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
                self.context.vectors.add(term.name)
                scalar = self.form.scalar[self.form.variable(term.name)]
                given = self._given.get(term.place, "")
                return f"fun i => {coq_name(term.name)}{'' if scalar else ' i'}", given + plain
            case "add":
                return f"fun i => {parts[0]} i + {parts[1]} i", plain
            case "multiply":
                return f"fun i => {parts[0]} i * {parts[1]} i", plain
            case "divide":
                return f"fun i => {parts[0]} i / {parts[1]} i", plain
            case "apply":
                steps = self.function_steps(term.name, self.form.of(term.parts[0]))
                proof = f"pointwise. {steps} {self.algebra}."
                return f"fun i => {self.function(term.name)} ({parts[0]} i)", proof
            case _:
                proof = self.matrix_steps(term.name, self.form.of(term.parts[0]))
                return f"{self.matrix(term.name)} {parts[0]}", proof
