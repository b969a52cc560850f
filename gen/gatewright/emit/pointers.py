"""Program -> Listing for CUDA: kernels that take pointers and sizes, drivers that launch them.

A kernel takes the numbers of rows and units and a pointer per array. Where the element of a row and
a unit is depends on how many arrays stand side by side: `at` in an array of its own, `at_3` in one
of three columns. `steps` is a driver of its own, so that the runtime can capture it in a graph or
put one kernel in its place.

Why pointers and not arrays: a launch then passes eight bytes per array, and an index costs one
multiplication where an array's strides cost two and a test of its sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gatewright.emit.drivers import Driver, Drivers
from gatewright.emit.lines import bracketed
from gatewright.emit.listing import Direction, Lister
from gatewright.emit.placement import (
    CARRIED,
    PARAMETER,
    SCRATCH,
    TURNS,
    Placed,
    place,
    stored,
)
from gatewright.emit.stacking import settled, stacks
from gatewright.emit.whole import Whole, whole_kernel
from gatewright.emit.whole_elements import place_name
from gatewright.program.compile import Programs
from gatewright.program.ir import Elementwise, Program, Role


def pointer_directions(programs: Programs) -> tuple[Direction, Direction]:
    """Return the listings of both Programs of a cell for CUDA."""
    forward = _lister(programs.forward, "", {})
    return forward.listed(), _lister(programs.reverse, "_vjp", forward.pitches).listed()


def _lister(program: Program, suffix: str, pitches: dict[str, int]) -> PointerLister:
    """Return the lister of a Program; `pitches` are those of values that it is given."""
    placed = place(program)
    found = stacks(program, placed)
    settled_places = settled(found, placed)
    drivers = SequenceDrivers(program, suffix, settled_places)
    return PointerLister(program, suffix, settled_places, drivers, found, pitches)


class SequenceDrivers(Drivers):
    """Writes drivers that run all time steps at once, section by section."""

    def __init__(self, program: Program, suffix: str, placed: dict[str, Placed]) -> None:
        super().__init__(program, suffix, placed, parted=False)

    def whole(self, drivers: Sequence[Driver]) -> list[Driver]:
        """Return `steps`, which runs the steps one by one, and `forward` or `backward`."""
        known = {driver.name.removesuffix(self.suffix): driver for driver in drivers}
        steps = self._steps(known["step"])
        name = "backward" if self.backwards else "forward"
        arrays: dict[str, None] = {}
        body: list[str] = []
        optional = "after" in known and self.for_inputs_alone()
        for section in ("before", "step", "after", "outers"):
            if section not in known:
                continue
            driver = known[section]
            arrays.update((self._array(each), None) for each in driver.arguments if each != "more")
            if section == "step":
                body += bracketed(f"{steps.name}(", steps.arguments, ")", 4)
                continue
            rows, indent = [self._whole_rows(each) for each in driver.arguments], 4
            if section == "after" and optional:
                body.append("    if inputs:")
                indent = 8
            body += bracketed(f"{driver.name}(", rows, ")", indent)
        flags = {"more": self.backwards, "inputs": optional}
        extra = (flag for flag, there in flags.items() if there)
        doc = f"Run T time steps{' from the last to the first' if self.backwards else ''}."
        return [steps, self._driver(name, doc, ("T", *extra, *arrays), body)]

    def _steps(self, step: Driver) -> Driver:
        arrays = tuple(dict.fromkeys(self._array(name) for name in step.arguments))
        order = "range(T - 1, -1, -1)" if self.backwards else "range(T)"
        body = [f"    for t in {order}:"]
        slabs = [self._time_slab(name) for name in step.arguments]
        body += bracketed(f"{step.name}(", slabs, ")", 8)
        doc = "Run the steps of a sequence one by one."
        return self._driver(f"steps{self.suffix}", doc, ("T", *arrays), body)

    def _time_slab(self, name: str) -> str:
        """Return the text for what step `t` takes under a name."""
        placed = self.placed[name]
        if placed.place in (PARAMETER, SCRATCH):
            return placed.array
        if placed.place == TURNS:
            return f"{placed.array}[{'(t + 1) % 2' if placed.offset else 't % 2'}]"
        return f"{placed.array}[{'t + 1' if placed.offset else 't'}]"

    def _whole_rows(self, name: str) -> str:
        """Return the text for what a section takes under a name: the rows of all steps."""
        placed = self.placed.get(name)
        if placed is None or placed.place == PARAMETER:
            return name
        late = placed.place == CARRIED and placed.offset
        return f"flat({placed.array}, {'1, T + 1' if late else '0, T'})"


class PointerLister(Lister):
    """Lists kernels that find their elements by pointers and places."""

    part = ("row_count", "unit_count")
    indent = 8
    sum_part = ()
    sum_doc = "Sum what becomes the gradients of vectors and scalars, in parts."

    def __init__(
        self,
        program: Program,
        suffix: str,
        placed: dict[str, Placed],
        drivers: Drivers,
        stacks: tuple[tuple[str, ...], ...],
        pitches: dict[str, int],
    ) -> None:
        super().__init__(program, suffix, placed, drivers)
        self.stacks = stacks
        self.pitches = {**pitches, **{name: len(stack) for stack in stacks for name in stack}}
        self.constants = {variable.name for variable in program.roles(Role.CONSTANT)}

    def listed(self) -> Direction:
        """Return all routines of the Program, and its stacks."""
        found = super().listed()
        whole = self._whole()
        if whole is None:
            return replace(found, stacks=self.stacks)
        return replace(found, stacks=self.stacks, wholes=(whole.routine,), needs=whole.needs)

    def _whole(self) -> Whole | None:
        """Return the kernel that runs all steps, if there is one."""
        stages = [stage for stage in self.program.step if isinstance(stage, Elementwise)]
        named = [
            (
                f"cell{self.suffix}" + (f"_{number}" if len(stages) > 1 else ""),
                stage.reads,
                stored(stage, self.placed),
            )
            for number, stage in enumerate(stages, start=1)
        ]
        # Where values live before the stacks draw some of them along.
        single = place(self.program)
        return whole_kernel(self.program, self.suffix, single, self.pitches, named)

    def element(self, name: str) -> str:
        """Return the text for the element of a value that the current row and unit have."""
        placed = self.placed[name]
        if not placed.dims:
            return name if name in self.constants else f"{name}[0]"
        if placed.place == PARAMETER:
            return f"{name}[unit]"
        return f"{name}[{place_name(self.pitches.get(name, 1))}]"

    def places(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines that compute where the elements of a kernel's arguments are."""
        return tuple(place_line(pitch, self.indent) for pitch in self._pitches(arguments))

    def _pitches(self, arguments: tuple[str, ...]) -> list[int]:
        slabs = (name for name in arguments if name in self.placed and self.placed[name].dims)
        return sorted({self.pitches.get(n, 1) for n in slabs if self.placed[n].place != PARAMETER})

    def sum_places(self, reads: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines that compute where the elements that a sum reads are."""
        return tuple(place_line(pitch, 12) for pitch in self._pitches(reads))

    def summed(self, target: str) -> str:
        """Return the text for what a sum adds to."""
        return f"{target}_part"


def place_line(pitch: int, indent: int) -> str:
    """Return the line that computes it."""
    row = "row * unit_count" if pitch == 1 else f"row * ({pitch} * unit_count)"
    return f"{' ' * indent}{place_name(pitch)} = {row} + unit"
