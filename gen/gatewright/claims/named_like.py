"""Cell, Cell -> Cell: the input and the dimensions of a cell, named as another cell names them.

Why: two cells are related by what they compute. `x: input` in one and `u: features` in the other
are the same thing, and no search should fail for want of the same word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gatewright.language.cell import Cell, Equation, Variable
from gatewright.language.expression import Name, substitute


def named_like(cell: Cell, other: Cell) -> Cell:
    """Return a cell with the names of its input and dimensions taken from another cell.

    It stays as it is where that would give one name to two things.
    """
    if len(cell.inputs) != 1 or len(other.inputs) != 1:
        return cell
    pairs = zip((*cell.inputs, *cell.states[:1]), (*other.inputs, *other.states[:1]), strict=True)
    dims: dict[str, str] = {}
    for mine, theirs in pairs:
        if len(mine.dims) != len(theirs.dims):
            return cell
        for one, two in zip(mine.dims, theirs.dims, strict=True):
            if dims.setdefault(one, two) != two:
                return cell
    after = [dims.get(dim, dim) for dim in cell.dims]
    old, new = cell.inputs[0].name, other.inputs[0].name
    if len(set(after)) < len(after) or (new != old and new in _names(cell)):
        return cell
    return _renamed(cell, dims, old, new)


def _names(cell: Cell) -> set[str]:
    found = {each.name for each in (*cell.states, *cell.parameters)}
    found |= {each.name for each in cell.constants}
    return found | {each.target for each in cell.equations}


def _renamed(cell: Cell, dims: Mapping[str, str], old: str, new: str) -> Cell:
    def shaped(variable: Variable) -> Variable:
        return replace(variable, dims=tuple(dims.get(dim, dim) for dim in variable.dims))

    def settled(equation: Equation) -> Equation:
        expr = substitute(equation.expr, lambda name: Name(new) if name.name == old else None)
        there = tuple(dims.get(dim, dim) for dim in equation.dims)
        return replace(equation, dims=there, expr=expr, text=str(expr))

    return replace(
        cell,
        inputs=tuple(replace(shaped(each), name=new) for each in cell.inputs),
        states=tuple(map(shaped, cell.states)),
        parameters=tuple(map(shaped, cell.parameters)),
        equations=tuple(map(settled, cell.equations)),
    )
