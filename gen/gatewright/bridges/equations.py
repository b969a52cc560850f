"""Cell -> a step for any array library: the cell's equations as calls of that library's functions.

A library is a table from the names of the function table, and `@`, to its own functions. A step
reads and extends a dict of values by name; `@` is given a matrix [M, K] and rows [B, K].

Why the equations and not a Program: a peer is given what a user would write from the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatewright.language.cell import Cell
from gatewright.language.closures import Library, Values, closure


def step(cell: Cell, library: Library) -> Callable[[Values], Any]:
    """Return a function that runs all equations on a dict of values and returns the output.

    Afterwards the dict holds every equation's value and the states are their next values.
    """
    equations = [(each.target, closure(each.expr, library)) for each in cell.equations]
    carried = [(state.name, f"{state.name}'") for state in cell.states]
    output = cell.output

    def run(values: Values) -> Any:
        for target, evaluate in equations:
            values[target] = evaluate(values)
        for name, following in carried:
            values[name] = values[following]
        return values[output]

    return run
