"""Program -> where each of its values lives while a sequence runs.

    parameter   as given: a matrix, a vector or a number
    time        a slab [B, dim] for every time step, from the caller or for it
    saved       a slab for every time step if the reverse is to run, else for those of one chunk
    chunk       a slab for every time step of one chunk, for a later section
    carried     a slab for every time step and one more: a step writes what the next one reads
    turns       two slabs that the steps write and read in turns
    scratch     one slab, written anew at every step, read by a later stage of that step
    local       a scalar inside one elementwise stage, never stored

A chunk is a number of time steps that follow one another, few enough that what one section leaves
for the next is still in cache.

Why decided here and once: the generated routines, their arguments and what the runtime allocates
must all agree, and each of them reads this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.language.cell import Dims, Variable
from gatewright.program.ir import SECTIONS, Elementwise, Products, Program, Role, Stage

PARAMETER, TIME, SAVED, CHUNK = "parameter", "time", "saved", "chunk"
CARRIED, TURNS, SCRATCH, LOCAL = "carried", "turns", "scratch", "local"


@dataclass(frozen=True)
class Placed:
    """A value with its place; `array` and `offset` say which slab of which array it is.

    `offset` counts slabs from the current time step: the next state is the state's array, one on.
    """

    name: str
    dims: Dims
    place: str
    array: str
    offset: int = 0


def place(program: Program) -> dict[str, Placed]:
    """Return every value of a Program with its place, by name."""
    placed = {}
    for argument in program.arguments:
        placed[argument.name] = _argument(program, argument.variable, argument.role)
    ends = {end: start for start, end in program.carried}
    crossing = _crossing(program)
    for section in SECTIONS:
        for index, stage in enumerate(program.section(section)):
            for variable in _targets(stage):
                name = variable.name
                shared = isinstance(stage, Products) or _leaves(program, section, index, name)
                if name in ends:
                    start = placed[ends[name]]
                    where, array, offset = start.place, start.array, 1 - start.offset
                elif name in program.results:
                    where, array, offset = TIME, name, 0
                elif name in program.saved:
                    where, array, offset = SAVED, name, 0
                elif name in crossing or (shared and section != "step"):
                    where, array, offset = CHUNK, name, 0
                else:
                    where, array, offset = SCRATCH if shared else LOCAL, name, 0
                placed[name] = Placed(name, variable.dims, where, array, offset)
    return placed


def _argument(program: Program, variable: Variable, role: Role) -> Placed:
    name, dims = variable.name, variable.dims
    ends = dict(program.carried)
    match role:
        case Role.PARAMETER | Role.CONSTANT:
            return Placed(name, dims, PARAMETER, name)
        case Role.STATE:
            return Placed(name, dims, CARRIED, name)
        case Role.NEXT_STATE:
            return Placed(name, dims, CARRIED, name.removesuffix("_next"), 1)
        case Role.COTANGENT if name in ends:
            whole = {name, ends[name]} & _read_outside_steps(program)
            return Placed(name, dims, CARRIED if whole else TURNS, ends[name], 1)
        case Role.SAVED:
            return Placed(name, dims, SAVED, name)
        case _:
            return Placed(name, dims, TIME, name)


def _read_outside_steps(program: Program) -> set[str]:
    sections = [*program.statements("before", "after"), *program.outers]
    return {name for item in sections for name in item.reads}


def _targets(stage: Stage) -> list[Variable]:
    return [target for item in stage.items for target in item.targets]


def _crossing(program: Program) -> set[str]:
    """Names that a later section reads."""
    crossing: set[str] = set()
    for position, section in enumerate(SECTIONS):
        defined = {v.name for stage in program.section(section) for v in _targets(stage)}
        later = program.statements(*SECTIONS[position + 1 :]) if position < 2 else ()
        read = {name for item in (*later, *program.outers) for name in item.reads}
        crossing |= defined & read
    return crossing


def _leaves(program: Program, section: str, index: int, name: str) -> bool:
    """Tell whether a stage after the given one, in the same section, reads the name."""
    return any(
        name in item.reads
        for stage in program.section(section)[index + 1 :]
        for item in stage.items
    )


def stored(stage: Elementwise, placed: dict[str, Placed]) -> tuple[str, ...]:
    """Return the names that an elementwise stage must hand out, in order of definition."""
    return tuple(
        item.target.name for item in stage.items if placed[item.target.name].place != LOCAL
    )
