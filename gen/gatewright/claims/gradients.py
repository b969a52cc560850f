"""Claim -> whether both sides have the same gradients: a verdict of its own.

Reverse mode over both sides of everything a step observes and preserves, so that it holds through
time; the adjoints are compared by normal forms.
By a sign or a permutation there is nothing to differentiate. Where an argument of relu, max or abs
is 0 a derivative is a convention, and two ways to write one function may follow two conventions.

Why at all: two sides that are one function have one gradient by the chain rule. That both reverse
programs compute it is what is decided here, and the exceptions are what a user would meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from gatewright.claims.activations import positive_factor
from gatewright.claims.atoms import Mapped
from gatewright.claims.claim import Claim
from gatewright.claims.differentiate import Adjoints, adjoints
from gatewright.claims.division import cleared, positive_unit
from gatewright.claims.identities import same_outers
from gatewright.claims.normal_form import NormalForm, TooLargeError
from gatewright.claims.obligations import inductive
from gatewright.claims.polynomial import Polynomial, add, freeze, leading, scale
from gatewright.claims.terms import INVERSE, TRANSPOSE, Term, Terms, base, below
from gatewright.claims.theory import SCALARS, Quality, Theory

Pairs = list[tuple[Term, Term]]
DISCRETE = frozenset({Quality.SIGN, Quality.PERMUTATION})
KINKED = frozenset({"relu", "ramp", "positive", "half", "sign"})


@dataclass(frozen=True)
class Gradients:
    """What was compared and what of it is not shown to be equal.

    `discrete` are symbols with nothing to differentiate by. With `kinks`, equality is shown where
    no argument of relu, max or abs is 0.
    """

    compared: int
    unshown: tuple[str, ...]
    discrete: tuple[str, ...]
    kinks: bool

    def __str__(self) -> str:
        if self.unshown:
            shown = self.compared - len(self.unshown)
            return f"unknown: normal forms show {shown} of {self.compared} to be equal"
        where = " where no argument of relu, max or abs is 0" if self.kinks else ""
        without = f"; by {' and '.join(self.discrete)} there is none" if self.discrete else ""
        return f"all {self.compared} are equal{where}{without}"


def gradients(claim: Claim, theory: Theory) -> Gradients:
    """Compare the gradients of both sides of what a claim observes and preserves, in a theory."""
    plain = _compared(claim, theory, False)
    return plain if not plain.unshown else _compared(claim, theory, True)


def _compared(claim: Claim, theory: Theory, kinks: bool) -> Gradients:
    world, obligations = inductive(claim)
    form = NormalForm(theory, world.qualities)
    compare = _Compare(world.terms, form, kinks)
    seen: set[str] = set()
    unshown: dict[str, None] = {}
    for index, each in enumerate(obligations):
        if each.role == "initial":
            continue
        seed = world.terms.variable(f"ct{index}")
        left = adjoints(world.terms, [(each.left, seed)])
        right = adjoints(world.terms, [(each.right, seed)])
        names = left.variables.keys() | right.variables.keys() | _matrices(left, right)
        for name in sorted(names - {f"ct{index}"}):
            if world.qualities.get(name) in DISCRETE:
                continue
            seen.add(name)
            if not compare.same(name, left, right):
                unshown[name] = None
    discrete = sorted(n for n, quality in world.qualities.items() if quality in DISCRETE)
    return Gradients(len(seen), tuple(unshown), tuple(discrete), kinks and not unshown)


def _matrices(left: Adjoints, right: Adjoints) -> set[str]:
    return {base(name) for name in left.matrices.keys() | right.matrices.keys()}


class _Compare:
    """Decides whether two adjoints are equal; `kinks` leaves out the points where one jumps."""

    def __init__(self, terms: Terms, form: NormalForm, kinks: bool) -> None:
        self.terms, self.form, self.kinks = terms, form, kinks
        self.steps: dict[object, Term] = {}
        self.smooth: dict[int, Term] = {}

    def same(self, name: str, left: Adjoints, right: Adjoints) -> bool:
        """Tell whether both sides have one gradient by a variable or a matrix."""
        quality = self.form.qualities.get(name)
        try:
            if name in _matrices(left, right):
                one, other = self._pairs(name, left), self._pairs(name, right)
                if quality is Quality.DIAGONAL:
                    return self._equal(self._diagonal(one), self._diagonal(other))
                return same_outers(self.form, one, other)
            zero = self.terms.zero
            one_term = self._away(left.variables.get(name, zero))
            other_term = self._away(right.variables.get(name, zero))
            if quality in SCALARS:
                return not self._summed(self.form.difference(one_term, other_term))
            return self._equal(one_term, other_term) or self._equal_by_matrix(one_term, other_term)
        except (TooLargeError, ZeroDivisionError):
            return False

    def _pairs(self, name: str, side: Adjoints) -> Pairs:
        """Return the outer products of a matrix, and of its inverse, d(1/P) = -(1/P) dP (1/P)."""
        terms = self.terms
        found = list(side.matrices.get(name, []))
        for one, other in side.matrices.get(name + INVERSE, []):
            outer = terms.negate(terms.map(f"{name}{INVERSE}{TRANSPOSE}", one))
            found.append((outer, terms.map(name + INVERSE, other)))
        return [(self._away(one), self._away(other)) for one, other in found]

    def _diagonal(self, pairs: Pairs) -> Term:
        total = self.terms.zero
        for one, other in pairs:
            total = self.terms.add(total, self.terms.multiply(one, other))
        return total

    def _equal(self, left: Term, right: Term) -> bool:
        return not self.form.difference(left, right)

    def _equal_by_matrix(self, left: Term, right: Term) -> bool:
        """Compare what each matrix is applied to: fractions under one matrix add up before it."""
        zero = self.terms.zero
        one, other = self._by_matrix(left), self._by_matrix(right)
        return all(
            self._equal(one.get(key, zero), other.get(key, zero))
            for key in one.keys() | other.keys()
        )

    def _by_matrix(self, root: Term) -> dict[str, Term]:
        """Write a sum as one argument per matrix, and the rest under no name."""
        terms, found = self.terms, dict[str, Term]()
        stack = [(root, Fraction(1))]
        while stack:
            term, factor = stack.pop()
            if term.kind == "add":
                stack += [(part, factor) for part in term.parts]
            elif term.kind == "multiply" and term.parts[0].kind == "number":
                stack.append((term.parts[1], factor * term.parts[0].value))
            else:
                key = term.name if term.kind == "map" else ""
                part = term.parts[0] if key else term
                part = terms.multiply(terms.number(factor), part)
                found[key] = terms.add(found.get(key, terms.zero), part)
        return found

    def _summed(self, poly: Polynomial, depth: int = 8) -> Polynomial:
        """Return a normal form of the sum of all elements: a . (W^T b) is (W a) . b."""
        form, result = self.form, Polynomial()
        for monomial, value in cleared(form, poly).items():
            atom = next((a for a, power in monomial if power == 1 and self._transposed(a)), None)
            if atom is None or not depth:
                result = add(result, {monomial: value})
                continue
            mapped = form.atoms[atom]
            assert isinstance(mapped, Mapped)
            rest = [each for each in monomial if each[0] != atom]
            outside = tuple(each for each in rest if form.scalar[each[0]])
            inside = tuple(each for each in rest if not form.scalar[each[0]])
            image = form.map(mapped.matrix.removesuffix(TRANSPOSE), {inside: 1})
            moved = form.multiply({form.times(mapped.monomial, outside): value}, image)
            result = add(result, self._summed(moved, depth - 1))
        return result

    def _transposed(self, atom: int) -> bool:
        found = self.form.atoms[atom]
        return isinstance(found, Mapped) and found.matrix.endswith(TRANSPOSE)

    # Away from kinks: relu(a) is a step(a), and a step is a number that does not change nearby.

    def _away(self, root: Term) -> Term:
        if not self.kinks:
            return root
        for term in below(root):
            if term.place not in self.smooth:
                parts = tuple(self.smooth[part.place] for part in term.parts)
                self.smooth[term.place] = self._one_away(term, parts)
        return self.smooth[root.place]

    def _one_away(self, term: Term, parts: tuple[Term, ...]) -> Term:
        if term.kind == "apply" and term.name in KINKED:
            return self._kinked(term, parts[0])
        return self.terms.with_parts(term, parts)

    def _kinked(self, term: Term, argument: Term) -> Term:
        terms = self.terms
        inner = term.parts[0]
        if inner.kind == "apply" and inner.name in ("relu", "ramp"):
            argument = self.smooth[inner.parts[0].place]  # step(relu(a)) = step(a)
        step = self._step(argument)
        if term.name in ("relu", "ramp"):
            return terms.multiply(argument, step)
        if term.name == "sign":
            return terms.subtract(terms.multiply(terms.number(2), step), terms.one)
        return step

    def _step(self, argument: Term) -> Term:
        """Return 1 where the argument is positive and 0 where it is negative, one variable for all
        arguments that have one sign."""
        form, terms = self.form, self.terms
        poly = form.of(argument)
        unit, rest = positive_unit(form, poly)
        _, rest = (unit, rest) if unit else positive_factor(form, poly)
        first = leading(rest)
        key = freeze(scale(rest, Fraction(1) / first))
        step = self.steps.setdefault(key, terms.variable(f"step{len(self.steps)}"))
        return step if first > 0 else terms.subtract(terms.one, step)
