"""Claim -> Coq: a certificate that Coq's kernel checks, for all sizes and sequences of any length.

The file defines one step of both cells as the claim has them, the run of both over a sequence, and
the relation that the state map states. It proves that related states stay related and that related
states show equal values in a step, and from that by induction: from related states, and from zero
states if the claim begins there, everything observed is equal at every step.

Why the run is defined in each file: a theorem about this claim's two cells, over all inputs, is
what a reader wants to see; a general lemma and a list of obligations would leave the rest to trust.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gatewright.claims.claim import Claim, Owned
from gatewright.claims.coq_lemmas import Lemmas
from gatewright.claims.coq_prelude import PRELUDE
from gatewright.claims.coq_text import Context, UnsupportedError, comment, coq_name, in_step
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.prove import proof
from gatewright.claims.state_maps import candidates
from gatewright.claims.terms import Term, variables
from gatewright.claims.theory import SCALARS, Quality, Theory
from gatewright.claims.world import BEFORE, World
from gatewright.language.references import Reference, index_text, read_reference

THEOREM, FROM_ZERO = "equal_at_every_step", "equal_from_zero"


def certificate(claim: Claim) -> str:
    """Return the Coq file that proves a claim.

    Raises UnsupportedError if the claim is not proved, or its proof cannot be written in Coq.
    """
    tried = ((each, proof(each)) for each in ([claim] if claim.states else candidates(claim)))
    found = next(((each, got.theory) for each, got in tried if got), None)
    if found is None:
        raise UnsupportedError("the claim is not proved")
    return written(*found)


def written(claim: Claim, theory: Theory) -> str:
    """Return the Coq file that states a claim, with the proof that a theory gives if it is true.

    Nothing is decided here: of a false claim Coq refuses the file.
    """
    return _Certificate(claim, theory).text()


@dataclass(frozen=True)
class _Named:
    """A lemma of one step: its name, its sides, and what it says."""

    name: str
    left: Term
    right: Term
    what: str


class _Certificate:
    """One claim on its way to Coq; both cells step from states of their own."""

    def __init__(self, claim: Claim, theory: Theory) -> None:
        self.claim, self.theory = claim, theory
        # Without its map the world has free states on both sides: the cells as they are.
        self.world = World(replace(claim, states={}), "induct")
        self.states: dict[Owned, Term] = {
            (side.alias, state.name): self.world.value(side.alias, state.name, BEFORE)
            for side in claim.sides
            for state in side.cell.states
        }
        value = self.world.value
        self.next = {owned: value(*owned, 0) for owned in self.states}
        self.maps = {owned: self._formula(owned, BEFORE) for owned in claim.states}
        self.observed = [
            _Named(
                f"observed_{k}",
                self.world.formula(each.left, 0),
                self.world.formula(each.right, 0),
                each.text,
            )
            for k, each in enumerate(claim.observe)
        ]
        self.preserved = [
            _Named(
                f"preserved_{k}", self.next[owned], self._formula(owned, 0), self._mapping(owned)
            )
            for k, owned in enumerate(claim.states)
        ]
        self.signs = [
            owned
            for owned, quality in claim.qualities.items()
            if quality is Quality.NONNEGATIVE and owned in self.states and owned not in self.maps
        ]
        self._check()
        mapped = {self.states[owned].name for owned in self.maps}
        known = {n: q for n, q in self.world.qualities.items() if n not in mapped}
        self.context = Context(known)
        self.context.vectors |= {term.name for term in self.states.values()}
        self.step = Lemmas(NormalForm(theory, known), self.context, "t", self._told())
        self.start = Lemmas(NormalForm(theory, known), self.context, "z")

    def _formula(self, owned: Owned, step: int) -> Term:
        return self.world.formula(self.claim.states[owned], step)

    def _mapping(self, owned: Owned) -> str:
        return f"{owned[0]}.{owned[1]}[t] = {self.claim.states[owned]}"

    def _told(self) -> dict[int, str]:
        """Say which terms are values of the cells."""
        told = {term.place: f"{'.'.join(owned)}[t]" for owned, term in self.next.items()}
        for side in self.claim.sides:
            for equation in side.cell.equations:
                if equation.dims and not equation.target.endswith("'"):
                    term = self.world.value(side.alias, equation.target, 0)
                    told.setdefault(term.place, f"{side.alias}.{equation.target}[t]")
        return told

    def _check(self) -> None:
        for term in self.states.values():
            if self.world.qualities.get(term.name) in SCALARS:
                raise UnsupportedError("a state that is one number")

    # The file.

    def text(self) -> str:
        step, zero = self._step(), self._start() if self.claim.initial == "zero" else []
        run = self._run(bool(zero))
        fields = "; ".join(f"{_field(owned)} : V" for owned in self.states)
        theorems = [THEOREM, *([FROM_ZERO] if zero else [])]
        lines = [
            comment(f"{self.claim.name}, in the theory {self.theory}: {self.claim.statement}"),
            f"{PRELUDE}{comment('The states of both cells.')}",
            f"Record State := Cells {{ {fields} }}.",
            "Section Claim.",
            *self.context.declarations(),
            *step,
            *zero,
            *run,
            "End Claim.",
            *(f"Print Assumptions {name}." for name in theorems),
        ]
        return "\n".join(lines) + "\n"

    def _step(self) -> list[str]:
        """One step from related states: what it computes, preserves and shows."""
        writer = self.step
        for owned, mapped in self.maps.items():
            # Read before it is assumed: a map gives one cell's states by the other's.
            name = writer.term(mapped)
            writer.take(self.states[owned], writer.form.of(mapped), name, f"rewrite e_{name}. ")
        for each in (*self.observed, *self.preserved):
            writer.lines.append(comment(f"{each.name}: {each.what}"))
            writer.equation(each.name, each.left, each.right)
        for k, owned in enumerate(self.signs):
            writer.lines.append(comment(f"{'.'.join(owned)} stays 0 or more"))
            writer.nonnegative(f"stays_{k}", self.next[owned])
        for term in self.next.values():
            writer.term(term)
        self.order = sorted(name for name in self.context.vectors if in_step(name))
        known = (line for name in self.order for line in self.context.vector(name))
        return ["Section Step.", *known, *writer.lines, "End Step."]

    def _start(self) -> list[str]:
        """Zero states are related: the map of zero is zero."""
        writer, zero = self.start, self.world.terms.zero
        bases = [term for owned, term in self.states.items() if owned not in self.maps]
        for term in bases:
            writer.take(term, {}, "(fun _ => 0)", "")
        for k, owned in enumerate(self.maps):
            what = f"{owned[0]}.{owned[1]}[0] = 0"
            writer.lines.append(comment(f"start_{k}: {what}"))
            writer.equation(f"start_{k}", zero, self.maps[owned])
        read = variables(self.maps.values()) | {term.name for term in bases}
        self.read_at_start = sorted(name for name in read if in_step(name))
        known = (f"Variable {coq_name(name)} : V." for name in self.read_at_start)
        return ["Section Start.", *known, *writer.lines, "End Start."]

    def _run(self, from_zero: bool) -> list[str]:
        """The run over a sequence, and the induction over its steps."""
        sequences = sorted({_sequence(name) for name in self.order if not self._is_state(name)})
        nexts = " ".join(f"({self._at(self.next[owned])})" for owned in self.states)
        related = [f"{_field(owned)} s = {self._at(term)}" for owned, term in self.maps.items()] + [
            f"(forall i, 0 <= {_field(owned)} s i)" for owned in self.signs
        ]
        shown = [f"{self._at(e.left)} = {self._at(e.right)}" for e in self.observed]
        hypotheses = [f"R{k}" for k in range(len(related))]
        kept = [each.name for each in self.preserved]
        kept += [f"stays_{k}" for k in range(len(self.signs))]
        seen = [each.name for each in self.observed]
        return [
            *(f"Variable {name} : nat -> V." for name in sequences),
            comment("What both cells compute in step k + 1 from their states after step k."),
            f"Definition step (k : nat) (s : State) : State := Cells {nexts}.",
            "Fixpoint run (s : State) (k : nat) : State :=",
            "  match k with O => s | S j => step j (run s j) end.",
            comment(f"States after step k that the map relates: {self._maps_told()}"),
            f"Definition related (k : nat) (s : State) : Prop := {_all(related)}.",
            comment(f"In step k + 1: {'; '.join(each.what for each in self.observed)}"),
            f"Definition observed (k : nat) (s : State) : Prop := {_all(shown)}.",
            "Lemma kept k s : related k s -> related (S k) (step k s).",
            f"Proof. {_intros(hypotheses)}exact {self._proofs(kept, hypotheses)}. Qed.",
            "Lemma seen k s : related k s -> observed k s.",
            f"Proof. {_intros(hypotheses)}exact {self._proofs(seen, hypotheses)}. Qed.",
            "Lemma always_related s k : related 0 s -> related k (run s k).",
            "Proof. intro R. induction k as [| k IH]; [exact R | exact (kept k _ IH)]. Qed.",
            comment("For every sequence, every length and all related states to begin with."),
            f"Theorem {THEOREM} (s : State) : related 0 s -> forall k, observed k (run s k).",
            "Proof. intros R k. exact (seen k _ (always_related s k R)). Qed.",
            *(self._from_zero() if from_zero else []),
        ]

    def _from_zero(self) -> list[str]:
        zero = f"Cells {' '.join('(fun _ => 0)' for _ in self.states)}"
        given = [
            *(self._argument(name, "zero", "0") for name in self.read_at_start),
            *("eq_refl" for owned in self.states if owned not in self.maps),
        ]
        # `z` names what `t` names, with the same meaning, so each fits by conversion.
        starts = [f"(start_{k} {' '.join(given)})" for k in range(len(self.maps))]
        starts += ["(fun _ => Rle_refl 0)" for _ in self.signs]
        return [
            comment("The same from zero states."),
            f"Definition zero : State := {zero}.",
            f"Theorem {FROM_ZERO} : forall k, observed k (run zero k).",
            f"Proof. apply {THEOREM}. exact {_conjunction(starts)}. Qed.",
        ]

    # How what a step speaks of is said of a run.

    def _is_state(self, name: str) -> bool:
        return any(term.name == name for term in self.states.values())

    def _argument(self, name: str, state: str = "s", k: str = "k") -> str:
        """Say of a run what a variable of a step is: a state after step k or an input."""
        reference = read_reference(name)
        assert isinstance(reference, Reference) and reference.shift is not None
        if self._is_state(name):
            return f"({_field((reference.cell, reference.name))} {state})"
        if reference.shift < -1:
            raise UnsupportedError("a value from more than one step before")
        later = k
        for _ in range(reference.shift + 1):
            later = f"(S {later})"
        return f"({_sequence(name)} {later})"

    def _at(self, term: Term) -> str:
        read = variables([term])
        arguments = [self._argument(name) for name in self.order if name in read]
        return " ".join([self.step.term(term), *arguments])

    def _proofs(self, lemmas: list[str], hypotheses: list[str]) -> str:
        """Apply lemmas of a step: all its variables, what is known of them, what is assumed."""
        given = []
        signs = {self.states[owned].name: k for k, owned in enumerate(self.signs)}
        for name in self.order:
            given.append(self._argument(name))
            if name in signs:
                given.append(hypotheses[len(self.maps) + signs[name]])
        given += hypotheses[: len(self.maps)]
        return _conjunction([f"({' '.join([name, *given])})" for name in lemmas])

    def _maps_told(self) -> str:
        return "; ".join(self._mapping(owned) for owned in self.maps) or "all"


def _field(owned: Owned) -> str:
    return f"s_{owned[0]}_{owned[1]}"


def _sequence(name: str) -> str:
    """Return what a sequence is called in Coq: `in_x` for the input `x[t]`."""
    reference = read_reference(name)
    assert isinstance(reference, Reference)
    bare = name.removesuffix(index_text(reference.shift))
    return coq_name(bare).replace("v_", "in_", 1)


def _all(parts: list[str]) -> str:
    return " /\\ ".join(f"({part})" for part in parts) or "True"


def _intros(hypotheses: list[str]) -> str:
    if not hypotheses:
        return "intros _. "
    if len(hypotheses) == 1:
        return f"intros {hypotheses[0]}. "
    return f"intros ({' & '.join(hypotheses)}). "


def _conjunction(proofs: list[str]) -> str:
    if not proofs:
        return "I"
    *rest, last = proofs
    for each in reversed(rest):
        last = f"(conj {each} {last})"
    return last


__all__ = ["UnsupportedError", "certificate", "written"]
