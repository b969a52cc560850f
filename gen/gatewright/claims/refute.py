"""Terms that differ -> numbers at which they do: search in floats, shrink, certify in balls.

Candidates are small rationals. What was found is made smaller while a difference remains: first
towards 0, then 1 or -1. The last word has interval arithmetic: the enclosures of the two sides are
disjoint, so no rounding can have made the difference.

Why one unit first: the smallest counterexample is the one that a reader can do by hand; more units
are tried only where one unit cannot see the difference.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gatewright.claims.balls import ARITHMETIC as BALLS
from gatewright.claims.balls import Ball
from gatewright.claims.claim import Claim
from gatewright.claims.evaluate import (
    NO_VALUE,
    Arithmetic,
    Floats,
    Model,
    Vector,
    evaluate,
    of_one_length,
)
from gatewright.claims.obligations import Obligation
from gatewright.claims.terms import INVERSE, Term, matrices, variables
from gatewright.claims.theory import SCALARS, Quality
from gatewright.claims.verdict import Counterexample
from gatewright.claims.world import World

POOL = tuple(Fraction(n, 2) for n in (0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6))
UNIT_POOL = tuple(Fraction(n, 8) for n in (1, 2, 4, 6, 7))
# What an abstract function may be: odd, even and neither, all unlike sigmoid and tanh. An even one
# cannot tell a from -a, so each abstract function is each of them in turn.
INSTANCES = ("a / (1 + a * a)", "1 / (1 + a * a)", "a * a + a", "a * a * a - 1")
TRIES = 300
PROBES = 12
SMALLEST_GAP = 1e-3
SEEN_GAP = 1e-10  # what floats show beyond their rounding; balls have the last word
NUMBERS = Floats()
Slot = tuple[str, int, int | None]


@dataclass
class _Draft:
    """Numbers under search; `vectors` and `matrices` are changed in place while shrinking."""

    vectors: dict[str, list[Fraction]]
    matrices: dict[str, list[list[Fraction]]]
    functions: Mapping[str, str]

    def model(self) -> Model:
        return Model(self.vectors, self.matrices, self.functions)

    def get(self, slot: Slot) -> Fraction:
        name, row, column = slot
        return self.vectors[name][row] if column is None else self.matrices[name][row][column]

    def put(self, slot: Slot, value: Fraction) -> None:
        name, row, column = slot
        if column is None:
            self.vectors[name][row] = value
        else:
            self.matrices[name][row][column] = value


def square_matrices(world: World) -> frozenset[str]:
    """Return the matrices that are numbers when there is one hidden unit."""
    square = {name for name, dims in world.dims.items() if len(dims) == 2 and dims[0] == dims[1]}
    return frozenset(square | {name + INVERSE for name in square})


def certified(
    claim: Claim,
    world: World,
    pairs: Sequence[Obligation],
    differing: Sequence[int],
    step: int,
    equal_alone: bool,
) -> Counterexample | None:
    """Return a certified counterexample to one of the differing pairs, the smallest sizes first."""
    sizes = [(2, 1), (2, 2), (3, 2)] if equal_alone else [(1, 1), (2, 1), (2, 2), (3, 2)]
    turns = range(len(INSTANCES) if instances_of(claim) else 1)
    for (hidden, other), turn in itertools.product(sizes, turns):
        instances = instances_of(claim, turn)
        for which in differing:
            pair = pairs[which]
            search = _Search(world, pair.left, pair.right, instances, hidden, other)
            draft = search.found()
            if draft is None:
                continue
            gap, element = separation(pair.left, pair.right, draft.model())
            if gap:
                left, right = _enclosures(pair, draft.model(), element)
                return Counterexample(
                    step,
                    hidden,
                    search.sizes,
                    which,
                    element,
                    {n: tuple(v) for n, v in draft.vectors.items() if any(v)},
                    {n: tuple(map(tuple, m)) for n, m in draft.matrices.items()},
                    instances,
                    left.text(),
                    right.text(),
                )
    return None


def probe(claim: Claim, world: World, pair: Obligation, hidden: int) -> bool:
    """Tell whether a few random numbers already show a difference."""
    search = _Search(world, pair.left, pair.right, instances_of(claim), hidden, 1)
    return any(search.gap(search.sample()) > SMALLEST_GAP for _ in range(PROBES))


def surely_differs(claim: Claim, world: World, pair: Obligation, hidden: int) -> bool:
    """Tell whether random numbers show a difference for certain: their enclosures are disjoint."""
    search = _Search(world, pair.left, pair.right, instances_of(claim), hidden, 1)
    for _ in range(PROBES):
        draft = search.sample()
        wide = search.gap(draft) > SMALLEST_GAP
        if wide and separation(pair.left, pair.right, draft.model())[0]:
            return True
    return False


def instances_of(claim: Claim, turn: int = 0) -> dict[str, str]:
    """Return what stands for each abstract function of a claim in a counterexample."""
    functions = [name for name, symbol in claim.symbols.items() if symbol.kind == "function"]
    return {name: INSTANCES[(k + turn) % len(INSTANCES)] for k, name in enumerate(functions)}


def separation(left: Term, right: Term, model: Model) -> tuple[Fraction, int]:
    """Return a proven lower bound of the largest difference, and its element; 0 if none."""
    try:
        one, other = _values(left, right, model, BALLS)
    except NO_VALUE:
        return Fraction(0), 0
    gaps = [a.gap(b) for a, b in zip(one, other, strict=True)]
    best = max(range(len(gaps)), key=gaps.__getitem__)
    return gaps[best], best


def _enclosures(pair: Obligation, model: Model, element: int) -> tuple[Ball, Ball]:
    one, other = _values(pair.left, pair.right, model, BALLS)
    return one[element], other[element]


def _values(left: Term, right: Term, model: Model, arithmetic: Arithmetic) -> tuple[Vector, Vector]:
    one, other = evaluate([left, right], model, arithmetic)
    return of_one_length(one, other)


class _Search:
    """The search for numbers at one size."""

    def __init__(
        self,
        world: World,
        left: Term,
        right: Term,
        instances: Mapping[str, str],
        hidden: int,
        other: int,
    ) -> None:
        self.world, self.left, self.right, self.instances = world, left, right, instances
        self.vectors = sorted(variables([left, right]))
        self.matrices = sorted(matrices([left, right]))
        dims = {d for name in (*self.vectors, *self.matrices) for d in world.dims.get(name, ())}
        self.sizes = {d: hidden if d == "hidden" else other for d in sorted(dims | {"hidden"})}
        self.random = random.Random(0)

    def found(self) -> _Draft | None:
        """Return the widest of the first few differing samples, shrunken; else of all."""
        best: tuple[float, _Draft] | None = None
        seen = 0
        for _ in range(TRIES):
            draft = self.sample()
            gap = self.gap(draft)
            if gap > SEEN_GAP and (best is None or gap > best[0]):
                best = (gap, draft)
            seen += gap > SMALLEST_GAP
            if seen == 8:
                break
        return self.shrunken(*best) if best else None

    def gap(self, draft: _Draft) -> float:
        try:
            one, other = _values(self.left, self.right, draft.model(), NUMBERS)
        except (ZeroDivisionError, OverflowError, ValueError):
            return 0.0
        gaps = [abs(a - b) for a, b in zip(one, other, strict=True)]
        # NaN compares as nothing and is no difference.
        return max((gap for gap in gaps if gap == gap and gap < 1e9), default=0.0)

    def sample(self) -> _Draft:
        names = (self.vectors, self.matrices)
        vectors, found = sampled(self.world, names, self.sizes, self.random, POOL)
        return _Draft(vectors, found, self.instances)

    def slots(self, draft: _Draft) -> Iterator[Slot]:
        """Yield the numbers that may be made smaller, parameters of gates before inputs."""
        kept = {Quality.PERMUTATION, Quality.INVERTIBLE}
        for name, rows in draft.matrices.items():
            if self.world.qualities.get(name.removesuffix(INVERSE)) not in kept:
                for row, values in enumerate(rows):
                    for column in range(len(values)):
                        yield name, row, column
        for name, elements in draft.vectors.items():
            for row in range(len(elements)):
                yield name, row, None

    def shrunken(self, gap: float, draft: _Draft) -> _Draft:
        """Return numbers made as small as a quarter of the difference allows."""
        keep = min(gap / 4, 0.02)
        for _ in range(2):
            for slot in list(self.slots(draft)):
                old = draft.get(slot)
                quality = self.world.qualities.get(slot[0], Quality.FREE)
                for new in (Fraction(0), Fraction(1), Fraction(-1)):
                    if new == old or (abs(old) <= 1 and old.denominator == 1 and new):
                        break
                    if new not in pool(quality):
                        continue
                    draft.put(slot, new)
                    if self.gap(draft) >= keep:
                        break
                    draft.put(slot, old)
        return draft


def sampled(
    world: World,
    names: tuple[Sequence[str], Sequence[str]],
    sizes: Mapping[str, int],
    rng: random.Random,
    numbers: Sequence[Fraction],
) -> tuple[dict[str, list[Fraction]], dict[str, list[list[Fraction]]]]:
    """Return random values of vectors and matrices that are what is known of them."""
    vectors = {}
    for name in names[0]:
        quality, dims = world.qualities.get(name, Quality.FREE), world.dims[name]
        length = 1 if quality in SCALARS or not dims else sizes[dims[0]]
        vectors[name] = [rng.choice(pool(quality, numbers)) for _ in range(length)]
    found: dict[str, list[list[Fraction]]] = {}
    for name in names[1]:
        quality, dims = world.qualities.get(name, Quality.FREE), world.dims[name]
        matrix = _random_matrix(quality, sizes[dims[0]], sizes[dims[1]], rng, numbers)
        found[name] = matrix
        if quality in (Quality.PERMUTATION, Quality.INVERTIBLE):
            found[name + INVERSE] = inverted(matrix)
    return vectors, found


def _random_matrix(
    quality: Quality, rows: int, columns: int, rng: random.Random, numbers: Sequence[Fraction]
) -> list[list[Fraction]]:
    order = list(range(rows))
    rng.shuffle(order)

    def entry(row: int, column: int) -> Fraction:
        match quality:
            case Quality.PERMUTATION:
                return Fraction(int(order[row] == column))
            case Quality.DIAGONAL if row != column:
                return Fraction(0)
            case Quality.INVERTIBLE if row == column:
                return rng.choice((Fraction(1), Fraction(2), Fraction(-1)))
            case Quality.INVERTIBLE if row > column:
                return Fraction(0)
            case _:
                return rng.choice(numbers)

    return [[entry(row, column) for column in range(columns)] for row in range(rows)]


def pool(quality: Quality, numbers: Sequence[Fraction] = POOL) -> Sequence[Fraction]:
    """Return the numbers that a variable of some quality is sampled from."""
    match quality:
        case Quality.SIGN:
            return (Fraction(1), Fraction(-1))
        case Quality.UNIT:
            return UNIT_POOL
        case Quality.NONZERO | Quality.NONZERO_SCALAR:
            return tuple(value for value in numbers if value)
        case Quality.NONNEGATIVE:
            return tuple(value for value in numbers if value >= 0)
        case Quality.POSITIVE:
            return tuple(value for value in numbers if value > 0)
        case _:
            return numbers


def inverted(matrix: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """Return the inverse of a rational matrix by elimination. Raises StopIteration if singular."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i and rows[k][i]:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]
