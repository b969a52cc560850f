"""Term -> adjoints: reverse mode over terms, by the partial derivatives of the function table.

The adjoint of a variable is a term; the gradient of a matrix is a sum of outer products, kept as
pairs of terms. The adjoint of a scalar variable is the vector whose elements add up to it.

Why a second reverse mode beside the compiler's: what the compiler derived is held against this one,
which knows nothing of names, stages or saved values and is a quarter of its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gatewright.claims.formulas import RowScope, exact, vector_of
from gatewright.claims.terms import TRANSPOSE, Term, Terms, below
from gatewright.language.equation import parse
from gatewright.language.functions import FUNCTIONS, Function


@dataclass
class Adjoints:
    """What reverse mode found: terms by variable, and pairs (left, right) by matrix."""

    variables: dict[str, Term] = field(default_factory=dict)
    matrices: dict[str, list[tuple[Term, Term]]] = field(default_factory=dict)


def adjoints(
    terms: Terms,
    seeds: Iterable[tuple[Term, Term]],
    table: Mapping[str, Function] = FUNCTIONS,
) -> Adjoints:
    """Return the adjoints of everything that terms read; seeds pair a term with its cotangent."""
    given = list(seeds)
    sums: dict[int, Term] = {}
    for term, cotangent in given:
        sums[term.place] = terms.add(sums.get(term.place, terms.zero), cotangent)
    found = Adjoints()
    for term in reversed(below(*(term for term, _ in given))):
        adjoint = sums.get(term.place, terms.zero)
        if term.kind == "variable":
            found.variables[term.name] = adjoint
        if term.kind == "map" and adjoint is not terms.zero:
            found.matrices.setdefault(term.name, []).append((adjoint, term.parts[0]))
        for part, by in _parts(terms, term, adjoint, table):
            sums[part.place] = terms.add(sums.get(part.place, terms.zero), by)
    return found


def _parts(
    terms: Terms, term: Term, adjoint: Term, table: Mapping[str, Function]
) -> list[tuple[Term, Term]]:
    parts = term.parts
    match term.kind:
        case "add":
            return [(parts[0], adjoint), (parts[1], adjoint)]
        case "multiply":
            return [
                (parts[0], terms.multiply(adjoint, parts[1])),
                (parts[1], terms.multiply(adjoint, parts[0])),
            ]
        case "divide":
            over = terms.divide(adjoint, parts[1])
            return [(parts[0], over), (parts[1], terms.negate(terms.multiply(over, term)))]
        case "apply":
            slope = derivative(terms, term, table)
            return [(parts[0], terms.multiply(adjoint, slope))]
        case "map":
            return [(parts[0], terms.map(f"{term.name}{TRANSPOSE}", adjoint))]
        case _:
            return []


def derivative(terms: Terms, term: Term, table: Mapping[str, Function]) -> Term:
    """Return the derivative of a function at its argument."""
    (argument,) = term.parts
    if term.name == "ramp":
        return terms.apply("half", argument)
    if term.name.startswith("power_"):
        power = float(term.name.removeprefix("power_"))
        lowered = terms.apply(f"power_{power - 1!r}", argument)
        return terms.multiply(terms.number(exact(power)), lowered)
    row = table.get(term.name)
    if row is None:
        return terms.apply(f"{term.name}'", argument)
    known = {row.arguments[0]: argument, "y": term}
    return vector_of(terms, parse(row.partials[0]), RowScope(known))
