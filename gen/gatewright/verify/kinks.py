"""Cell, Kernels -> is the value at a kink the documented one.

Where a function has no derivative, the function table chooses one: that of PyTorch. `CONVENTIONS`
writes the choice down a second time, point by point. The check holds the table against it, then
puts the cell's own arguments exactly on their kinks and holds the kernel against the Programs.

Why a second list: a convention is a promise to users, and a slip in a row would otherwise silently
change every cell that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gatewright.language.cell import Cell
from gatewright.language.equation import parse
from gatewright.language.functions import FUNCTIONS
from gatewright.verify.agreement import expected, limit, values
from gatewright.verify.interpret import evaluate
from gatewright.verify.reference import cell_values
from gatewright.verify.sampling import Case, kink_arguments, prime_sizes, sample
from gatewright.verify.subject import Subject
from gatewright.verify.verdict import Check, Deviation, deviation, judged

# function -> (arguments at a kink, partial derivatives there)
CONVENTIONS: dict[str, tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]] = {
    "relu": (((0.0,), (0.0,)),),
    "abs": (((0.0,), (0.0,)),),
    "hard_tanh": (((1.0,), (0.0,)), ((-1.0,), (0.0,))),
    "max": (((0.0, 0.0), (0.5, 0.5)), ((-1.5, -1.5), (0.5, 0.5))),
    "min": (((0.0, 0.0), (0.5, 0.5)), ((-1.5, -1.5), (0.5, 0.5))),
}
ON_KINK = (0.0, 1.0, -1.0)
LIMIT = 1e-13


def kinks(subject: Subject) -> Check:
    """Check the conventions of the cell's functions, in the table and in the kernel."""
    found = kink_arguments(subject.cell)
    if not found:
        return Check("kinks", "pass", 0.0, "", 0.0, "none")
    functions = sorted({function for function, _ in found})
    worst = Deviation()
    for function in functions:
        worst = worst.worse(convention_deviation(function))
    reached: set[int] = set()
    for label, case in _cases(subject.cell):
        touched = _touched(subject.cell, case)
        if not touched:
            continue
        reached |= touched
        ys, gradients = values(subject, case)
        other_ys, other = expected(subject, case)
        worst = worst.worse(deviation(ys, other_ys, label))
        worst = worst.worse(deviation(gradients, other, label))
    detail = f"{len(found)} in {', '.join(functions)}; {len(reached)} met exactly"
    bound = limit(subject, LIMIT, sum(prime_sizes(subject.cell).values()))
    check = judged("kinks", worst, bound, detail)
    if check.verdict == "pass" and len(reached) < len(found):
        return Check("kinks", "inconclusive", worst.error, "", bound, detail)
    return check


def convention_deviation(function: str) -> Deviation:
    """Compare the table's partial derivatives at a function's kinks with the written convention."""
    row = FUNCTIONS[function]
    if function not in CONVENTIONS:
        return Deviation(np.inf, f"{function}: no convention is written down")
    worst = Deviation()
    for point, promised in CONVENTIONS[function]:
        known = {name: np.array(x) for name, x in zip(row.arguments, point, strict=True)}
        call = parse(f"{function}({', '.join(row.arguments)})")
        known["y"] = np.asarray(evaluate(call, known))
        given = [float(evaluate(parse(partial), known)) for partial in row.partials]
        if given != list(promised):
            worst = Deviation(np.inf, f"{function} at {point}: {given}, not {list(promised)}")
    return worst


def _cases(cell: Cell) -> Iterator[tuple[str, Case]]:
    """Yield cases whose matrices are zero and whose vectors are 0, 1 or -1, so that sums are exact.

    States are in turn drawn at random and equal to the vectors.
    """
    start = sample(cell, "kinks")
    for vector in ON_KINK:
        for state in (None, vector):
            new = {
                name: np.full(array.shape, 0.0 if array.ndim == 2 else vector)
                for name, array in start.parameters.items()
            }
            if state is not None:
                new |= {name: np.full_like(array, state) for name, array in start.states.items()}
            yield f"at a kink, vectors {vector}, states {state}", start.moved(new)


def _touched(cell: Cell, case: Case) -> set[int]:
    """Return which kink arguments are exactly zero somewhere at the first step."""
    now = {name: array[0] for name, array in case.inputs.items()}
    known = cell_values(cell, now, case.states, case.parameters)
    found = enumerate(argument for _, argument in kink_arguments(cell))
    return {
        index for index, argument in found if np.any(np.asarray(evaluate(argument, known)) == 0)
    }
