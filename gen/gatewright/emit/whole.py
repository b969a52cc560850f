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

Why one text for one block and for many, and for weights wherever they stand: those are numbers
(BLOCKS, HELD) that the planner sets, and what reads them are parts that all cells share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatewright.emit.lines import assignment, bracketed
from gatewright.emit.listing import Routine
from gatewright.emit.placement import LOCAL, PARAMETER, SCRATCH, TURNS, Placed
from gatewright.program.ir import Elementwise, Product, Products, Program, Role

# A term of a product: total += weight (transposed or not) @ operand.
Term = tuple[str, str, str]
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
        self.pitches, self.stages = pitches, stages
        self.backwards = bool(program.roles(Role.COTANGENT))
        self.constants = {variable.name for variable in program.roles(Role.CONSTANT)}
        self.products = [stage for stage in program.step if isinstance(stage, Products)]
        self.terms = [_terms(stage) for stage in self.products]
        weights = (weight for terms in self.terms for _, weight, _ in terms)
        self.slots = {weight: slot for slot, weight in enumerate(dict.fromkeys(weights))}
        self.totals: dict[str, int] = {}
        self.used: dict[str, None] = {}
        self.kept = self._crossing()

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

    @property
    def needs(self) -> dict[str, int]:
        """How many matrices, tiles, totals and values it holds, and how often its blocks meet."""
        tiles = (len({operand for _, _, operand in terms}) for terms in self.terms)
        return {
            "weights": len(self.slots),
            "tiles": max(tiles, default=0),
            "totals": max((len({t for t, _, _ in terms}) for terms in self.terms), default=0),
            "kept": len(self.kept),
            "terms": sum(map(len, self.terms)),
            "meetings": len(self.terms),
        }

    def routine(self) -> Routine:
        """Return the kernel."""
        body = [*self._step(), *self._handed_on()]
        order = "range(T - 1, -1, -1)" if self.backwards else "range(T)"
        lines = [*self._begun(), f"    for t in {order}:", *body]
        lines += self._ended()
        arrays = (*self.slots, *self.used)
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
        lines += [f"    {name}_kept = local_array(EACH, real)" for name in self.kept]
        lines += ["    for each in range(EACH):", "        row = own_row(each, B)"]
        return [*lines, *self._first()]

    def _first(self) -> list[str]:
        """Return the lines that read what the first step begins with."""
        found: dict[str, list[str]] = {}
        for start, _ in self.program.carried:
            placed = self.placed[start]
            self.used[placed.array] = None
            slab = "0" if not self.backwards else "T % 2" if placed.place == TURNS else "T"
            row = "row" if slab == "0" else f"({slab} * B + row)"
            # Of what is not there nothing is read: its neighbour may write in the meantime.
            found.setdefault(f"        at = {row} * HIDDEN + unit", []).append(
                f"        {start}_kept[each] = {placed.array}[at] if owns(each, B) else real(0)"
            )
        return [line for at, loads in found.items() for line in (at, *loads)]

    def _step(self) -> list[str]:
        lines: list[str] = []
        stages, products = iter(self.stages), iter(self.terms)
        for stage in self.program.step:
            if isinstance(stage, Products):
                lines += self._multiplied(next(products))
            else:
                lines += self._elementwise(*next(stages))
        # A product at the end of a step goes straight to the next one.
        return lines + (self._elementwise("", (), ()) if self.totals else [])

    def _multiplied(self, terms: list[Term]) -> list[str]:
        """Return the lines of a product stage."""
        often = self._meetings(self.terms.index(terms))
        operands = tuple(dict.fromkeys(operand for _, _, operand in terms))
        lines = [
            f"        share(exchange, {number}, {operand}_kept, {often})"
            for number, operand in enumerate(operands)
        ]
        targets = dict.fromkeys(target for target, _, _ in terms)
        self.totals = {target: at for at, target in enumerate(targets)}
        lines += [f"        meet(counters, {often})", f"        clear(totals, {len(targets)})"]
        if len(operands) == 1:
            lines += self._filled(terms, operands, often, 8)
        else:
            lines += ["        if TILES > 1:", *self._filled(terms, operands, often, 12)]
            lines.append("        else:")
            for number, operand in enumerate(operands):
                if number:
                    lines.append("            syncthreads()")
                own = [term for term in terms if term[2] == operand]
                lines += self._filled(own, (operand,), often, 12, number)
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
        lines += _multiplications(_runs(terms, self.totals, self.slots, tiles))
        return [f"{' ' * indent}{line}" for line in lines]

    def _elementwise(
        self, name: str, reads: tuple[str, ...], results: tuple[str, ...]
    ) -> list[str]:
        """Return the lines that run the function of a stage for the elements of a thread."""
        given = [self._read(argument) for argument in reads]
        values = [f"{result}_now" for result in results]
        stored = [f for f in (self._stored(result) for result in results) if f]
        stored += [f for f in map(self._stored_total, self.totals) if f]
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
        text = "\n".join(body)
        places = [line for line in self._places() if f"[{line.split(' = ')[0].strip()}]" in text]
        if places:
            places.insert(0, "            row = own_row(each, B)")
        self.totals = {}
        return [*lines, *places, *body]

    def _places(self) -> list[str]:
        """Return the lines for all places that elements of a step can have."""
        pitches = sorted({1, *self.pitches.values()})
        lines = []
        for pitch in pitches:
            width = "HIDDEN" if pitch == 1 else f"({pitch} * HIDDEN)"
            lines.append(f"            {place_name(pitch)} = (t * B + row) * {width} + unit")
        lines.append("            at_next = ((t + 1) * B + row) * HIDDEN + unit")
        return lines

    def _read(self, name: str) -> str:
        placed = self.placed[name]
        if name in self.totals:
            at = self.totals[name]
            return f"totals[{at} * EACH + each]" if at else "totals[each]"
        if name in self.kept:
            return f"{name}_kept[each]"
        self.used[placed.array] = None
        if not placed.dims:
            return name if name in self.constants else f"{name}[0]"
        if placed.place == PARAMETER:
            return f"{name}[unit]"
        return f"{placed.array}[{self._place_of(name)}]"

    def _place_of(self, name: str) -> str:
        return "at_next" if self.placed[name].offset else place_name(self.pitches.get(name, 1))

    def _stored(self, name: str) -> str:
        """Return the line that stores a value, empty if nobody reads it from memory."""
        placed = self.placed[name]
        if placed.place in (SCRATCH, LOCAL, TURNS):
            return ""
        self.used[placed.array] = None
        return f"{placed.array}[{self._place_of(name)}] = {name}_now"

    def _stored_total(self, name: str) -> str:
        if self.placed[name].place in (SCRATCH, LOCAL, TURNS):
            return ""
        self.used[name] = None
        return f"{name}[{self._place_of(name)}] = {self._read(name)}"

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


def _terms(stage: Products) -> list[Term]:
    return [term for product in stage.items for term in _terms_of(product)]


def _terms_of(product: Product) -> list[Term]:
    targets = [target.name for target in product.targets]
    if product.transposed:
        pairs = zip(product.weights, product.operands, strict=True)
        return [(targets[0], weight, operand) for weight, operand in pairs]
    return [(t, w, product.operands[0]) for t, w in zip(targets, product.weights, strict=True)]


def _runs(
    terms: list[Term], totals: dict[str, int], slots: dict[str, int], tiles: dict[str, int]
) -> list[tuple[int, int, int, int]]:
    """Return (first total, first slot, count, tile): terms that share an operand, in one loop."""
    found: list[tuple[int, int, int, int]] = []
    for target, weight, operand in terms:
        total, slot, tile = totals[target], slots[weight], tiles[operand]
        if found:
            first, first_slot, count, last_tile = found[-1]
            if (first + count, first_slot + count, last_tile) == (total, slot, tile):
                found[-1] = (first, first_slot, count + 1, tile)
                continue
        found.append((total, slot, 1, tile))
    return found


def _multiplications(runs: list[tuple[int, int, int, int]]) -> list[str]:
    """Return the calls for runs of terms: a loop where tiles in order take matrices in order.

    A call is expanded in place, and a compiler takes its time for each.
    """
    first, slot, count, _ = runs[0]
    if len(runs) > 1 and runs == [(first, slot + n, 1, n) for n in range(len(runs))]:
        matrix = f"{slot} + tile" if slot else "tile"
        call = f"multiply(totals, held, {first}, {matrix}, {count}, tile)"
        return [f"for tile in range({len(runs)}):", f"    {call}"]
    return [f"multiply(totals, held, {', '.join(map(str, run))})" for run in runs]


def _several(size: str, count: int) -> str:
    """Return the name of a size, or of a multiple of it."""
    return size if count == 1 else f"{size}_{count}"


def place_name(pitch: int) -> str:
    """Return the name of an element's place in an array of so many columns."""
    return "at" if pitch == 1 else f"at_{pitch}"
