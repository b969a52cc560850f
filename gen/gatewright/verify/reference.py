"""Cell, Programs -> values: the two reference interpreters that every kernel is held against.

    evaluate_cell      one step of the author's own equations, on arrays of any dtype
    evaluate_sequence  the same for a sequence
    ReferenceKernels   the Programs, section by section, behind the interface of `Kernels`

Why two: the cell's equations have been through nothing but the reader, so they are what the author
meant; the Programs have been lowered, scheduled and differentiated. Where both agree with a kernel,
the printer and the runtime are right; where they differ, it is known on which side to look.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from gatewright.language.cell import Cell, Variable
from gatewright.program.compile import Programs
from gatewright.program.ir import (
    SECTIONS,
    Assign,
    Outer,
    Product,
    Program,
    Reduction,
    Role,
    Statement,
)
from gatewright.runtime.engine import PlainEngine
from gatewright.runtime.kernels import HostMemory, Kernels, Memory
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module
from gatewright.runtime.storage import BACKWARD, FORWARD
from gatewright.verify.interpret import Array, evaluate

Arrays = dict[str, Array]
Routine = Callable[..., None]


def evaluate_cell(
    cell: Cell,
    inputs: Mapping[str, Array],
    states: Mapping[str, Array],
    parameters: Mapping[str, Array],
    constants: Mapping[str, float] | None = None,
) -> tuple[Array, Arrays]:
    """Return the output and the next states of one step, by the cell's own equations.

    Inputs and states are rows [B, dim], parameters have their declared shapes; any of them may have
    further leading axes, over which the step is repeated (many perturbations in one call).
    """
    values = cell_values(cell, inputs, states, parameters, constants)
    given = (*inputs.values(), *states.values())
    rows = np.broadcast_shapes(*(array.shape[:-1] for array in given))

    def full(name: str, width: int) -> Array:
        value = np.asarray(values[name])
        return np.broadcast_to(value, np.broadcast_shapes(value.shape, (*rows, width)))

    following = {name: full(f"{name}'", array.shape[-1]) for name, array in states.items()}
    return full(cell.output, 1), following


def cell_values(
    cell: Cell,
    inputs: Mapping[str, Array],
    states: Mapping[str, Array],
    parameters: Mapping[str, Array],
    constants: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return every value of one step by its name in the cell; arguments as in `evaluate_cell`."""
    values: dict[str, Any] = {**inputs, **states}
    values |= {constant.name: constant.value for constant in cell.constants}
    values |= dict(constants or {})
    for variable in cell.parameters:
        values[variable.name] = _with_rows(np.asarray(parameters[variable.name]), variable)
    for equation in cell.equations:
        values[equation.target] = evaluate(equation.expr, values)
    return values


def evaluate_sequence(
    cell: Cell,
    inputs: Mapping[str, Array],
    states: Mapping[str, Array],
    parameters: Mapping[str, Array],
    constants: Mapping[str, float] | None = None,
) -> tuple[list[Array], Arrays]:
    """Return the outputs, one array per time step, and the final states of a sequence.

    Inputs are [..., T, B, dim]; everything else is as in `evaluate_cell`.
    """
    state: Arrays = dict(states)
    outputs = []
    for t in range(next(iter(inputs.values())).shape[-3]):
        now = {name: array[..., t, :, :] for name, array in inputs.items()}
        output, state = evaluate_cell(cell, now, state, parameters, constants)
        outputs.append(output)
    return outputs, state


def _with_rows(array: Array, variable: Variable) -> Array:
    """Return a parameter so that it broadcasts against rows: [dim] as [1, dim], [] as [1, 1]."""
    missing = 2 - len(variable.dims)
    leading = array.shape[: array.ndim - len(variable.dims)]
    return array.reshape(*leading, *(1,) * missing, *array.shape[len(leading) :])


class ReferenceKernels(Kernels):
    """The kernels of a cell, interpreted: the same interface, arguments and errors as `Kernels`."""

    def __init__(
        self,
        programs: Programs,
        dtype: str = "float64",
        constants: Mapping[str, float] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.programs = programs
        super().__init__(_module(programs, dtype), memory or HostMemory(), constants)


def _module(programs: Programs, dtype: str) -> Module:
    namespace = ModuleType(f"<reference {programs.cell.identifier}>")
    for name, program in ((FORWARD, programs.forward), (BACKWARD, programs.reverse)):
        setattr(namespace, name, _routine(program))
    return Module(_layout(programs), dtype, "reference", namespace)


def _layout(programs: Programs) -> Layout:
    """Return a layout that gives every value of the Programs an array of its own."""
    cell, forward = programs.cell, programs.forward
    starts = {end: start for start, end in forward.carried}
    result = forward.results[0]
    return Layout(
        engine=PlainEngine(),
        cell=cell.identifier,
        inputs={variable.name: variable.dims for variable in cell.inputs},
        states={variable.name: variable.dims for variable in cell.states},
        parameters={variable.name: variable.dims for variable in cell.parameters},
        constants={constant.name: constant.value for constant in cell.constants},
        products={FORWARD: (), BACKWARD: ()},
        output=(starts[result], 1) if result in starts else (result, 0),
        forward=_places(forward, {start for start, _ in forward.carried}),
        reverse=_places(programs.reverse, {end for _, end in programs.reverse.carried}),
    )


def _places(program: Program, carried: set[str]) -> dict[str, tuple[str, ...]]:
    hidden = _carried_aliases(program)
    variables = [*program.roles(Role.INPUT, Role.STATE, Role.SAVED, Role.COTANGENT)]
    variables += [target for item in program.statements() for target in item.targets]
    found: dict[str, tuple[str, ...]] = {
        variable.name: ("carried" if variable.name in carried else "time", *variable.dims)
        for variable in variables
        if variable.name not in hidden
    }
    for item in program.outers:
        for target in item.targets:
            # A scalar's gradient is summed over rows here and over units by `Kernels`.
            dims = target.dims or ((item.dim,) if isinstance(item, Reduction) else ())
            found[target.name] = ("gradient", *dims)
    return found


def _carried_aliases(program: Program) -> dict[str, str]:
    """Return the names that are the following slab of another array: `h_next`, `ct_h_next`."""
    if program.roles(Role.COTANGENT):
        following = {v.name: v.name.removesuffix("_next") for v in program.roles(Role.NEXT_STATE)}
        return following | dict(program.carried)
    return {end: start for start, end in program.carried}


def _routine(program: Program) -> Routine:
    """Return a Program's `forward` or `backward`: its sections in order, on the whole sequence."""
    sections = {name: tuple(program.statements(name)) for name in SECTIONS}
    everything = [*program.statements(), *program.outers]
    fixed = {variable.name for variable in program.roles(Role.PARAMETER, Role.CONSTANT)}
    fixed |= {target.name for item in program.outers for target in item.targets}
    aliases = _carried_aliases(program)
    names = _mentioned(everything)
    backwards = bool(program.roles(Role.COTANGENT))

    def slabs(arrays: dict[str, Any], name: str, count: int) -> Any:
        """Return the slabs [T, B, dim] that go by a name, or a parameter as it is."""
        if name in fixed:
            return arrays[name]
        if name in aliases:
            return arrays[aliases[name]][1:]
        return arrays[name][:count]

    sums = [target.name for item in program.outers for target in item.targets]

    def run(arrays: dict[str, Any]) -> None:
        count = arrays["T"]
        given = {name: arrays[name].copy() for name in sums if arrays.get("more")}
        views = {name: slabs(arrays, name, count) for name in names}
        rows = {
            name: view if name in fixed else view.reshape(-1, view.shape[-1])
            for name, view in views.items()
        }
        steps = range(count)
        for item in sections["before"]:
            interpret(item, rows)
        for t in reversed(steps) if backwards else steps:
            now = {name: view if name in fixed else view[t] for name, view in views.items()}
            for item in sections["step"]:
                interpret(item, now)
        for each in (*sections["after"], *program.outers):
            interpret(each, rows)
        for name, sum_so_far in given.items():
            arrays[name] += sum_so_far

    arrays = dict.fromkeys(aliases.get(name, name) for name in names)
    return _with_signature(("T", *(("more",) if backwards else ()), *arrays), run)


def _mentioned(statements: Iterable[Statement | Outer | Reduction]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item in statements:
        found.update(dict.fromkeys((*item.reads, *(target.name for target in item.targets))))
    return tuple(found)


def _with_signature(names: tuple[str, ...], run: Callable[[dict[str, Any]], None]) -> Routine:
    """Return a routine that takes the named arrays by position and says so in its signature."""

    def routine(*arrays: Any) -> None:
        run(dict(zip(names, arrays, strict=True)))

    kind = inspect.Parameter.POSITIONAL_ONLY
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    routine.__signature__ = signature  # type: ignore[attr-defined]
    return routine


def interpret(item: Statement | Outer | Reduction, arrays: Mapping[str, Any]) -> None:
    """Run one statement of a Program: read and write the named arrays [rows, dim]."""
    match item:
        case Assign(target, expr):
            arrays[target.name][...] = evaluate(expr, arrays)
        case Product(targets, weights, operands, True):
            pairs = zip(weights, operands, strict=True)
            arrays[targets[0].name][...] = sum(arrays[o] @ arrays[w] for w, o in pairs)
        case Product(targets, weights, operands):
            for target, weight in zip(targets, weights, strict=True):
                arrays[target.name][...] = arrays[operands[0]] @ arrays[weight].T
        case Outer(targets, lefts, right, accumulate):
            for target, left in zip(targets, lefts, strict=True):
                gradient = arrays[left].T @ arrays[right]
                arrays[target.name][...] = (
                    arrays[target.name] + gradient if accumulate else gradient
                )
        case Reduction(target, expr):
            value = np.atleast_2d(evaluate(expr, arrays))
            arrays[target.name][...] = value.sum(axis=0)
