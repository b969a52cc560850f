"""Verdict -> blocks: one claim with its proof, or its counterexample and residuals.

Why separate from the page: the story of the famous claim shows the residuals of some readings
before all of them are shown in detail.
"""

from __future__ import annotations

from collections.abc import Iterator

from gatewright.claims.gradients import gradients
from gatewright.claims.pages import Block
from gatewright.claims.tell import claim_with, numbers
from gatewright.claims.training import training
from gatewright.claims.typeset import ClaimNaming, naming
from gatewright.claims.verdict import Proved, Refuted, Verdict

MEANING = (
    "Proved: for all hidden sizes, weights, inputs and lengths, by induction over the steps; each "
    "obligation is an identity of normal forms over the reals, and rounding is not spoken of. "
    "Refuted: at the exact numbers shown, interval arithmetic encloses the two values in disjoint "
    "intervals, and a second program that shares no code with the prover finds the same. A cell's "
    "name stands above a letter where both cells have one so called."
)


def detail(verdict: Verdict, told: bool) -> Iterator[Block]:
    """Yield what was found about a claim, and what is told of it."""
    claim = verdict.claim
    ties = [f"{alias}.{name}[t] = {expr}" for (alias, name), expr in claim.ties.items()]
    observed = [each.text for each in claim.observe]
    names = names_in(verdict)
    yield Block("claim", claim.statement, ((claim.name, verdict.word),), names)
    if ties:
        yield Block("text", f"Ties: {', '.join(f'`{tie}`' for tie in ties)}.", names=names)
    match verdict.finding:
        case Proved() as proof:
            for what, text in proof.normal_forms:
                yield Block("text", f"`{what}`, since both sides are", names=names)
                yield Block("formula", text, names=names)
            if proof.rules:
                used = "; ".join(f"`{rule}`" for rule, _ in proof.rules)
                yield Block("text", f"Used: {used}.")
            found = gradients(claim_with(claim, proof), proof.theory)
            yield Block("text", f"Gradients: {found}. Training: {'; '.join(training(claim))}.")
            for condition in proof.conditions:
                yield Block("text", f"Provided that {condition}.", names=names)
        case Refuted() as refuted:
            example = refuted.counterexample
            yield Block(
                "text",
                f"Not `{observed[example.observed]}`: at t = {example.step} the left side lies in "
                f"{example.left}, the right side in {example.right}, with",
                names=names,
            )
            yield Block("code", "\n".join(numbers(example)))
            yield from residual_blocks(verdict)
        case undecided:
            yield Block("text", f"{undecided.kind}: {undecided.tried}.")
    if told and claim.told:
        yield Block("text", claim.told, names=names)
    for link in claim.links:
        yield Block("link", link)


def _formulas(verdict: Verdict) -> tuple[str, ...]:
    match verdict.finding:
        case Proved() as proof:
            return tuple(text for pair in proof.normal_forms for text in pair)
        case Refuted() as refuted:
            return tuple(text for pair in refuted.residuals for text in pair)
        case _:
            return ()


def names_in(verdict: Verdict) -> ClaimNaming:
    """Return how everything that is shown of a claim names things."""
    claim = verdict.claim
    ties = [f"{alias}.{name}[t] = {expr}" for (alias, name), expr in claim.ties.items()]
    observed = [each.text for each in claim.observe]
    return naming(claim, *ties, *observed, *_formulas(verdict))


def residual_blocks(verdict: Verdict) -> Iterator[Block]:
    """Yield by how much one step from related states parts the two cells, and when it does not."""
    if not isinstance(verdict.finding, Refuted):
        return
    names = names_in(verdict)
    found = zip(verdict.finding.residuals, verdict.finding.vanishes, strict=True)
    for (what, text), condition in found:
        left, _, right = what.partition(" = ")
        yield Block(
            "text", f"One step from related states, `{left}` minus `{right}` is", names=names
        )
        yield Block("formula", text, names=names)
        if condition:
            yield Block("text", f"which is {condition}.", names=names)
