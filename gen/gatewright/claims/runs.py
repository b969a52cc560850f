"""Proved claims on random numbers: both cells run for some steps, in ball arithmetic.

A proof that is right survives every run: the enclosures of the observed values always overlap. One
disjoint pair would be a counterexample to what was proved.

Why in balls: a difference in floats could be rounding, and a tolerance would hide a small error.
A run in which an enclosure became wide counts for nothing, as wide ones overlap whatever is true.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gatewright.claims.balls import ARITHMETIC, UNIT, Ball
from gatewright.claims.claim import Claim
from gatewright.claims.evaluate import NO_VALUE, Model, evaluate, of_one_length
from gatewright.claims.obligations import Obligation, inductive, unrolled
from gatewright.claims.refute import instances_of, sampled
from gatewright.claims.terms import matrices, variables
from gatewright.claims.world import World

STEPS = 3
NUMBERS = tuple(Fraction(n, 16) for n in range(-24, 25))
WIDEST = UNIT >> 100  # in the units of a ball: an enclosure of 2^-100
TRIES = 4  # sets of numbers for each run that is wanted


@dataclass(frozen=True)
class Runs:
    """How many runs were made, how many sets of numbers allow none, how many runs disagreed."""

    made: int
    skipped: int
    disagreed: int


def random_runs(claim: Claim, count: int, seed: int = 0) -> Runs:
    """Run both cells of a claim `count` times on random numbers, for three steps.

    One, two and three hidden units take turns; abstract functions are odd, even and neither in
    turn. Other numbers take the place of those that allow no run: a divisor's enclosure contains
    zero, an exponent is too large, or an enclosure is wider than 2^-100. Fewer runs than `count`
    are made where three in four sets of numbers allow none.
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
    made = skipped = disagreed = 0
    while made < count and made + skipped < TRIES * count:
        index = made + skipped
        sizes = {dim: 1 + index % 3 if dim == "hidden" else 2 for dim in dims | {"hidden"}}
        vectors, found = sampled(world, names, sizes, rng, NUMBERS)
        model = Model(vectors, found, instances_of(claim, index // 3))
        try:
            values = evaluate(roots, model, ARITHMETIC)
        except NO_VALUE:
            skipped += 1
            continue
        if _widest(values) > WIDEST:
            skipped += 1
            continue
        made += 1
        disagreed += not all(map(_overlap, values[::2], values[1::2]))
    return Runs(made, skipped, disagreed)


def _widest(values: Iterable[Sequence[Ball]]) -> int:
    return max((ball.high - ball.low for vector in values for ball in vector), default=0)


def _overlap(left: list[Ball], right: list[Ball]) -> bool:
    return all(a.overlaps(b) for a, b in zip(*of_one_length(left, right), strict=True))
