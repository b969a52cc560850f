"""Program -> the routines that run it: its sections, and the loop over chunks of time steps.

`before`, `step` and `after` call the loops and products of one section in order, `outers` sums the
gradients of parameters, and `forward` or `backward` runs all of them for a sequence:

    for each chunk of time steps:  before, the steps one by one, after, outers

Where the `after` of a reverse computes nothing but gradients of inputs, which nobody may want, it
is run if `inputs` says so.

Why in chunks: what `before` leaves for the steps, and the steps for `outers`, is read while it is
still in cache, and the memory it takes does not grow with the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatewright.emit.lines import bracketed
from gatewright.emit.placement import (
    CARRIED,
    CHUNK,
    PARAMETER,
    SAVED,
    SCRATCH,
    TURNS,
    Placed,
    stored,
)
from gatewright.program.ir import Outer, Product, Products, Program, Role

_DOCS = {
    "before": "Compute what no state reaches, for a chunk of time steps at once.",
    "step": "Compute one time step of B rows.",
    "after": "Compute what no state needs, for a chunk of time steps at once.",
    "outers": "Sum the gradients of parameters over a chunk; with `more`, add to what is there.",
    "forward": "Run T time steps, in chunks.",
    "backward": "Run T time steps from the last to the first, in chunks.",
}


@dataclass(frozen=True)
class Driver:
    """A routine that calls others: signature and body lines, and the names to call it with."""

    name: str
    signature: tuple[str, ...]
    doc: str
    body: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Called:
    """A loop or a sum that a driver calls: its name and the names to call it with."""

    name: str
    arguments: tuple[str, ...]


class Drivers:
    """Writes the drivers of one Program; with `parted`, each takes the part of one thread first."""

    def __init__(
        self, program: Program, suffix: str, placed: dict[str, Placed], parted: bool
    ) -> None:
        self.program = program
        self.suffix = suffix
        self.placed = placed
        self.part = ("part",) if parted else ()
        self.backwards = bool(program.roles(Role.COTANGENT))

    def section(self, section: str, loops: Sequence[Called]) -> Driver:
        """Return the routine of one section; `loops` are those of its elementwise stages."""
        waiting = iter(loops)
        body: list[str] = []
        reads: dict[str, None] = {}
        writes: dict[str, None] = {}
        for index, stage in enumerate(self.program.section(section)):
            if isinstance(stage, Products):
                # Sections other than the step begin where all threads have met.
                if self.part and (index or section == "step"):
                    body.append("    wait(part)")
                for product in stage.items:
                    body += self._product(product)
                    reads.update(dict.fromkeys(product.reads))
                    writes.update((target.name, None) for target in product.targets)
            else:
                loop = next(waiting)
                body += bracketed(f"{loop.name}(", (*self.part, *loop.arguments), ")", 4)
                reads.update(dict.fromkeys(stage.reads))
                writes.update(dict.fromkeys(stored(stage, self.placed)))
        arguments = (*(name for name in reads if name not in writes), *writes)
        return self._driver(f"{section}{self.suffix}", _DOCS[section], arguments, body)

    def outers(self, sums: Sequence[Called]) -> Driver:
        """Return the routine that sums the gradients of parameters."""
        body: list[str] = []
        names: dict[str, None] = {"more": None}
        for item in self.program.outers:
            if isinstance(item, Outer):
                targets = tuple(target.name for target in item.targets)
                more = "True" if item.accumulate else "more"
                parts = (*self.part, more, _tuple(item.lefts), item.right, _tuple(targets))
                body += bracketed("outer(", parts, ")", 4)
                names.update(dict.fromkeys((*item.reads, *targets)))
        for each in sums:
            own = ("by_units(part)",) if self.part else ()
            body += bracketed(f"{each.name}(", (*own, *each.arguments), ")", 4)
            names.update(dict.fromkeys(each.arguments))
        return self._driver(f"outers{self.suffix}", _DOCS["outers"], tuple(names), body)

    def whole(self, drivers: Sequence[Driver]) -> list[Driver]:
        """Return the routine that runs a sequence with the given ones: `forward` or `backward`."""
        name = "backward" if self.backwards else "forward"
        known = {driver.name.removesuffix(self.suffix): driver for driver in drivers}
        arrays: dict[str, None] = {}
        for driver in drivers:
            arrays.update((self._array(each), None) for each in driver.arguments if each != "more")
        body = self._chunk_head()
        meet = ["        meet(part)"] if self.part else []
        optional = "after" in known and self.for_inputs_alone()
        for section in ("before", "step", "after", "outers"):
            if section not in known:
                continue
            # A section reads what the threads wrote by other shares, or writes over what they read.
            called = list(meet)
            if section == "step":
                order = "range(last - 1, first - 1, -1)" if self.backwards else "range(first, last)"
                called.append(f"        for t in {order}:")
                called += self._call(known[section], self._slab, 12)
            elif section == "after" and optional:
                called = ["        if inputs:", *(f"    {line}" for line in meet)]
                called += self._call(known[section], self._rows, 12)
            else:
                called += self._call(known[section], self._rows, 8)
            body += called
        shifts = any("shift" in line for line in body)
        if shifts:
            body.insert(2, "        shift = 0 if kept else first")
        flags = {"more": self.backwards, "inputs": optional, "kept": shifts}
        extra = (flag for flag, there in flags.items() if there)
        return [self._driver(name, _DOCS[name], ("T", "chunk", *extra, *arrays), body)]

    def for_inputs_alone(self) -> bool:
        """Tell whether `after` computes gradients of inputs and nothing that `outers` reads."""
        late = {target.name for item in self.program.statements("after") for target in item.targets}
        read = {name for item in self.program.outers for name in item.reads}
        return self.backwards and late.isdisjoint(read)

    def _chunk_head(self) -> list[str]:
        if self.backwards:
            return [
                "    for last in range(T, 0, -chunk):",
                "        first = max(last - chunk, 0)",
            ]
        return [
            "    for first in range(0, T, chunk):",
            "        last = min(first + chunk, T)",
        ]

    def _call(self, driver: Driver, place: Callable[[str], str], indent: int) -> list[str]:
        arguments = [place(name) for name in driver.arguments]
        return bracketed(f"{driver.name}(", (*self.part, *arguments), ")", indent)

    def _array(self, name: str) -> str:
        return self.placed[name].array if name in self.placed else name

    def _slab(self, name: str) -> str:
        """Return the text for what step `t` takes under a name."""
        placed = self.placed[name]
        match placed.place:
            case _ if placed.place in (PARAMETER, SCRATCH):
                return placed.array
            case _ if placed.place == CHUNK:
                at = "t - first"
            case _ if placed.place == TURNS:
                at = "(t + 1) % 2" if placed.offset else "t % 2"
            case _ if placed.place == SAVED and not self.backwards:
                at = "t - shift"
            case _:
                at = "t + 1" if placed.offset else "t"
        return f"{placed.array}[{at}]"

    def _rows(self, name: str) -> str:
        """Return the text for what a section takes under a name: the rows of a chunk."""
        if name == "more":
            return "more or last < T"
        placed = self.placed.get(name)
        if placed is None or placed.place == PARAMETER:
            return name
        bounds = "first, last"
        if placed.place == CHUNK:
            bounds = "0, last - first"
        elif placed.place == SAVED and not self.backwards:
            bounds = "first - shift, last - shift"
        elif placed.place == CARRIED and placed.offset:
            bounds = "first + 1, last + 1"
        return f"flat({placed.array}, {bounds})"

    def _product(self, product: Product) -> list[str]:
        weights = _tuple(product.weights)
        targets = _tuple(tuple(target.name for target in product.targets))
        if product.transposed:
            parts = (*self.part, _tuple(product.operands), weights, product.targets[0].name)
            return bracketed("product_transposed(", parts, ")", 4)
        return bracketed("product(", (*self.part, product.operands[0], weights, targets), ")", 4)

    def _driver(
        self, name: str, doc: str, arguments: tuple[str, ...], body: Sequence[str]
    ) -> Driver:
        signature = tuple(bracketed(f"def {name}(", (*self.part, *arguments), "):", 0))
        return Driver(name, signature, doc, tuple(body), arguments)


def _tuple(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
