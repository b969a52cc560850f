"""Term -> Polynomial: the normal form that decides whether two terms are equal.

A term becomes a polynomial over atoms: variables, functions of a normal form, matrices applied to
one monomial. Matrices are pushed to monomials by linearity; what is the same number in every
element is pulled out of them. Functions are rewritten by `activations`, division by `division`.

Sound in every theory: each rewrite is an identity over the reals, and what a division needs is
collected in `conditions`. Complete for +, -, *, rational numbers, matrices and functions in UF and
PARITY: there, terms are equal for all sizes and values if and only if their normal forms are.

Why one object per decision: atoms are numbered in order of appearance, so polynomials compare only
within one NormalForm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewright.claims import activations, division, roots
from gatewright.claims.atoms import Applied, Atom, Exponential, Mapped, Reciprocal, Variable
from gatewright.claims.polynomial import (
    Monomial,
    Polynomial,
    add,
    constant,
    single,
    tidy,
)
from gatewright.claims.terms import INVERSE, TRANSPOSE, Term, below
from gatewright.claims.theory import SCALARS, Quality, Theory

# A step of the catalogue's cells has a few dozen monomials; three steps of two cells, hundreds.
LARGEST_PRODUCT = 50_000


class TooLargeError(Exception):
    """A normal form that would take more time than it is worth."""


@dataclass
class NormalForm:
    """Normal forms in one theory, with what is known of the variables and matrices.

    `scalar_matrices` are taken as numbers: the model of one hidden unit.
    """

    theory: Theory = Theory.UF
    qualities: Mapping[str, Quality] = field(default_factory=dict)
    scalar_matrices: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.atoms: list[Atom] = []
        self.scalar: list[bool] = []  # whether atom k is one number in every element
        self.conditions: set[int] = set()  # atoms that must not be zero, or whose divisor must not
        self.rules: Counter[str] = Counter()
        self.has_roots = False
        self._numbers: dict[Atom, int] = {}
        self._known: dict[int, Polynomial] = {}
        self._images: dict[tuple[str, int], Polynomial] = {}

    def of(self, term: Term) -> Polynomial:
        """Return the normal form of a term."""
        if term.place not in self._known:
            for part in below(term):
                if part.place not in self._known:
                    self._known[part.place] = self._node(part)
        return self._known[term.place]

    def take(self, variable: Term, value: Polynomial) -> None:
        """Take a normal form as that of a variable, as if it had been substituted."""
        self._known[variable.place] = value

    def difference(self, left: Term, right: Term) -> Polynomial:
        """Return the normal form of `left - right`, divisors multiplied out; empty if equal."""
        return division.cleared(self, add(self.of(left), self.of(right), -1))

    def _node(self, term: Term) -> Polynomial:
        known, parts = self._known, term.parts
        match term.kind:
            case "number":
                return constant(tidy(term.value))
            case "variable":
                return single(self.variable(term.name))
            case "add":
                return add(known[parts[0].place], known[parts[1].place])
            case "multiply":
                return self.multiply(known[parts[0].place], known[parts[1].place])
            case "divide":
                return self.multiply(known[parts[0].place], self._inverse(parts[1]))
            case "apply":
                return activations.applied(self, term.name, known[parts[0].place])
            case _:
                return self.map(term.name, known[parts[0].place])

    def _inverse(self, term: Term) -> Polynomial:
        """Return 1 / term; of a product, the product of the inverses, which is written one way."""
        if term.kind == "multiply":
            return self.multiply(self._inverse(term.parts[0]), self._inverse(term.parts[1]))
        return division.inverse(self, self._known[term.place])

    def atom(self, atom: Atom, scalar: bool = False) -> int:
        """Return the number of an atom, a new one if it was not seen before."""
        number = self._numbers.get(atom)
        if number is None:
            number = len(self.atoms)
            self._numbers[atom] = number
            self.atoms.append(atom)
            self.scalar.append(scalar)
            is_root = isinstance(atom, Applied) and atom.function == "sqrt"
            self.has_roots |= is_root and self.theory >= Theory.TANH_SIGMOID
        return number

    def variable(self, name: str) -> int:
        """Return the atom of a variable."""
        return self.atom(Variable(name), self.qualities.get(name) in SCALARS)

    def quality(self, atom: int) -> Quality:
        """Return what is known of an atom."""
        found = self.atoms[atom]
        if isinstance(found, Variable):
            return self.qualities.get(found.name, Quality.FREE)
        return Quality.FREE

    def is_scalar(self, poly: Polynomial) -> bool:
        """Tell whether a polynomial is one number in every element."""
        return all(self.scalar[atom] for monomial in poly for atom, _ in monomial)

    def times(self, left: Monomial, right: Monomial) -> Monomial:
        """Return the product of two monomials; the square of a sign is 1."""
        if not left:
            return right
        if not right:
            return left
        exponents = dict(left)
        for atom, exponent in right:
            value = exponents.get(atom, 0) + exponent
            if self.quality(atom) is Quality.SIGN:
                value %= 2
            if value:
                exponents[atom] = value
            else:
                exponents.pop(atom, None)
        return tuple(sorted(exponents.items()))

    def multiply(self, left: Polynomial, right: Polynomial) -> Polynomial:
        """Return the product of two polynomials. Raises TooLargeError."""
        result: Polynomial = {}
        if len(left) * len(right) > LARGEST_PRODUCT:
            raise TooLargeError("a normal form grew too large")
        for first, one in left.items():
            for second, other in right.items():
                monomial = self.times(first, second)
                value = result.get(monomial, 0) + one * other
                if value:
                    result[monomial] = value
                else:
                    result.pop(monomial, None)
        return roots.settled(self, result) if self.has_roots else result

    def power(self, poly: Polynomial, exponent: int) -> Polynomial:
        """Return a power with a natural exponent."""
        result = constant(1)
        for _ in range(exponent):
            result = self.multiply(result, poly)
        return result

    def map(self, matrix: str, poly: Polynomial) -> Polynomial:
        """Return a matrix applied to a polynomial, pushed to its monomials."""
        matrix, name = self._settled(matrix)
        kind = self.qualities.get(name)
        if kind is Quality.DIAGONAL:
            self.rules["diagonal matrix = elementwise product"] += 1
            return self.multiply(single(self.atom(Variable(f"diag({matrix})"))), poly)
        if matrix in self.scalar_matrices:
            return self.multiply(single(self.atom(Variable(matrix), True)), poly)
        if len(poly) > 1:
            self.rules["W(a + b) = W a + W b"] += 1
        result: Polynomial = {}
        for monomial, coefficient in poly.items():
            outside = tuple(power for power in monomial if self.scalar[power[0]])
            inside = tuple(power for power in monomial if not self.scalar[power[0]])
            if kind is Quality.PERMUTATION:
                image = self._permuted(matrix, name, inside)
            else:
                image = self._mapped(matrix, name, kind, inside)
            result = add(result, self.multiply({outside: coefficient}, image))
        return result

    def _settled(self, matrix: str) -> tuple[str, str]:
        """Return a matrix with its transpose taken where that is known, and its bare name."""
        plain = matrix.removesuffix(TRANSPOSE)
        name = plain.removesuffix(INVERSE)
        if plain != matrix:
            kind = self.qualities.get(name)
            if kind is Quality.PERMUTATION:
                return (name if plain.endswith(INVERSE) else name + INVERSE), name
            if kind is Quality.DIAGONAL:
                return plain, name
        return matrix, name

    def _mapped(
        self, matrix: str, name: str, kind: Quality | None, monomial: Monomial
    ) -> Polynomial:
        if kind is Quality.INVERTIBLE and len(monomial) == 1 and monomial[0][1] == 1:
            inner = self._undone(matrix, name, monomial[0][0])
            if inner is not None:
                return {inner: 1}
        return single(self.atom(Mapped(matrix, monomial)))

    def _undone(self, matrix: str, name: str, atom: int) -> Monomial | None:
        """Return m if the atom is the inverse of `matrix` applied to m."""
        found = self.atoms[atom]
        pair = {matrix, found.matrix} if isinstance(found, Mapped) else set()
        marked = {name + TRANSPOSE, name + INVERSE + TRANSPOSE}
        if isinstance(found, Mapped) and pair in ({name, name + INVERSE}, marked):
            self.rules["inv(P) @ P = 1"] += 1
            return found.monomial
        return None

    def _permuted(self, matrix: str, name: str, monomial: Monomial) -> Polynomial:
        result = constant(1)
        if monomial:
            self.rules["permutation: P(a * b) = P a * P b, P f(a) = f(P a)"] += 1
        for atom, exponent in monomial:
            image = self._images.get((matrix, atom))
            if image is None:
                image = self._permuted_atom(matrix, name, atom)
                self._images[matrix, atom] = image
            if exponent < 0:
                image = division.inverse(self, image)
            result = self.multiply(result, self.power(image, abs(int(exponent))))
        return result

    def _permuted_atom(self, matrix: str, name: str, atom: int) -> Polynomial:
        match self.atoms[atom]:
            case Applied(function, argument):
                return activations.applied(self, function, self.map(matrix, dict(argument)))
            case Exponential(inner):
                return activations.applied(self, "exp", self.map(matrix, {inner: 1}))
            case Reciprocal(of):
                return division.inverse(self, self.map(matrix, dict(of)))
            case _:
                inner_monomial = self._undone(matrix, name, atom)
                if inner_monomial is not None:
                    return {inner_monomial: 1}
                return single(self.atom(Mapped(matrix, ((atom, 1),))))


def small_model_bound(form: NormalForm) -> int:
    """Return a hidden size at which terms of UF or PARITY that differ at all already differ.

    It is the largest number of distinct monomials under one matrix.
    """
    monomials: dict[str, set[Monomial]] = {}
    for atom in form.atoms:
        if isinstance(atom, Mapped):
            monomials.setdefault(atom.matrix, set()).add(atom.monomial)
    return max((len(found) for found in monomials.values()), default=1)
