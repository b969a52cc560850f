"""Programs -> Source: one generated file for one target, as text that has passed the allow-list.

    direction  Program  -> Listing   (listing.py)
    template   Listing  -> text      (templates/, layout only)
    require    text     -> text      (allowlist.py)

A target is a template and a row of `TARGETS`.

Why the text is complete here: writing, checking freshness and loading a cell in memory all take the
same Source, so there is no second way to make a file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from gatewright.emit.allowlist import require_allowed
from gatewright.emit.lines import imported, literal
from gatewright.emit.listing import Array, Direction, Routine, directions
from gatewright.emit.placement import place
from gatewright.emit.pointers import pointer_directions
from gatewright.emit.printer import PRIMITIVES, Definition, definitions, functions_used
from gatewright.language.cell import Cell, Variable
from gatewright.language.expression import Expr
from gatewright.program.compile import Programs
from gatewright.program.ir import Assign, Program, Reduction


@dataclass(frozen=True)
class Target:
    """A kind of generated file: its template, and the names its runtime gives every file.

    `directions` makes the routines of a cell's two Programs, `functions` are the functions of the
    table that need no definition in a file.
    """

    name: str
    template: str
    provides: tuple[str, ...]
    directions: Callable[[Programs], tuple[Direction, Direction]] = directions
    functions: frozenset[str] = PRIMITIVES


_DRIVERS = (
    "device",
    "driver",
    "flat",
    "outer",
    "product",
    "product_transposed",
    "rows",
    "units",
)
_PARTS = ("by_units", "meet", "rows_of", "units_of", "wait")
# Of what a runtime provides, a file imports these only if it calls them.
_CALLED = ("by_units", "flat", "meet", "outer", "product", "product_transposed", "wait")
# Only sums visit more than one row.
_SUMMED = ("all_rows", "units")
# Only kernels of whole sequences say these; the second line is in `parts.py`.
_WHOLE = ("local_array", "syncthreads", "whole")
_PIECES = (
    "clear",
    "clear_tiles",
    "collect",
    "fill",
    "filled",
    "load_columns",
    "load_rows",
    "meet",
    "multiply",
    "own_row",
    "own_unit",
    "owns",
    "share",
)
_VISITORS = ("all_rows", "this_row", "this_unit")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "cpu",
            "cpu.py.jinja",
            (*_DRIVERS, *_PARTS),
            functions=PRIMITIVES | {"sigmoid"},
        ),
        Target("cuda", "cuda.py.jinja", (*_DRIVERS, *_VISITORS, *_WHOLE), pointer_directions),
    )
}


@dataclass(frozen=True)
class Source:
    """The text of one generated file."""

    cell: str
    target: str
    text: str

    @property
    def path(self) -> str:
        """Where the file belongs below `generated/`."""
        return f"{self.target}/{self.cell}.py"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Section:
    heading: str
    listing: Direction


def _functions(definitions: tuple[Definition, ...]) -> Iterator[_Section]:
    """Yield the section of the functions that the file defines, if there are any."""
    routines = [
        Routine(
            f.name, (f"def {f.name}({', '.join(f.arguments)}):",), f.doc, (f"    return {f.body}",)
        )
        for f in definitions
    ]
    if routines:
        yield _Section("Functions.", Direction(tuple(routines), (), (), (), (), ()))


def emit(programs: Programs, target: Target) -> Source:
    """Return the generated file of a cell for a target.

    Raises InternalError if the text is not Python or leaves the allow-list.
    """
    cell = programs.cell
    forward, reverse = target.directions(programs)
    used = functions_used(_expressions(programs), target.functions)
    text = (
        _environment()
        .get_template(target.template)
        .render(
            argument=cell.name,
            digest=digest(cell),
            heading=f"{printable(cell.title)}, for the target `{target.name}`.",
            summary=_summary(programs),
            imports=_imports(target, (forward, reverse), used),
            layout=_layout(programs, forward, reverse),
            sections=(
                *_functions(definitions(used, target.functions)),
                _Section(f"Forward: {_about(programs.forward)}", forward),
                _Section(f"Reverse: {_about(programs.reverse)}", reverse),
            ),
        )
    )
    require_allowed(text, f"{target.name}/{cell.identifier}.py")
    return Source(cell.identifier, target.name, text)


def digest(cell: Cell) -> str:
    """Return the SHA-256 of what a cell means: comments and layout of its spec do not count."""
    return hashlib.sha256(repr(cell).encode()).hexdigest()


def printable(text: str) -> str:
    """Return free text so that it can stand in a docstring or a comment and nowhere leave it."""
    kept = "".join(char if char.isprintable() else " " for char in text)
    return kept.replace("\\", "/").replace('"', "'")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("gatewright.emit", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _expressions(programs: Programs) -> list[Expr]:
    found: list[Expr] = []
    for program in (programs.forward, programs.reverse):
        found += [item.expr for item in program.statements() if isinstance(item, Assign)]
        found += [item.expr for item in program.outers if isinstance(item, Reduction)]
    return found


def _summary(programs: Programs) -> list[str]:
    cell = programs.cell
    lines = [f"    {printable(str(equation))}" for equation in cell.equations]
    named = [f"{choice.name} is {choice.chosen}" for choice in cell.choices]
    named += [f"{constant.name} is {constant.value!r} unless given" for constant in cell.constants]
    if named:
        lines += ["", *(f"Here {name}." for name in named)]
    lines += ["", f"Output: {cell.output}. A prime marks the next value of a state."]
    if programs.options.every_state:
        lines.append("The reverse takes a cotangent of every state at every step.")
    if programs.options.clip is not None:
        bound = f"{programs.options.clip!r}"
        lines.append(f"The reverse hands on cotangents of states within plus or minus {bound}.")
    return lines


def _about(program: Program) -> str:
    return f"{program.operations} elementwise operations per row and unit, and its matrix products."


def _imports(target: Target, directions: tuple[Direction, ...], used: tuple[str, ...]) -> list[str]:
    listed = [routine.body for each in directions for routine in each.drivers]
    wholes = "\n".join(line for d in directions for whole in d.wholes for line in whole.body)
    text = "\n".join(line for body in listed for line in body)
    called = {name for name in _CALLED if f"{name}(" in text}
    always = {"engine", *target.provides} - {*_CALLED, *_SUMMED, *_WHOLE}
    summed = any(each.sums for each in directions)
    some = {name for name in _SUMMED if summed and name in target.provides}
    some |= {name for name in _WHOLE if wholes and (name == "whole" or f"{name}(" in wholes)}
    names = sorted({*called, *always, *some, *target.functions.intersection(used)})
    module = f"gatewright.runtime.{target.name}"
    lines = imported(module, names)
    if wholes:
        lines += imported(f"{module}.parts", sorted(n for n in _PIECES if f"{n}(" in wholes))
        sizes = re.findall(r"\b(?:(?:EACH|HELD|SUMS)(?:_[0-9]+)?|HIDDEN|TILES)\b", wholes)
        lines += imported(f"{module}.sizes", sorted(set(sizes)))
    return [*lines, "from gatewright.runtime.layout import Layout"]


def _layout(programs: Programs, forward: Direction, reverse: Direction) -> list[str]:
    cell = programs.cell

    def shapes(variables: tuple[Variable, ...]) -> dict[str, tuple[str, ...]]:
        return {variable.name: variable.dims for variable in variables}

    def places(arrays: tuple[Array, ...]) -> dict[str, tuple[str, ...]]:
        return {array.name: (array.place, *array.dims) for array in arrays}

    output = place(programs.forward)[programs.forward.results[0]]
    fields: tuple[tuple[str, object], ...] = (
        ("cell", cell.identifier),
        ("inputs", shapes(cell.inputs)),
        ("states", shapes(cell.states)),
        ("parameters", shapes(cell.parameters)),
        ("constants", {constant.name: constant.value for constant in cell.constants}),
        ("output", (output.array, output.offset)),
        ("products", {"forward": forward.products, "backward": reverse.products}),
        ("forward", places(forward.arrays)),
        ("reverse", places(reverse.arrays)),
    )
    lines = ["LAYOUT = Layout("]
    if forward.stacks or reverse.stacks:
        fields = (*fields, ("stacks", {"forward": forward.stacks, "backward": reverse.stacks}))
    if forward.needs or reverse.needs:
        fields = (*fields, ("wholes", {"forward": forward.needs, "backward": reverse.needs}))
    for name, value in fields:
        lines += literal(f"{name}=", value, 4)
    return [*lines, "    engine=engine,", ")"]
