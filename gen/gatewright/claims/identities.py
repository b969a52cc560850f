"""Terms and terms -> proved, refuted or neither, one identity after the other.

An identity is proved by normal forms, in the weakest theory that does it, or refuted by random
numbers; a gradient of a matrix is compared as a sum of outer products.

Why one record for Programs, function rows and printed text: what `gatewright verify` says of each
is the same three things.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gatewright.claims.division import cleared
from gatewright.claims.evaluate import NO_VALUE, Floats, Model, evaluate
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.polynomial import Monomial, Polynomial, add
from gatewright.claims.terms import TRANSPOSE, Term, Terms, matrices, variables
from gatewright.claims.theory import Quality, Theory
from gatewright.language.cell import Dims

HIDDEN: Dims = ("hidden",)
SIZES = {"hidden": 3, "input": 2}
PROBES = 5
Pairs = list[tuple[Term, Term]]


@dataclass
class Identities:
    """How many identities were looked at, and the theory that proves them.

    `broken` has a sentence for each that numbers refute, `undecided` for each that is neither
    proved nor refuted.
    """

    count: int = 0
    broken: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    theory: Theory = Theory.UF

    @property
    def word(self) -> str:
        """`fail`, `inconclusive` or `pass`."""
        return "fail" if self.broken else "inconclusive" if self.undecided else "pass"


class Comparison:
    """Decides identities between terms of one table and counts them in `found`.

    `qualities` says which variables are scalars, `dims` the dimensions of all that numbers are to
    be drawn for.
    """

    def __init__(
        self, terms: Terms, qualities: Mapping[str, Quality], dims: Mapping[str, Dims]
    ) -> None:
        self.terms, self.dims = terms, dims
        self.found = Identities()
        self.forms = [NormalForm(theory, qualities) for theory in Theory]

    def note(self, left: Pairs | None, right: Pairs, text: str) -> None:
        """Decide whether two sums of outer products are equal; None stands for what is missing."""
        self.found.count += 1
        if left is None:
            self.found.broken.append(text)
            return
        if _in_order(left) == _in_order(right):
            return
        # One draw of numbers costs less than the normal forms of a long wrong term.
        if differ(left, right, self.dims, 1):
            self.found.broken.append(text)
            return
        for form in self.forms:
            if same_outers(form, left, right):
                self.found.theory = max(self.found.theory, form.theory)
                return
        if differ(left, right, self.dims):
            self.found.broken.append(text)
        else:
            self.found.undecided.append(text)

    def equal(self, left: Term | None, right: Term, text: str) -> None:
        """Decide whether two terms are equal."""
        one = self.terms.one
        self.note(None if left is None else [(left, one)], [(right, one)], text)


def _in_order(pairs: Pairs) -> list[tuple[int, int]]:
    return sorted((one.place, other.place) for one, other in pairs)


def same_outers(form: NormalForm, left: Pairs, right: Pairs) -> bool:
    """Tell whether two sums of outer products are equal: by the monomials on the right side."""
    by_right: dict[Monomial, Polynomial] = {}
    for sign, pairs in ((1, left), (-1, right)):
        for one, other in pairs:
            first = form.of(one)
            for monomial, value in form.of(other).items():
                outside = tuple(power for power in monomial if form.scalar[power[0]])
                inside = tuple(power for power in monomial if not form.scalar[power[0]])
                part = form.multiply(first, {outside: value})
                by_right[inside] = add(by_right.get(inside, {}), part, sign)
    return all(not cleared(form, poly) for poly in by_right.values())


def differ(left: Pairs, right: Pairs, dims: Mapping[str, Dims], probes: int = PROBES) -> bool:
    """Tell whether random numbers show two sums of outer products to be different."""
    rng = random.Random(0)
    roots = [term for pair in (*left, *right) for term in pair]
    return any(_apart(left, right, roots, dims, rng) for _ in range(probes))


def _apart(
    left: Pairs, right: Pairs, roots: list[Term], dims: Mapping[str, Dims], rng: random.Random
) -> bool:
    def draw() -> Fraction:
        return Fraction(rng.randint(-64, 64), 64)

    vectors = {}
    for name in sorted(variables(roots)):
        known = dims.get(name, dims.get(name.removeprefix("ct_").removesuffix("_next"), HIDDEN))
        vectors[name] = [draw() for _ in range(SIZES.get(known[0], 2) if known else 1)]
    found: dict[str, list[list[Fraction]]] = {}
    for name in sorted(matrices(roots)):
        rows, columns = (SIZES.get(dim, 2) for dim in dims[name])
        found[name] = [[draw() for _ in range(columns)] for _ in range(rows)]
        found[name + TRANSPOSE] = [list(row) for row in zip(*found[name], strict=True)]
    try:
        values = evaluate(roots, Model(vectors, found, {}), Floats())
    except NO_VALUE:
        return False
    one = _summed(values[: 2 * len(left)])
    other = _summed(values[2 * len(left) :])
    keys = one.keys() | other.keys()
    scale = max((abs(v) for v in (*one.values(), *other.values())), default=1.0)
    return any(abs(one.get(k, 0.0) - other.get(k, 0.0)) > 1e-9 * max(scale, 1) for k in keys)


def _summed(values: list[list[float]]) -> dict[tuple[int, int], float]:
    total: dict[tuple[int, int], float] = {}
    width = max((len(value) for value in values[::2]), default=1)
    for first, second in zip(values[::2], values[1::2], strict=True):
        for i, a in enumerate(first * width if len(first) == 1 else first):
            for j, b in enumerate(second):
                total[i, j] = total.get((i, j), 0.0) + a * b
    return total
