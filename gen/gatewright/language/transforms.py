"""Cell -> Cell: named changes to a cell, each giving a full cell of its own name.

    projected  a state is multiplied by a matrix to a smaller one before it is carried on
    zoneout    entries of a state keep their old value where a mask says so

Why through the text of a spec: what a transform makes is written out and read again, so it is
checked like an author's file, and can always be printed as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gatewright.language.cell import Cell, Equation, Variable
from gatewright.language.diagnostics import Diagnostic, SpecError, did_you_mean
from gatewright.language.equation import parse
from gatewright.language.expression import Binary, Expr, Name, children, render, substitute
from gatewright.language.format import write_spec
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve

PROJECTION = "projection"


def projected(cell: Cell, state: str = "") -> Cell:
    """Return the cell whose next state is a learned projection of what it was: h' = W_hr @ h_raw.

    The state, by default that of the output, gets the new dimension `projection`, and so do the
    columns of every matrix that multiplies it. Sak, Senior and Beaufays (2014), and `proj_size` of
    `nn.LSTM`. Raises SpecError if the cell reads the state otherwise than in matrix products: a GRU
    adds its old state to the new one, so both must have one size.
    """
    variable = _state(cell, state or cell.output.removesuffix("'"))
    if PROJECTION in cell.dims:
        message = f"cell `{cell.identifier}` has a dimension `{PROJECTION}` already"
        raise _misfit(message, "project the cell that it was made from")
    read = {variable.name, f"{variable.name}'"}
    matrices = _multiplying(cell, read)
    raw = _free(cell, f"{variable.name}_raw")
    matrix = _free(cell, f"W_{variable.name}r")
    parameters = [
        replace(each, dims=(each.dims[0], PROJECTION)) if each.name in matrices else each
        for each in cell.parameters
    ]
    parameters.append(Variable(matrix, (PROJECTION, *variable.dims)))
    equations: list[Equation] = []
    for equation in cell.equations:
        if equation.target == f"{variable.name}'":
            text = f"{matrix} @ {raw}"
            equations += [
                replace(equation, target=raw),
                replace(equation, text=text, comment="projection"),
            ]
        else:
            equations.append(equation)
    narrow = replace(variable, dims=(PROJECTION,))
    return _checked(
        replace(
            cell,
            name=f"{cell.identifier}_projected",
            variant="",
            title=f"{cell.title}, projected",
            cite=_cited(cell, "sak2014long"),
            states=tuple(narrow if each == variable else each for each in cell.states),
            parameters=tuple(parameters),
            equations=tuple(equations),
        )
    )


def zoneout(cell: Cell, states: Sequence[str] = ()) -> Cell:
    """Return the cell whose states keep old values: h' = keep_h * h + (1 - keep_h) * h_new.

    Each of the `states`, all if none is given, gets an input `keep_` and its name: in training
    independent draws of 0 and 1 with the rate of zoneout as mean, otherwise that rate itself.
    Equations that read a next state go on to read the new value, before zoneout, as in Krueger et
    al. (2017). Raises SpecError if there is no such state.
    """
    chosen = [_state(cell, name) for name in states or [each.name for each in cell.states]]
    renamed, inputs, last = {}, [], []
    for variable in chosen:
        state, new = variable.name, _free(cell, f"{variable.name}_new")
        mask = _free(cell, f"keep_{state}")
        renamed[f"{state}'"] = new
        inputs.append(Variable(mask, variable.dims))
        text = f"{mask} * {state} + (1 - {mask}) * {new}"
        last.append(Equation(f"{state}'", variable.dims, Name(new), text, "zoneout"))

    def new_value(name: Name) -> Expr | None:
        return Name(renamed[name.name]) if name.name in renamed else None

    equations = [
        replace(
            each,
            target=renamed.get(each.target, each.target),
            text=render(substitute(parse(each.text), new_value)),
        )
        for each in cell.equations
    ]
    return _checked(
        replace(
            cell,
            name=f"{cell.identifier}_zoneout",
            variant="",
            title=f"{cell.title}, with zoneout",
            cite=_cited(cell, "krueger2017zoneout"),
            inputs=(*cell.inputs, *inputs),
            equations=(*equations, *last),
            gates=tuple(renamed.get(gate, gate) for gate in cell.gates),
        )
    )


def _state(cell: Cell, name: str) -> Variable:
    for state in cell.states:
        if state.name == name:
            return state
    names = [state.name for state in cell.states]
    message = f"cell `{cell.identifier}` has no state `{name}`"
    raise _misfit(message, did_you_mean(name, names, f"its states are {', '.join(names)}"))


def _multiplying(cell: Cell, read: set[str]) -> set[str]:
    """Return the matrices that multiply the names in `read`. Raises SpecError for another use."""
    matrices: set[str] = set()
    others: set[str] = set()
    for equation in cell.equations:
        for where, operand in _places(parse(equation.text)):
            if operand in read and where:
                matrices.add(where)
            elif operand in read:
                message = f"equation `{equation.target}` reads `{operand}` elementwise"
                raise _misfit(
                    f"cell `{cell.identifier}` cannot be projected: {message}",
                    "only a state that is read by matrix products alone can change its size",
                )
            elif where:
                others.add(where)
    if shared := sorted(matrices & others):
        message = f"`{shared[0]}` multiplies the state and something else"
        raise _misfit(
            f"cell `{cell.identifier}` cannot be projected: {message}", "use two matrices"
        )
    return matrices


def _places(expr: Expr, matrix: str = "") -> Iterable[tuple[str, str]]:
    """Yield (matrix, operand) for every product, and (empty, name) for every other name read.

    An operand that is an expression is empty, and what it reads is read elementwise.
    """
    match expr:
        case Binary("@", Name(matrix), Name(operand)):
            yield matrix, operand
        case Binary("@", Name(matrix), operand):
            yield matrix, ""
            yield from _places(operand)
        case Name(name):
            yield "", name
        case _:
            for part in children(expr):
                yield from _places(part)


def _free(cell: Cell, wish: str) -> str:
    """Return the name, with `_` added until no other has it."""
    taken = {each.name for each in (*cell.inputs, *cell.states, *cell.parameters)}
    taken |= {each.name for each in cell.constants} | {each.name for each in cell.choices}
    taken |= {each.target for each in cell.equations}
    while wish in taken:
        wish += "_"
    return wish


def _cited(cell: Cell, key: str) -> tuple[str, ...]:
    return cell.cite if key in cell.cite else (*cell.cite, key)


def _misfit(message: str, help: str) -> SpecError:
    return SpecError([Diagnostic("E0506", message, None, help)])


def _checked(cell: Cell) -> Cell:
    return resolve(read_spec_text(write_spec(cell), f"{cell.name} (transformed)"))
