"""Proved claims on random numbers: both cells run for some steps, in ball arithmetic.

A proof that is right survives every run: the enclosures of the observed values always overlap. One
disjoint pair would be a counterexample to what was proved.

Why in balls: a difference in floats could be rounding, and a tolerance would hide a small error.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gatewright.claims.balls import ARITHMETIC
from gatewright.claims.claim import Claim
from gatewright.claims.evaluate import Model, evaluate
from gatewright.claims.obligations import Obligation, inductive, unrolled
from gatewright.claims.refute import instances_of, sampled
from gatewright.claims.terms import matrices, variables
from gatewright.claims.world import World

STEPS = 3
NUMBERS = tuple(Fraction(n, 16) for n in range(-24, 25))


@dataclass(frozen=True)
class Runs:
    """How many runs were made, how many had to be left out, and how many disagreed."""

    made: int
    skipped: int
    disagreed: int


def random_runs(claim: Claim, count: int, seed: int = 0) -> Runs:
    """Run both cells of a claim on random numbers; one, two and three hidden units in turn.

    Abstract functions are odd, even and neither in turn.

    A run is left out where a divisor's enclosure contains zero or an exponent is too large.
    """
    world = World(claim, "unroll")
    pairs = [pair for step in range(1, STEPS + 1) for pair in unrolled(claim, step, world)]
    return _runs(claim, world, pairs, count, seed)


def random_steps(claim: Claim, count: int, seed: int = 0) -> Runs:
    """Take one step from random states that the claim's state map relates, and observe.

    Raises MeaningError if the claim's values cannot be computed.
    """
    world, pairs = inductive(claim)
    return _runs(claim, world, pairs, count, seed)


def _runs(claim: Claim, world: World, pairs: Sequence[Obligation], count: int, seed: int) -> Runs:
    rng = random.Random(seed)
    roots = [term for pair in pairs for term in (pair.left, pair.right)]
    names = sorted(variables(roots)), sorted(matrices(roots))
    dims = {dim for group in names for name in group for dim in world.dims.get(name, ())}
    skipped = disagreed = 0
    for index in range(count):
        sizes = {dim: 1 + index % 3 if dim == "hidden" else 2 for dim in dims | {"hidden"}}
        vectors, found = sampled(world, names, sizes, rng, NUMBERS)
        try:
            values = evaluate(
                roots, Model(vectors, found, instances_of(claim, index // 3)), ARITHMETIC
            )
        except (ZeroDivisionError, OverflowError, KeyError, ValueError):
            skipped += 1
            continue
        for left, right in zip(values[::2], values[1::2], strict=True):
            length = max(len(left), len(right))
            one, other = left * (length // len(left)), right * (length // len(right))
            if any(not a.overlaps(b) for a, b in zip(one, other, strict=True)):
                disagreed += 1
                break
    return Runs(count - skipped, skipped, disagreed)
