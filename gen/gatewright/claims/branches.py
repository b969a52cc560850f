"""Terms -> terms of one branch: functions with a kink, replaced by what they are around a point.

relu, sign and their kin are analytic on either side of 0. A rational point says on which side each
of their arguments is; around it, the term is one without them, and what is proved of that one is
proved for every point with the same signs.

Why signs from balls: a branch chosen by a rounded number could be the wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from gatewright.claims.atoms import Atom, Variable
from gatewright.claims.balls import ARITHMETIC, Ball
from gatewright.claims.evaluate import Model, evaluate
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.polynomial import Monomial
from gatewright.claims.terms import Term, Terms, below, rebuilt

# What each function is of an argument that is negative, 0 and positive; None: the argument.
JUMPS: dict[str, tuple[Fraction, Fraction, Fraction | None]] = {
    "ramp": (Fraction(0), Fraction(0), None),
    "relu": (Fraction(0), Fraction(0), None),
    "positive": (Fraction(0), Fraction(0), Fraction(1)),
    "half": (Fraction(0), Fraction(1, 2), Fraction(1)),
    "sign": (Fraction(-1), Fraction(0), Fraction(1)),
}
Point = Mapping[str, Fraction]
Signs = tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """The signs of every argument that decides something, and the terms as they are there."""

    signs: Signs
    terms: tuple[Term, ...]


def values_at(roots: tuple[Term, ...], point: Point) -> list[Ball]:
    """Return enclosures of terms without matrices at a point.

    Raises ValueError, ZeroDivisionError or OverflowError where they have no value.
    """
    model = Model({name: (value,) for name, value in point.items()}, {}, {})
    return [found[0] for found in evaluate(roots, model, ARITHMETIC)]


def branch_at(terms: Terms, roots: tuple[Term, ...], point: Point, kinks: bool) -> Branch | None:
    """Return the branch of terms around a point; None on a kink, unless `kinks` are wanted.

    With `kinks` the answer holds where the arguments that are 0 at the point stay 0. Raises what
    `values_at` does.
    """
    deciding = [term for term in below(*roots) if term.kind == "apply" and term.name in JUMPS]
    balls = values_at(tuple(term.parts[0] for term in deciding), point)
    signs = {term.place: _sign(ball) for term, ball in zip(deciding, balls, strict=True)}
    if any(sign is None or (sign == 0 and not kinks) for sign in signs.values()):
        return None

    def change(term: Term, parts: tuple[Term, ...]) -> Term | None:
        sign = signs.get(term.place)
        if sign is None:
            return None
        value = JUMPS[term.name][sign + 1]
        return parts[0] if value is None else terms.number(value)

    found = tuple(rebuilt(terms, root, change) for root in roots)
    for term in deciding:
        if signs[term.place] == 0:
            line = _line(terms, rebuilt(terms, term.parts[0], change))
            found = tuple(_on_line(terms, root, line) for root in found)
    return Branch(tuple(sign or 0 for sign in signs.values()), found)


def _on_line(terms: Terms, root: Term, line: Mapping[str, Term]) -> Term:
    return rebuilt(terms, root, lambda term, _: line.get(term.name))


def _line(terms: Terms, zero: Term) -> dict[str, Term]:
    """Return one variable by the others where a term that is linear in them is 0, else nothing."""
    form = NormalForm()
    poly = form.of(zero)
    names: dict[Monomial, Atom] = {
        m: form.atoms[m[0][0]] for m in poly if len(m) == 1 and m[0][1] == 1
    }
    if any(m and not isinstance(names.get(m), Variable) for m in poly) or not names:
        return {}
    solved, *rest = names
    total = terms.number(-poly.get((), 0) / Fraction(poly[solved]))
    for monomial in rest:
        other = terms.variable(_name(names[monomial]))
        factor = terms.number(-poly[monomial] / Fraction(poly[solved]))
        total = terms.add(total, terms.multiply(factor, other))
    return {_name(names[solved]): total}


def _name(atom: Atom) -> str:
    assert isinstance(atom, Variable)
    return atom.name


def _sign(ball: Ball) -> int | None:
    if ball.low > 0 or ball.high < 0:
        return 1 if ball.low > 0 else -1
    return 0 if ball.low == ball.high == 0 else None
