"""Claim -> Verdict: prove by induction in the weakest theory, or find the first differing step.

Why proofs first: most true claims are proved within a millisecond, and a failed proof leaves the
residual that says what a counterexample must make visible.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from gatewright.claims.claim import Claim
from gatewright.claims.division import is_nonnegative
from gatewright.claims.normal_form import NormalForm, TooLargeError, small_model_bound
from gatewright.claims.obligations import Obligation, inductive, lookahead, unrolled
from gatewright.claims.polynomial import freeze, single
from gatewright.claims.refute import certified, probe, square_matrices
from gatewright.claims.residual import names_of, residuals
from gatewright.claims.show import show
from gatewright.claims.state_maps import candidates
from gatewright.claims.theory import Quality, Theory
from gatewright.claims.verdict import Finding, Proved, Refuted, Undecided, Verdict
from gatewright.claims.world import BEFORE, MeaningError, World

STEPS = 3


def decide(claim: Claim, steps: int = STEPS, explain: bool = True) -> Verdict:
    """Return the verdict on a claim; refutations look at the first `steps` steps.

    Without `explain`, a refutation comes without its residual, which takes most of the time.
    """
    began = time.perf_counter()
    try:
        finding = _decided(claim, steps, explain)
    except (MeaningError, TooLargeError, ZeroDivisionError) as problem:
        finding = Undecided("outside the fragment", str(problem))
    return Verdict(claim, finding, 1000 * (time.perf_counter() - began))


def _decided(claim: Claim, steps: int, explain: bool) -> Finding:
    if claim.states:
        found = proof(claim)
    else:
        found = next(filter(None, map(_searched, candidates(claim))), None)
    return found or refutation(claim, steps, explain)


def _searched(claim: Claim) -> Proved | None:
    """Try a state map that was found and not given: one that cannot be computed is none."""
    try:
        return proof(claim)
    except (MeaningError, TooLargeError):
        return None


def proof(claim: Claim) -> Proved | None:
    """Return the proof of a claim by its state map, in the weakest theory; None if there is none.

    Raises MeaningError if the claim's values cannot be computed.
    """
    world, obligations = inductive(claim)
    if not _invariants_hold(claim, world):
        return None
    for theory in Theory:
        form = NormalForm(theory, world.qualities)
        if all(not form.difference(each.left, each.right) for each in obligations):
            return _proved(claim, world, form, obligations)
    return None


def _proved(
    claim: Claim, world: World, form: NormalForm, obligations: Iterable[Obligation]
) -> Proved:
    # The map of a state that is observed too is the same identity.
    kept = {
        freeze(form.of(each.left)): each
        for each in reversed(list(obligations))
        if each.role != "initial"
    }
    names = names_of(claim, world, form)
    conditions = sorted(
        f"{show(form, single(atom))} is finite and not 0" for atom in form.conditions
    )
    return Proved(
        theory=form.theory,
        rules=tuple(sorted(form.rules.items())),
        conditions=tuple(conditions),
        lookahead=lookahead(claim),
        normal_forms=tuple(
            (each.what, show(form, dict(key), names)) for key, each in reversed(kept.items())
        ),
        states={f"{alias}.{name}[t]": str(expr) for (alias, name), expr in claim.states.items()},
        size_to_test=small_model_bound(form),
    )


def _invariants_hold(claim: Claim, world: World) -> bool:
    """Tell whether states assumed not to be negative stay so; zero states are not."""
    for (alias, name), quality in claim.qualities.items():
        if quality is not Quality.NONNEGATIVE or alias == claim.mapped:
            continue
        world.value(alias, name, BEFORE)
        form = NormalForm(Theory.TANH_SIGMOID, world.qualities)
        if not is_nonnegative(form, form.of(world.value(alias, name, 0))):
            return False
    return True


def refutation(claim: Claim, steps: int, explain: bool = True) -> Refuted | Undecided:
    """Return a certified counterexample at the first differing step, or why there is none."""
    world = World(claim, "unroll")
    for step in range(1, steps + 1):
        pairs = unrolled(claim, step, world)
        differing = [k for k, each in enumerate(pairs) if _differs(each, claim, world, 2)]
        if not differing:
            continue
        scalars = square_matrices(world)
        alone = not any(_differs(pairs[k], claim, world, 1, scalars) for k in differing)
        found = certified(claim, world, pairs, differing, step, alone)
        if found is not None:
            shown, vanishes = residuals(claim) if explain else ((), ())
            return Refuted(step, found, alone, shown, vanishes)
        tried = f"searched rational numbers at 1, 2 and 3 hidden units in step {step}"
        return Undecided("not derivable in the theory, no counterexample found", tried)
    tried = f"equal in steps 1 to {steps}"
    return Undecided("equal for the steps tried, no inductive state map", tried)


def _differs(
    pair: Obligation,
    claim: Claim,
    world: World,
    hidden: int,
    scalars: frozenset[str] = frozenset(),
) -> bool:
    """Tell whether two terms differ: numbers say so at once, else the strongest theories decide."""
    if probe(claim, world, pair, hidden):
        return True
    for theory in (Theory.PARITY, Theory.TANH_SIGMOID, Theory.EXP):
        form = NormalForm(theory, world.qualities, scalars)
        if not form.difference(pair.left, pair.right):
            return False
    return True
