"""Function table -> proved or not: each row is consistent with itself.

The partial derivatives of a row are those of its definition, and the stable form that kernels
compute is its definition. A function that branches is proved branch by branch, each for all its
arguments, by the same normal forms that decide claims.

What calculus says of exp, log, sqrt, sin and cos stands in `CALCULUS`; everything else follows from
definitions. Why not from the rows: they are what is to be proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from gatewright.claims.branches import Branch, Point, Signs, branch_at, values_at
from gatewright.claims.differentiate import adjoints
from gatewright.claims.evaluate import NO_VALUE
from gatewright.claims.formulas import RowScope, called, vector_of
from gatewright.claims.identities import Identities
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.terms import Term, Terms, rebuilt, variables
from gatewright.claims.theory import Theory
from gatewright.language.equation import parse
from gatewright.language.expression import Call, walk
from gatewright.language.functions import FUNCTIONS, Function
from gatewright.program.compile import Programs
from gatewright.program.ir import Assign, Reduction

CALCULUS = {
    "exp": Function("exp", ("x",), ("y",)),
    "log": Function("log", ("x",), ("1 / x",)),
    "sqrt": Function("sqrt", ("x",), ("1 / (2 * y)",)),
    "sin": Function("sin", ("x",), ("cos(x)",)),
    "cos": Function("cos", ("x",), ("-sin(x)",)),
}
PRIMITIVES = frozenset({*CALCULUS, "ramp", "positive", "half", "sign"})
BUILT_IN = frozenset({*PRIMITIVES, "max", "min", "abs"})

# Points in every branch that a row may take, by the number of arguments. Multiples of 1/4 are exact
# in balls, so a point on a kink is seen to be on it.
_LINE = (1, 3, 4, 8, 12, 20, 29)
_PAIRS = ((-1, 2), (2, -1), (1, 3), (3, 1), (-1, -3), (-3, -1), (-2, 1), (1, -2), (1, 1))
POINTS: dict[int, list[tuple[Fraction, ...]]] = {
    0: [()],
    1: [(Fraction(n, 4),) for n in (*_LINE, 0, *(-n for n in _LINE))],
    2: [(Fraction(a, 4), Fraction(b, 4)) for a, b in _PAIRS],
}


class Meanings:
    """What functions of the table mean: terms in which only primitives are applied.

    With `stable`, a row's stable form is preferred to its definition.
    """

    def __init__(self, terms: Terms, table: Mapping[str, Function], stable: bool = False) -> None:
        self.terms, self.table, self.stable = terms, table, stable

    def of(self, function: str, arguments: list[Term]) -> Term:
        """Return a function applied. Raises ValueError if the table does not say what it is."""
        if function == "log1p":
            return self.terms.apply("log", self.terms.add(self.terms.one, *arguments))
        if function in BUILT_IN:
            return called(self.terms, function, arguments)
        row = self.table[function]
        text = row.stable if self.stable or not row.definition else row.definition
        text = text or row.definition
        if not text:
            raise ValueError(f"`{function}` has neither a definition nor a stable form")
        return self.text(text, dict(zip(row.arguments, arguments, strict=True)))

    def text(self, text: str, known: Mapping[str, Term]) -> Term:
        """Return what a text of the table means."""
        return self.expanded(vector_of(self.terms, parse(text), RowScope(known)))

    def expanded(self, term: Term) -> Term:
        """Return a term with every function replaced by what it means."""

        def change(each: Term, parts: tuple[Term, ...]) -> Term | None:
            known = each.kind != "apply" or each.name in PRIMITIVES
            return None if known or each.name not in self.table else self.of(each.name, [*parts])

        return rebuilt(self.terms, term, change)


def functions_of(programs: Programs) -> tuple[str, ...]:
    """Return the functions that a cell's Programs call, and those their rows call in turn."""
    waiting = []
    for program in (programs.forward, programs.reverse):
        waiting += [item.expr for item in program.statements() if isinstance(item, Assign)]
        waiting += [item.expr for item in program.outers if isinstance(item, Reduction)]
    found: set[str] = set()
    while waiting:
        for node in walk(waiting.pop()):
            if isinstance(node, Call) and node.function not in found:
                found.add(node.function)
                row = FUNCTIONS[node.function]
                waiting += [parse(text) for text in (row.stable, *row.partials) if text]
    return tuple(sorted(found))


def rows_verified(
    functions: Iterable[str], table: Mapping[str, Function] = FUNCTIONS
) -> Identities:
    """Return the identities of the named rows. Raises TooLargeError."""
    found = Identities()
    for name in functions:
        row = table[name]
        terms = Terms()
        meaning = Meanings(terms, table)
        arguments = {argument: terms.variable(argument) for argument in row.arguments}
        value = meaning.of(name, [*arguments.values()])
        for argument, text in zip(row.arguments, row.partials, strict=True):
            partial = meaning.text(text, {**arguments, "y": value})
            what = f"{name}: its derivative is not {text}"
            branchwise(terms, value, partial, what, found, argument)
        if row.stable and row.definition:
            stable = Meanings(terms, table, stable=True).of(name, [*arguments.values()])
            branchwise(
                terms, value, stable, f"{name}: its stable form is not its definition", found
            )
    return found


def branchwise(
    terms: Terms, left: Term, right: Term, text: str, found: Identities, argument: str = ""
) -> None:
    """Decide `left = right` on every branch that the points lie in, and note each.

    With an `argument`, it is the derivative of `left` in it that is held against `right`; there is
    none on a kink, so points on one are left out.
    """
    groups: dict[Signs, tuple[Branch, list[Point]]] = {}
    for point in _points(left, right):
        try:
            values_at((left,), point)
            branch = branch_at(terms, (left, right), point, not argument)
        except NO_VALUE:
            continue
        if branch is not None:
            groups.setdefault(branch.signs, (branch, []))[1].append(point)
    if not groups:
        found.count += 1
        found.undecided.append(f"{text}: there is none at any of the points")
    for branch, points in groups.values():
        value, wanted = branch.terms
        if argument:
            known = adjoints(terms, [(value, terms.one)], CALCULUS).variables
            value = known.get(argument, terms.zero)
        _decided(value, wanted, points, text, found)


def _points(*roots: Term) -> list[Point]:
    names = sorted(variables(roots))
    rows = POINTS.get(len(names), [])
    return [dict(zip(names, row, strict=True)) for row in rows]


def _decided(left: Term, right: Term, points: list[Point], text: str, found: Identities) -> None:
    found.count += 1
    for theory in Theory:
        if not NormalForm(theory).difference(left, right):
            found.theory = max(found.theory, theory)
            return
    where = ", ".join(f"{name} = {value}" for name, value in points[0].items())
    text = f"{text} around {where}"
    for point in points:
        try:
            one, other = values_at((left, right), point)
        except NO_VALUE:
            continue
        if not one.overlaps(other):
            found.broken.append(text)
            return
    found.undecided.append(text)
