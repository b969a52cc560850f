"""Program -> Listing: the functions of a generated file, as data that a template lays out.

From one Program come, in this order: a scalar function per elementwise stage (the mathematics, the
same text for every target), a function that runs it over all rows and units, `before`, `step`,
`sequence`, `after`, and for a reverse `outers`. Names of the reverse end in `_vjp`.

Why the driver routines are the same text for every target too: what differs between a CPU and a
GPU is how rows and units are visited and what `product` means, and both belong to the runtime.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.emit.lines import assignment, bracketed, chain, returned
from gatewright.emit.placement import CARRIED, LOCAL, PARAMETER, TIME, place, stored
from gatewright.emit.printer import python
from gatewright.language.cell import Dims
from gatewright.language.expression import operations
from gatewright.program.ir import (
    Elementwise,
    Outer,
    Product,
    Products,
    Program,
    Reduction,
    Role,
)

SECTION_DOC = {
    "before": "Compute what no state reaches, for all time steps at once ([T * B, dim] arrays).",
    "step": "Compute one time step of B rows.",
    "after": "Compute what no state needs, for all time steps at once ([T * B, dim] arrays).",
}


@dataclass(frozen=True)
class Routine:
    """A function of a generated file: its signature and body lines, broken and indented.

    `arguments` are the names to call it with; `shape_of` is the array whose shape a loop takes.
    """

    name: str
    signature: tuple[str, ...]
    doc: str
    body: tuple[str, ...]
    arguments: tuple[str, ...]
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
    arguments: tuple[str, ...]
    shape_of: str
    items: tuple[Sum, ...]


@dataclass(frozen=True)
class Array:
    """What the runtime must provide for one array: `place` as in `placement`, or `gradient`."""

    name: str
    place: str
    dims: Dims


@dataclass(frozen=True)
class Direction:
    """The routines of one Program, and what a caller must know to run them."""

    scalars: tuple[Routine, ...]
    loops: tuple[Routine, ...]
    sums: tuple[Sums, ...]
    drivers: tuple[Routine, ...]
    arrays: tuple[Array, ...]


def direction(program: Program, suffix: str, parted: bool) -> Direction:
    """Return the listing of one Program; `suffix` is empty or `_vjp`.

    With `parted`, every routine but the scalar ones takes a part first: the share of one thread.
    """
    return _Lister(program, suffix, parted).direction()


class _Lister:
    """Names and placements of one Program, shared by the functions that list its routines."""

    def __init__(self, program: Program, suffix: str, parted: bool) -> None:
        self.program = program
        self.part = ("part",) if parted else ()
        self.suffix = suffix
        self.placed = place(program)
        self.backwards = bool(program.roles(Role.COTANGENT))
        self.names = self._stage_names()
        self.scalars: list[Routine] = []
        self.loops: list[Routine] = []

    def _stage_names(self) -> dict[tuple[str, int], str]:
        found = {}
        for section, prefix in (("before", "before"), ("step", "cell"), ("after", "after")):
            stages = self.program.section(section)
            at = [index for index, stage in enumerate(stages) if isinstance(stage, Elementwise)]
            for number, index in enumerate(at, start=1):
                plain = (
                    f"{prefix}{self.suffix}" if prefix == "cell" else f"{prefix}{self.suffix}_cell"
                )
                found[section, index] = plain if len(at) == 1 else f"{plain}_{number}"
        return found

    def direction(self) -> Direction:
        drivers = []
        for section in ("before", "step", "after"):
            if self.program.section(section):
                drivers.append(self._section(section))
                if section == "step":
                    drivers.append(self._sequence(drivers[-1].arguments))
        sums = self._sums()
        if self.program.outers:
            drivers.append(self._outers(sums))
        return Direction(
            tuple(self.scalars), tuple(self.loops), sums, tuple(drivers), self._arrays()
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

    def _section(self, section: str) -> Routine:
        body: list[str] = []
        reads: dict[str, None] = {}
        writes: dict[str, None] = {}
        for index, stage in enumerate(self.program.section(section)):
            if isinstance(stage, Products):
                if self.part and section == "step":
                    body.append("    wait(part)")
                for product in stage.items:
                    body += _product_call(product, self.part)
                    reads.update(dict.fromkeys(product.reads))
                    writes.update((target.name, None) for target in product.targets)
            else:
                loop = self._elementwise(self.names[section, index], stage)
                body += bracketed(f"{loop.name}(", (*self.part, *loop.arguments), ")", 4)
                reads.update(dict.fromkeys(stage.reads))
                writes.update(dict.fromkeys(stored(stage, self.placed)))
        arguments = (*(name for name in reads if name not in writes), *writes)
        name = f"{section}{self.suffix}"
        signature = tuple(bracketed(f"def {name}(", (*self.part, *arguments), "):", 0))
        return Routine(name, signature, SECTION_DOC[section], tuple(body), arguments)

    def _elementwise(self, name: str, stage: Elementwise) -> Routine:
        """List the scalar function of a stage and its loop; return the loop."""
        results = stored(stage, self.placed)
        self.scalars.append(_scalar(name, stage, results))
        read = [self._element(argument) for argument in stage.reads]
        targets = [f"{result}[row, unit]" for result in results]
        arguments = (*stage.reads, *results)
        loop = Routine(
            name=f"{name}_rows",
            signature=tuple(bracketed(f"def {name}_rows(", (*self.part, *arguments), "):", 0)),
            doc=f"Run `{name}` for every row and every unit.",
            body=tuple(assignment(targets, name, read, 12)),
            arguments=arguments,
            shape_of=results[0],
        )
        self.loops.append(loop)
        return loop

    def _element(self, name: str) -> str:
        placed = self.placed[name]
        if not placed.dims:
            return name
        return f"{name}[unit]" if placed.place == PARAMETER else f"{name}[row, unit]"

    def _sequence(self, arguments: tuple[str, ...]) -> Routine:
        slabs: list[str] = []
        arrays: dict[str, None] = {}
        for argument in arguments:
            placed = self.placed[argument]
            whole = placed.place not in (TIME, CARRIED)
            at = "t + 1" if placed.offset else "t"
            slabs.append(argument if whole else f"{placed.array}[{at}]")
            arrays[argument if whole else placed.array] = None
        order = "range(T - 1, -1, -1)" if self.backwards else "range(T)"
        body = [f"    for t in {order}:"]
        body += bracketed(f"step{self.suffix}(", (*self.part, *slabs), ")", 8)
        name = f"sequence{self.suffix}"
        signature = tuple(bracketed(f"def {name}(", (*self.part, "T", *arrays), "):", 0))
        doc = "Run the steps in reverse order." if self.backwards else "Run the steps in order."
        return Routine(name, signature, doc, tuple(body), ("T", *arrays))

    def _sums(self) -> tuple[Sums, ...]:
        reductions = [item for item in self.program.outers if isinstance(item, Reduction)]
        dims = tuple(dict.fromkeys(item.dim for item in reductions))
        found = []
        for number, dim in enumerate(dims, start=1):
            items = [item for item in reductions if item.dim == dim]
            reads = tuple(dict.fromkeys(name for item in items for name in item.reads))
            targets = tuple(item.target.name for item in items)
            name = "sums" if len(dims) == 1 else f"sums_{number}"
            rows = [n for n in reads if self.placed[n].place != PARAMETER]
            found.append(
                Sums(
                    name=name,
                    signature=tuple(
                        bracketed(f"def {name}(", (*self.part, *reads, *targets), "):", 0)
                    ),
                    doc="Sum over all rows what becomes the gradients of vectors and scalars.",
                    arguments=(*reads, *targets),
                    shape_of=rows[0],
                    items=tuple(self._sum(item) for item in items),
                )
            )
        return tuple(found)

    def _sum(self, item: Reduction) -> Sum:
        target = item.target.name
        text = python(item.expr, self._element)
        return Sum(target, tuple(chain(f"{target}[unit]", text, 12, "+=")))

    def _outers(self, sums: tuple[Sums, ...]) -> Routine:
        body: list[str] = []
        names: dict[str, None] = {}
        for item in self.program.outers:
            if isinstance(item, Outer):
                targets = tuple(target.name for target in item.targets)
                call = "outer_more" if item.accumulate else "outer"
                parts = (*self.part, _tuple(item.lefts), item.right, _tuple(targets))
                body += bracketed(f"{call}(", parts, ")", 4)
                names.update(dict.fromkeys((*item.reads, *targets)))
        for each in sums:
            own = ("by_units(part)",) if self.part else ()
            body += bracketed(f"{each.name}(", (*own, *each.arguments), ")", 4)
            names.update(dict.fromkeys(each.arguments))
        arguments = tuple(names)
        name = f"outers{self.suffix}"
        signature = tuple(bracketed(f"def {name}(", (*self.part, *arguments), "):", 0))
        doc = "Sum the parameter gradients over all time steps and rows ([T * B, dim] arrays)."
        return Routine(name, signature, doc, tuple(body), arguments)


def _tuple(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"


def _product_call(product: Product, part: tuple[str, ...]) -> list[str]:
    weights = _tuple(product.weights)
    targets = _tuple(tuple(target.name for target in product.targets))
    if product.transposed:
        parts = (*part, _tuple(product.operands), weights, product.targets[0].name)
        return bracketed("product_transposed(", parts, ")", 4)
    return bracketed("product(", (*part, product.operands[0], weights, targets), ")", 4)


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
    return Routine(name, signature, doc, tuple(body), stage.reads)
