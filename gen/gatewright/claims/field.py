"""Terms in a random model over a finite field: a second opinion on every normal form.

Numbers are integers modulo the prime 2^61 - 1, matrices are random, and each function is a random
one that has the symmetries the theory gives it. Where two sides differ in this model, no proof in
the theory exists; where they agree, the chance that they only happen to is below 10^-15.

Why permanent: a rewriting rule that is wrong for signs or scalars shows here at once, on the claims
that ship, and nowhere in the output of a prover that believes its own rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction

from gatewright.claims.evaluate import Model, evaluate
from gatewright.claims.refute import sampled
from gatewright.claims.terms import Term, matrices, variables
from gatewright.claims.world import World

PRIME = (1 << 61) - 1
HALF = (PRIME + 1) // 2
SIZES = 3, 2
NUMBERS = tuple(Fraction(value) for value in random.Random(1).sample(range(1, PRIME), 997))


class Field:
    """Integers modulo a prime, with random functions that are odd, even or a sigmoid."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def number(self, value: Fraction) -> int:
        """Return a rational as a residue."""
        return value.numerator * pow(value.denominator, -1, PRIME) % PRIME

    def add(self, left: int, right: int) -> int:
        """Return the sum."""
        return (left + right) % PRIME

    def multiply(self, left: int, right: int) -> int:
        """Return the product."""
        return left * right % PRIME

    def divide(self, left: int, right: int) -> int:
        """Return the quotient. Raises ZeroDivisionError."""
        if right == 0:
            raise ZeroDivisionError("division by zero")
        return left * pow(right, -1, PRIME) % PRIME

    def function(self, name: str) -> Callable[[int], int]:
        """Return a random function with the symmetry of the named one.

        Raises KeyError for relu, exp and their kin, which a field has no model of.
        """
        if name in ("relu", "ramp", "exp", "softplus", "silu", "log", "sqrt"):
            raise KeyError(name)
        return lambda value: self._value(name, value)

    def _value(self, name: str, value: int) -> int:
        opposite = (PRIME - value) % PRIME
        match name:
            case "sigmoid":
                if value == 0:
                    return HALF
                if value < opposite:
                    return self._random(name, value)
                return (1 - self._random(name, opposite)) % PRIME
            case "tanh":
                return (2 * self._value("sigmoid", 2 * value % PRIME) - 1) % PRIME
            case "sin" | "softsign" | "hard_tanh":
                if value == 0:
                    return 0
                if value < opposite:
                    return self._random(name, value)
                return -self._random(name, opposite) % PRIME
            case "cos":
                return 1 if value == 0 else self._random(name, min(value, opposite))
            case _:
                return self._random(name, value)

    def _random(self, name: str, value: int) -> int:
        return random.Random(f"{self.seed}|{name}|{value}").randrange(PRIME)


def equal_in_field(left: Term, right: Term, world: World, seed: int = 0) -> bool | None:
    """Tell whether two terms agree in a random model; None if a function has no model."""
    rng = random.Random(seed)
    names: tuple[Sequence[str], Sequence[str]] = (
        sorted(variables([left, right])),
        sorted(matrices([left, right])),
    )
    dims = {dim for group in names for name in group for dim in world.dims.get(name, ())}
    sizes = {dim: SIZES[0] if dim == "hidden" else SIZES[1] for dim in dims | {"hidden"}}
    vectors, found = sampled(world, names, sizes, rng, NUMBERS)
    try:
        one, other = evaluate([left, right], Model(vectors, found, {}), Field(seed))
    except KeyError:
        return None
    length = max(len(one), len(other))
    return one * (length // len(one)) == other * (length // len(other))
