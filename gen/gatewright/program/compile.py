"""Cell -> Programs: the forward Program and its reverse, each saying what the other needs.

    lower      Cell        -> statements
    scheduled  statements  -> forward Program
    vjp        Program     -> reverse Program
    saving     both        -> forward Program that keeps what the reverse reads

Why saving comes last: which forward values are worth keeping is known only once the reverse has
been derived, and it is the Program's decision, never a template's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gatewright.language.cell import Cell, Variable
from gatewright.program.ir import Argument, Program, Role
from gatewright.program.lower import lower, python_name
from gatewright.program.options import GRADIENT, ReverseOptions
from gatewright.program.schedule import scheduled
from gatewright.program.vjp import vjp


@dataclass(frozen=True)
class Programs:
    """A cell with its two directions, and what was asked of the reverse."""

    cell: Cell
    forward: Program
    reverse: Program
    options: ReverseOptions = GRADIENT


def compile_cell(cell: Cell, options: ReverseOptions = GRADIENT) -> Programs:
    """Return the forward and reverse Programs of a cell; `options` are those of the reverse."""
    forward = forward_program(cell)
    reverse = vjp(forward, options)
    return Programs(cell, saving(forward, reverse), reverse, options)


def forward_program(cell: Cell) -> Program:
    """Return the forward Program of a cell; it saves nothing yet. `results[0]` is the output."""
    roles = (
        (cell.inputs, Role.INPUT),
        (cell.states, Role.STATE),
        (cell.parameters, Role.PARAMETER),
        (tuple(Variable(c.name, ()) for c in cell.constants), Role.CONSTANT),
    )
    ends = tuple(python_name(f"{state.name}'") for state in cell.states)
    output = python_name(cell.output)
    return scheduled(
        name=f"{cell.identifier} forward",
        arguments=tuple(Argument(v, role) for variables, role in roles for v in variables),
        statements=lower(cell),
        carried=tuple(zip((state.name for state in cell.states), ends, strict=True)),
        results=tuple(dict.fromkeys((output, *ends))),
    )


def saving(forward: Program, reverse: Program) -> Program:
    """Return the forward Program with `saved` set to the values that the reverse reads."""
    return replace(forward, saved=tuple(v.name for v in reverse.roles(Role.SAVED)))
