"""Function table, Programs -> proved or not: the exact step of a certificate, without numbers.

For every function that the Programs use: the partial derivatives of its row are those of its
definition, and its stable form is its definition. For the Programs: see `claims.translation`.

Why branch by branch: a function with `max` or `abs` in it is one analytic function on each side of
a branch; a rational point on each side picks the branch, and the identity is proved for all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy

from gatewright.claims.normal_form import TooLargeError
from gatewright.claims.translation import reverse_identities
from gatewright.language.equation import parse
from gatewright.language.expression import Call, walk
from gatewright.language.functions import FUNCTIONS, Function
from gatewright.program.compile import Programs
from gatewright.program.ir import Assign, Reduction
from gatewright.verify.algebra import Branches, is_zero, number, symbol
from gatewright.verify.subject import Subject
from gatewright.verify.verdict import Check, Deviation, UndecidedError, judged

# One point in every branch a row may take, off its kinks.
POINTS = {
    1: ((-3.0,), (-0.5,), (0.5,), (3.0,)),
    2: ((-1.0, 2.0), (2.0, -1.0), (0.25, 0.75), (-0.25, -0.75)),
}
DIGITS = 40


@dataclass
class Identities:
    """How many identities were decided, and a sentence for each that does not hold."""

    count: int = 0
    broken: list[str] = field(default_factory=list)

    def note(self, holds: bool, text: str) -> None:
        """Count one identity."""
        self.count += 1
        if not holds:
            self.broken.append(text)


def symbolic(subject: Subject) -> Check:
    """Prove the rows of the function table and the reverse Program."""
    used = functions_of(subject.programs)
    found = table_identities(used, FUNCTIONS)
    try:
        program = reverse_identities(subject.programs, FUNCTIONS)
    except TooLargeError as problem:
        raise UndecidedError(str(problem)) from None
    if program.undecided and not (found.broken or program.broken):
        raise UndecidedError(f"neither proved nor refuted: {'; '.join(program.undecided)}")
    broken = [*found.broken, *program.broken]
    detail = f"{found.count} identities of {len(used)} functions, {program.count} of the reverse"
    where = "; ".join(broken)
    return judged("symbolic", Deviation(float(len(broken)), where), 0.0, detail)


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


def table_identities(functions: tuple[str, ...], table: Mapping[str, Function]) -> Identities:
    """Return which identities hold that make each function's row consistent with itself."""
    found = Identities()
    for name in functions:
        row = table[name]
        arguments = [symbol(argument) for argument in row.arguments]
        for point in POINTS[len(arguments)]:
            places = dict(zip(arguments, map(number, point), strict=True))
            _row_identities(row, Branches(table, places), arguments, found)
            if row.stable and row.definition:
                _stable_identity(row, table, places, found)
    return found


def _row_identities(
    row: Function, branches: Branches, arguments: list[sympy.Symbol], found: Identities
) -> None:
    value = branches.apply(row.name, arguments)
    known = dict(zip(row.arguments, arguments, strict=True)) | {"y": value}
    for argument, text in zip(arguments, row.partials, strict=True):
        partial = branches.translate(parse(text), known)
        holds = is_zero(sympy.diff(value, argument) - partial)
        found.note(holds, f"{row.name}: its derivative is not {text} around {branches.point}")


def _stable_identity(
    row: Function,
    table: Mapping[str, Function],
    places: Mapping[sympy.Symbol, sympy.Rational],
    found: Identities,
) -> None:
    """Prove stable form = definition: equal derivatives on the branch, and one equal value."""
    arguments = list(places)
    stable = Branches(table, places, stable=True).apply(row.name, arguments)
    difference = stable - Branches(table, places).apply(row.name, arguments)
    level = all(is_zero(sympy.diff(difference, argument)) for argument in arguments)
    value = abs(difference.subs(places).evalf(DIGITS, chop=True)) < 10.0 ** (3 - DIGITS)
    text = f"{row.name}: its stable form is not its definition around {places}"
    found.note(bool(level and value), text)
