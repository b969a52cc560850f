"""Verdict -> text: what was found about a claim, in the order in which a reader asks.

Why sentences and not fields: a proof is only useful to someone who sees what it assumes, and a
counterexample to someone who can put its numbers into both cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from gatewright.claims.claim import Claim
from gatewright.claims.gradients import gradients
from gatewright.claims.theory import Theory
from gatewright.claims.training import training
from gatewright.claims.verdict import Counterexample, Proved, Refuted, Undecided, Verdict
from gatewright.language.equation import parse

ASSUMES = {
    Theory.UF: "nothing is assumed of any function",
    Theory.PARITY: "of functions only their symmetry is used",
    Theory.TANH_SIGMOID: "tanh(a) = 2 sigmoid(2a) - 1 or exp(a + b) = exp(a) exp(b) is used",
    Theory.EXP: "sigmoid(a) = 1 / (1 + exp(-a)) is used",
}


def tell(verdict: Verdict) -> str:
    """Return the whole finding as text."""
    claim = verdict.claim
    lines = [f"{claim.name}: {verdict.word.upper()}", f"  {plain(claim.statement)}"]
    match verdict.finding:
        case Proved() as proved:
            lines += _proved(claim, proved)
        case Refuted() as refuted:
            lines += _refuted(claim, refuted)
        case Undecided(kind, tried):
            lines += [f"  {kind}", f"  {tried}"]
    if not verdict.as_expected:
        lines.append(f"  the claim file expects: {claim.expect}")
    return "\n".join(lines)


def _proved(claim: Claim, proof: Proved) -> Iterator[str]:
    yield (
        "  for all hidden sizes, weights, inputs and lengths, "
        f"in the theory {proof.theory}: {ASSUMES[proof.theory]}"
    )
    start = "zero states" if claim.initial == "zero" else "any related states"
    yield f"  from {start}, by induction over the steps with the state map"
    for state, value in proof.states.items():
        yield f"    {state} = {value}"
    for tie, steps in proof.lookahead.items():
        ahead = f"{steps} step{'s' * (steps != 1)} ahead"
        yield f"  the tie of {tie} looks {ahead}: no cell computed in order can keep it"
    for rule, count in proof.rules:
        yield f"  used {count} times: {rule}" if count > 1 else f"  used once: {rule}"
    for what, text in proof.normal_forms:
        yield f"  {what}"
        yield f"    both sides are {text}"
    for condition in proof.conditions:
        yield f"  provided that {condition}"
    yield f"  gradients: {gradients(claim_with(claim, proof), proof.theory)}"
    for remark in training(claim):
        yield f"  training: {remark}"
    if proof.size_to_test > 1:
        yield f"  a test by numbers would need {proof.size_to_test} hidden units to mean as much"


def plain(text: str) -> str:
    """Return a sentence without the backticks around its formulas."""
    return text.replace("`", "")


def claim_with(claim: Claim, proof: Proved) -> Claim:
    """Return the claim with the state map of its proof, if that was searched."""
    if claim.states:
        return claim
    states = {}
    for text, value in proof.states.items():
        alias, _, name = text.removesuffix("[t]").partition(".")
        states[alias, name] = parse(value, references=True)
    return replace(claim, states=states)


def _refuted(claim: Claim, refuted: Refuted) -> Iterator[str]:
    example = refuted.counterexample
    units = "1 hidden unit" if example.size == 1 else f"{example.size} hidden units"
    observed = claim.observe[example.observed]
    yield f"  first differs in step {refuted.step}, with {units}"
    if refuted.equal_with_one_unit:
        yield "  with one hidden unit the two are equal, so a test with one would not see it"
    yield f"  {observed.text} at t = {example.step}: left {example.left}, right {example.right}"
    yield from (f"    {line}" for line in numbers(example))
    for (what, text), condition in zip(refuted.residuals, refuted.vanishes, strict=True):
        yield f"  {what}: one step from related states differs by"
        yield f"    {text}"
        if condition:
            yield f"    {plain(condition)}"


def numbers(example: Counterexample) -> Iterator[str]:
    """Yield the numbers of a counterexample that are not 0, a line each."""
    for name, text in example.instances.items():
        yield f"{name}(a) = {text}"
    for name, matrix in example.matrices.items():
        if any(map(any, matrix)) and not name.endswith("^-1"):
            yield f"{name} = {_matrix(matrix)}"
    for name, vector in example.vectors.items():
        yield f"{name} = {_vector(vector)}"
    yield "and 0 for every other number"


def _vector(values: Sequence[Fraction]) -> str:
    return str(values[0]) if len(values) == 1 else f"({', '.join(map(str, values))})"


def _matrix(rows: Sequence[Sequence[Fraction]]) -> str:
    if len(rows) == len(rows[0]) == 1:
        return str(rows[0][0])
    return f"[{'; '.join(', '.join(map(str, row)) for row in rows)}]"
