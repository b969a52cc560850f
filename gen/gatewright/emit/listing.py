"""Program -> Listing: the functions of a generated file, as data that a template lays out.

From one Program come, in this order: a scalar function per elementwise stage (the mathematics, the
same text for every target), a function that runs it over all rows and units, for a reverse the sums
over rows, and the drivers (`drivers.py`). Names of the reverse end in `_vjp`.

Why the drivers are the same text for every target too: what differs between a CPU and a GPU is how
rows and units are visited and what `product` means, and both belong to the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewright.emit.drivers import Called, Driver, Drivers
from gatewright.emit.lines import assignment, bracketed, chain, returned
from gatewright.emit.placement import LOCAL, PARAMETER, Placed, place, stored
from gatewright.emit.printer import python
from gatewright.language.cell import Dims
from gatewright.language.expression import operations
from gatewright.program.compile import Programs
from gatewright.program.ir import SECTIONS, Elementwise, Products, Program, Reduction


@dataclass(frozen=True)
class Routine:
    """A scalar function or a loop: its signature and body lines, broken and indented.

    `shape_of` is the array whose shape a loop takes.
    """

    name: str
    signature: tuple[str, ...]
    doc: str
    body: tuple[str, ...]
    shape_of: str = ""


@dataclass(frozen=True)
class Sum:
    """One parameter gradient that is a sum over rows: `target` [units], and what adds to it."""

    target: str
    body: tuple[str, ...]


@dataclass(frozen=True)
class Sums:
    """The sums of one dimension: they share their loop."""

    name: str
    signature: tuple[str, ...]
    doc: str
    shape_of: str
    items: tuple[Sum, ...]
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Array:
    """What the runtime must provide for one array: `place` as in `placement`, or `gradient`."""

    name: str
    place: str
    dims: Dims


@dataclass(frozen=True)
class Direction:
    """The routines of one Program, and what a caller must know to run them.

    `products` are the matrices that each product stage of a step multiplies with, `stacks` the
    arrays and matrices that stand side by side in memory (`stacking.py`), `wholes` the kernel that
    runs all steps (`whole.py`) and `needs` what its planner must know.
    """

    scalars: tuple[Routine, ...]
    loops: tuple[Routine, ...]
    sums: tuple[Sums, ...]
    drivers: tuple[Driver, ...]
    arrays: tuple[Array, ...]
    products: tuple[tuple[str, ...], ...]
    stacks: tuple[tuple[str, ...], ...] = ()
    wholes: tuple[Routine, ...] = ()
    needs: Mapping[str, int] = field(default_factory=dict)


def directions(programs: Programs) -> tuple[Direction, Direction]:
    """Return the listings of both Programs of a cell for threads of a CPU.

    Every routine but the scalar ones takes a part first: the share of one thread.
    """
    return _direction(programs.forward, ""), _direction(programs.reverse, "_vjp")


def _direction(program: Program, suffix: str) -> Direction:
    placed = place(program)
    return Lister(program, suffix, placed, Drivers(program, suffix, placed, parted=True)).listed()


class Lister:
    """Names and placements of one Program, shared by the functions that list its routines."""

    part: tuple[str, ...] = ("part",)
    indent = 12
    # What a routine that sums takes after its part, and what it says of itself.
    sum_part: tuple[str, ...] = ("more",)
    sum_doc = "Sum over all rows what becomes the gradients of vectors and scalars."

    def __init__(
        self, program: Program, suffix: str, placed: dict[str, Placed], drivers: Drivers
    ) -> None:
        self.program = program
        self.suffix = suffix
        self.placed = placed
        self.drivers = drivers
        self.scalars: list[Routine] = []
        self.loops: list[Routine] = []

    def listed(self) -> Direction:
        """Return all routines of the Program."""
        drivers = []
        for section in SECTIONS:
            if self.program.section(section):
                drivers.append(self.drivers.section(section, self._stages(section)))
        sums: list[Sums] = []
        if self.program.outers:
            called = self._sums(sums)
            drivers.append(self.drivers.outers(called))
        drivers += self.drivers.whole(drivers)
        return Direction(
            tuple(self.scalars),
            tuple(self.loops),
            tuple(sums),
            tuple(drivers),
            self._arrays(),
            tuple(
                tuple(weight for item in stage.items for weight in item.weights)
                for stage in self.program.step
                if isinstance(stage, Products)
            ),
        )

    def _arrays(self) -> tuple[Array, ...]:
        found: dict[str, Array] = {}
        for placed in self.placed.values():
            if placed.place not in (LOCAL, PARAMETER):
                found.setdefault(placed.array, Array(placed.array, placed.place, placed.dims))
        for outer in self.program.outers:
            for target in outer.targets:
                # A scalar's gradient is summed over rows here and over units by the caller.
                dims = target.dims or ((outer.dim,) if isinstance(outer, Reduction) else ())
                found.setdefault(target.name, Array(target.name, "gradient", dims))
        return tuple(found.values())

    def _stages(self, section: str) -> list[Called]:
        """List the scalar functions and loops of a section; return the loops to call."""
        plain = f"cell{self.suffix}" if section == "step" else f"{section}{self.suffix}_cell"
        every = self.program.section(section)
        stages = [stage for stage in every if isinstance(stage, Elementwise)]
        found = []
        for number, stage in enumerate(stages, start=1):
            name = plain if len(stages) == 1 else f"{plain}_{number}"
            found.append(self._elementwise(name, stage))
        return found

    def _elementwise(self, name: str, stage: Elementwise) -> Called:
        """List the scalar function of a stage and its loop; return the loop."""
        results = stored(stage, self.placed)
        self.scalars.append(_scalar(name, stage, results))
        read = [self.element(argument) for argument in stage.reads]
        targets = [self.element(result) for result in results]
        arguments = (*stage.reads, *results)
        loop = Routine(
            name=f"{name}_rows",
            signature=tuple(bracketed(f"def {name}_rows(", (*self.part, *arguments), "):", 0)),
            doc=f"Run `{name}` for every row and every unit.",
            body=(*self.places(arguments), *assignment(targets, name, read, self.indent)),
            shape_of=results[0],
        )
        self.loops.append(loop)
        return Called(loop.name, arguments)

    def element(self, name: str) -> str:
        """Return the text for the element of a value that the current row and unit have."""
        placed = self.placed[name]
        if not placed.dims:
            return name
        return f"{name}[unit]" if placed.place == PARAMETER else f"{name}[row, unit]"

    def places(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines that compute where the elements of a loop's arguments are."""
        return ()

    def _sums(self, listed: list[Sums]) -> list[Called]:
        reductions = [item for item in self.program.outers if isinstance(item, Reduction)]
        dims = tuple(dict.fromkeys(item.dim for item in reductions))
        called = []
        for number, dim in enumerate(dims, start=1):
            items = [item for item in reductions if item.dim == dim]
            reads = tuple(dict.fromkeys(name for item in items for name in item.reads))
            targets = tuple(item.target.name for item in items)
            name = "sums" if len(dims) == 1 else f"sums_{number}"
            rows = [n for n in reads if self.placed[n].place != PARAMETER]
            takes = (*self.part, *self.sum_part, *reads, *targets)
            listed.append(
                Sums(
                    name=name,
                    signature=tuple(bracketed(f"def {name}(", takes, "):", 0)),
                    doc=self.sum_doc,
                    shape_of=rows[0],
                    items=tuple(self._sum(item) for item in items),
                    places=self.sum_places(reads),
                )
            )
            called.append(Called(name, ("more", *reads, *targets)))
        return called

    def sum_places(self, reads: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines that compute where the elements that a sum reads are."""
        return ()

    def summed(self, target: str) -> str:
        """Return the text for what a sum adds to."""
        return f"{target}[unit]"

    def _sum(self, item: Reduction) -> Sum:
        target = item.target.name
        text = python(item.expr, self.element)
        return Sum(target, tuple(chain(self.summed(target), text, 12, "+=")))


def _scalar(name: str, stage: Elementwise, results: tuple[str, ...]) -> Routine:
    body: list[str] = []
    note = ""
    for item in stage.items:
        if item.note != note:
            note = item.note
            body.append(f"    # {note}")
        body += chain(item.target.name, python(item.expr), 4)
    body += returned(results, 4)
    count = sum(operations(item.expr) for item in stage.items)
    doc = f"Compute {', '.join(results)} of one row and unit: {count} operations."
    if len(doc) > 88:
        doc = f"Compute {len(results)} values of one row and unit: {count} operations."
    signature = tuple(bracketed(f"def {name}(", stage.reads, "):", 0))
    return Routine(name, signature, doc, tuple(body))
