"""Program -> one kernel that runs all steps of a sequence, its weights loaded once.

Weights stand in registers (`held`), as many as they hold, and the rest in shared memory. A block
owns some units of some rows; a thread owns one unit of EACH rows. What a step hands to the next
stays in registers (`h_kept`). Before a product, its operand is brought together: within a block
through shared memory, between blocks through `exchange`, in the words that are multiplied.

    share     the thread's values of an operand, for other blocks
    meet      all that threads wrote can be read
    fill      the operand of the block's rows, all units of it, in shared memory
    filled    what threads filled can be read
    multiply  sums in registers (`totals`), of the terms that the thread's warp multiplies
    collect   totals of the thread's unit and rows, of all terms
    cell_1    the same elementwise function that a step by itself calls

What functions read of memory is fetched while blocks wait for an operand, and what the first one of
a step reads, a step ahead: an answer of memory takes as long as a product does, and what follows a
barrier would wait for it again after each division, whose rare cases are a branch.

Why one text for one block and for many, and for weights wherever they stand: those are numbers
(BLOCKS, HELD) that the planner sets, and what reads them are parts that all cells share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatewright.emit.lines import assignment, bracketed
from gatewright.emit.listing import Routine
from gatewright.emit.placement import TURNS, Placed
from gatewright.emit.whole_elements import FIRST, LAST, NOW, SOON, Elements
from gatewright.emit.whole_products import Term, multiplications, runs_of, terms_of
from gatewright.program.ir import Elementwise, Products, Program, Role

_SIZES = ("T", "B", "counters", "exchange")


@dataclass(frozen=True)
class Whole:
    """A kernel, and what a planner must know of it, by name."""

    routine: Routine
    needs: dict[str, int]


def whole_kernel(
    program: Program,
    suffix: str,
    placed: dict[str, Placed],
    pitches: dict[str, int],
    stages: Sequence[tuple[str, tuple[str, ...], tuple[str, ...]]],
) -> Whole | None:
    """Return the kernel of a Program's steps, None if it cannot be one.

    `stages` are name, arguments and results of the function of each elementwise stage of a step;
    `placed` says where values live when the steps run one by one.
    """
    if why_no_whole(program):
        return None
    writer = _Writer(program, suffix, placed, pitches, stages)
    return Whole(writer.routine(), writer.needs)


def why_no_whole(program: Program) -> str:
    """Return why the steps of a Program cannot be one kernel, empty if they can."""
    stages = [stage for stage in program.step if isinstance(stage, Elementwise)]
    dims = {stage.dim for stage in stages}
    if len(dims) != 1:
        return "its steps compute over more than one dimension"
    variables = program.variables
    products = [p for s in program.step if isinstance(s, Products) for p in s.items]
    for name in {name for product in products for name in product.weights}:
        if variables[name].dims != (*dims, *dims):
            return f"`{name}` is not square"
    return ""


class _Writer:
    """Lines of one kernel, written stage by stage."""

    def __init__(
        self,
        program: Program,
        suffix: str,
        placed: dict[str, Placed],
        pitches: dict[str, int],
        stages: Sequence[tuple[str, tuple[str, ...], tuple[str, ...]]],
    ) -> None:
        self.program, self.suffix, self.placed = program, suffix, placed
        self.stages = stages
        self.backwards = bool(program.roles(Role.COTANGENT))
        constants = {variable.name for variable in program.roles(Role.CONSTANT)}
        self.elements = Elements(placed, pitches, constants)
        self.products = [stage for stage in program.step if isinstance(stage, Products)]
        self.terms = [terms_of(stage) for stage in self.products]
        weights = (weight for terms in self.terms for _, weight, _ in terms)
        self.slots = {weight: slot for slot, weight in enumerate(dict.fromkeys(weights))}
        self.totals: dict[str, int] = {}
        self.kept = self._crossing()
        self.vectors, self.fetched = self._from_memory()
        # Where the function that is written now finds what was fetched for it.
        self.found: dict[str, str] = {}

    def _crossing(self) -> tuple[str, ...]:
        """Return the values that stay in registers: carried, or read by a later stage."""
        found = dict.fromkeys(name for pair in self.program.carried for name in pair)
        found |= dict.fromkeys(self._late_totals())
        operands = {operand for terms in self.terms for _, _, operand in terms}
        for number, (_, _, results) in enumerate(self.stages):
            later = {name for _, reads, _ in self.stages[number + 1 :] for name in reads}
            found.update(dict.fromkeys(name for name in results if name in later | operands))
        return tuple(found)

    def _late_totals(self) -> list[str]:
        """Return the products that another stage reads than the one that follows them."""
        late: list[str] = []
        for at, stage in enumerate(self.program.step):
            if isinstance(stage, Products):
                targets = [target.name for item in stage.items for target in item.targets]
                after = self.program.step[at + 2 :]
                reads = {n for each in after for item in each.items for n in item.reads}
                late += [name for name in targets if name in reads]
        return late

    def _from_memory(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Return the parameters that functions read, and of arrays of steps what each of them does.

        Where no product is, there is no wait to fetch anything in.
        """
        elsewhere = {target for terms in self.terms for target, _, _ in terms}
        elsewhere |= {*self.kept, *self.elements.constants}
        reads = [[n for n in reads if n not in elsewhere] for _, reads, _ in self.stages]
        given = {n for names in reads for n in names if self.elements.given(n)}
        vectors = dict.fromkeys(n for names in reads for n in names if n in given)
        arrays = [tuple(dict.fromkeys(n for n in names if n not in given)) for names in reads]
        return tuple(vectors), tuple(arrays if self.products else ((),) * len(arrays))

    @property
    def _ahead(self) -> tuple[str, ...]:
        """What the first function of a step reads, fetched a step ahead if no product is before."""
        first = isinstance(self.program.step[0], Elementwise)
        return self.fetched[0] if first else ()

    @property
    def _behind(self) -> list[tuple[str, ...]]:
        """What is fetched at each product, for the function behind it."""
        first = 1 if isinstance(self.program.step[0], Elementwise) else 0
        return [*self.fetched[first:], ()][: len(self.terms)]

    @property
    def needs(self) -> dict[str, int]:
        """How many matrices, tiles, totals and values it holds, and how often its blocks meet."""
        tiles = (len({operand for _, _, operand in terms}) for terms in self.terms)
        return {
            "weights": len(self.slots),
            "tiles": max(tiles, default=0),
            "totals": max((len({t for t, _, _ in terms}) for terms in self.terms), default=0),
            "kept": len(self.kept),
            "fetched": len(self._ahead) + max(map(len, self._behind), default=0),
            "vectors": len(self.vectors),
            "terms": sum(map(len, self.terms)),
            "meetings": len(self.terms),
        }

    def routine(self) -> Routine:
        """Return the kernel."""
        body = [*self._step(), *self._handed_on()]
        order = "range(T - 1, -1, -1)" if self.backwards else "range(T)"
        lines = [*self._begun(), f"    for t in {order}:", *body]
        lines += self._ended()
        arrays = (*self.slots, *self.elements.used)
        doc = "Run all steps in one kernel, its weights in registers and shared memory."
        name = f"steps{self.suffix}_whole"
        signature = bracketed(f"def {name}(", (*_SIZES, *dict.fromkeys(arrays)), "):", 0)
        return Routine(name, tuple(signature), doc, tuple(lines))

    def _begun(self) -> list[str]:
        """Return the lines before the loop: weights, registers, what the first step reads."""
        lines = ["    unit = own_unit()"]
        transposed = any(p.transposed for stage in self.products for p in stage.items)
        load = "load_columns" if transposed else "load_rows"
        if self.slots:
            lines.append(f"    held = local_array(HELD_{len(self.slots)}, real)")
            lines += [f"    {load}(held, {weight}, {slot})" for weight, slot in self.slots.items()]
            lines.append("    clear_tiles()")
        most = self.needs["totals"]
        if most:
            lines.append(f"    totals = local_array({_several('SUMS', most)}, real)")
        fetched = (*sum(self._behind, ()), *map(_soon, self._ahead))
        registers = dict.fromkeys((*self.kept, *self.vectors, *fetched))
        lines += [f"    {name}_kept = local_array(EACH, real)" for name in registers]
        lines += ["    for each in range(EACH):", "        row = own_row(each, B)"]
        return [*lines, *self._first()]

    def _first(self) -> list[str]:
        """Return the lines that read what the first step begins with."""
        found: dict[str, list[str]] = {}
        for start, _ in self.program.carried:
            placed = self.placed[start]
            self.elements.used[placed.array] = None
            slab = "0" if not self.backwards else "T % 2" if placed.place == TURNS else "T"
            row = "row" if slab == "0" else f"({slab} * B + row)"
            # Of what is not there nothing is read: its neighbour may write in the meantime.
            found.setdefault(f"        at = {row} * HIDDEN + unit", []).append(
                f"        {start}_kept[each] = {placed.array}[at] if owns(each, B) else real(0)"
            )
        lines = [line for at, loads in found.items() for line in (at, *loads)]
        lines += [
            f"        {name}_kept[each] = {self.elements.text(name)}" for name in self.vectors
        ]
        return lines + self._fetches(self._ahead, LAST if self.backwards else FIRST, 8, _soon)

    def _fetches(
        self,
        names: Sequence[str],
        slabs: tuple[str, str],
        indent: int,
        register: Callable[[str], str] = str,
    ) -> list[str]:
        """Return the lines that bring elements of a step, and of the next one, to registers."""
        loads = [f"{register(name)}_kept[each] = {self.elements.text(name)}" for name in names]
        lines = [*self.elements.places("\n".join(loads), slabs), *loads]
        return [f"{' ' * indent}{line}" for line in lines]

    def _waited(self, number: int) -> list[str]:
        """Return the lines that fetch, while blocks wait for the operands of a product stage."""
        lines = self._fetches(self._behind[number], NOW, 12)
        if number == len(self.terms) - 1:
            lines += self._fetches(self._ahead, SOON[self.backwards], 12, _soon)
        row = "            row = own_row(each, B)"
        return ["        for each in range(EACH):", row, *lines] if lines else []

    def _step(self) -> list[str]:
        lines: list[str] = []
        stages, products = iter(self.stages), iter(self.terms)
        self.found = {name: _soon(name) for name in self._ahead}
        for stage in self.program.step:
            if isinstance(stage, Products):
                lines += self._multiplied(next(products))
                self.found = {}
            else:
                lines += self._elementwise(*next(stages))
        # A product at the end of a step goes straight to the next one.
        return lines + (self._elementwise("", (), ()) if self.totals else [])

    def _multiplied(self, terms: list[Term]) -> list[str]:
        """Return the lines of a product stage."""
        number = self.terms.index(terms)
        often = self._meetings(number)
        operands = tuple(dict.fromkeys(operand for _, _, operand in terms))
        lines = [
            f"        share(exchange, {at}, {operand}_kept, {often})"
            for at, operand in enumerate(operands)
        ]
        targets = dict.fromkeys(target for target, _, _ in terms)
        self.totals = {target: at for at, target in enumerate(targets)}
        lines += [f"        meet(counters, {often})", f"        clear(totals, {len(targets)})"]
        lines += self._waited(number)
        if len(operands) == 1:
            lines += self._filled(terms, operands, often, 8)
        else:
            lines += ["        if TILES > 1:", *self._filled(terms, operands, often, 12)]
            lines.append("        else:")
            for at, operand in enumerate(operands):
                if at:
                    lines.append("            syncthreads()")
                own = [term for term in terms if term[2] == operand]
                lines += self._filled(own, (operand,), often, 12, at)
        return [*lines, f"        collect(totals, {len(targets)})"]

    def _meetings(self, number: int) -> str:
        """Return how often the blocks have met when the operands of a product stage are filled."""
        count, step = len(self.terms), "(T - t)" if self.backwards else "(t + 1)"
        often = step[1:-1] if count == 1 else f"{count} * {step}"
        before = count - 1 - number
        return f"{often} - {before}" if before else often

    def _filled(
        self,
        terms: list[Term],
        operands: tuple[str, ...],
        often: str,
        indent: int,
        first_operand: int = 0,
    ) -> list[str]:
        """Return the lines that bring operands together and multiply with them."""
        tiles = {operand: tile for tile, operand in enumerate(operands)}
        lines = [
            f"fill({tile}, exchange, {first_operand + tile}, {operand}_kept, {often})"
            for operand, tile in tiles.items()
        ]
        lines.append("filled()")
        lines += multiplications(runs_of(terms, self.totals, self.slots, tiles))
        return [f"{' ' * indent}{line}" for line in lines]

    def _elementwise(
        self, name: str, reads: tuple[str, ...], results: tuple[str, ...]
    ) -> list[str]:
        """Return the lines that run the function of a stage for the elements of a thread."""
        given = [self._read(argument) for argument in reads]
        values = [f"{result}_now" for result in results]
        stored = [line for each in results for line in self._stored(each, f"{each}_now")]
        stored += [line for each in self.totals for line in self._stored(each, self._read(each))]
        lines = ["        for each in range(EACH):"]
        body = assignment(values, name, given, 12) if name else []
        body += [
            f"            {target}_kept[each] = {self._read(target)}"
            for target in self.totals
            if target in self.kept
        ]
        body += [
            f"            {result}_kept[each] = {result}_now"
            for result in results
            if result in self.kept
        ]
        if stored:
            body.append("            if owns(each, B):")
            body += [f"                {line}" for line in stored]
        places = [f"            {line}" for line in self.elements.places("\n".join(body), NOW)]
        if places:
            places.insert(0, "            row = own_row(each, B)")
        self.totals = {}
        return [*lines, *places, *body]

    def _read(self, name: str) -> str:
        if name in self.totals:
            at = self.totals[name]
            return f"totals[{at} * EACH + each]" if at else "totals[each]"
        if name in self.kept or name in self.vectors:
            return f"{name}_kept[each]"
        if any(name in names for names in self.fetched):
            return f"{self.found.get(name, name)}_kept[each]"
        return self.elements.text(name)

    def _stored(self, name: str, value: str) -> list[str]:
        """Return the line that stores a value, none if nobody reads it from memory."""
        target = self.elements.target(name)
        return [f"{target} = {value}"] if target else []

    def _handed_on(self) -> list[str]:
        """Return the lines that make what a step computed what the next one begins with."""
        moves = [f"            {a}_kept[each] = {b}_kept[each]" for a, b in self.program.carried]
        return ["        for each in range(EACH):", *moves]

    def _ended(self) -> list[str]:
        """Return the lines after the loop: what only the last step has to store."""
        turns = [start for start, _ in self.program.carried if self.placed[start].place == TURNS]
        if not turns:
            return []
        stores = [
            f"            {self.placed[start].array}[row * HIDDEN + unit] = {start}_kept[each]"
            for start in turns
        ]
        return [
            "    for each in range(EACH):",
            "        row = own_row(each, B)",
            "        if owns(each, B):",
            *stores,
        ]


def _soon(name: str) -> str:
    """Return what a value of the step to come is called."""
    return f"{name}_soon"


def _several(size: str, count: int) -> str:
    """Return the name of a size, or of a multiple of it."""
    return size if count == 1 else f"{size}_{count}"
