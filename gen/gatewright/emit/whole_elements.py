"""Values of a Program -> elements of arrays, as the text of a kernel of all steps names them.

    at, at_4    the element of the current row and unit, by how many arrays share a row
    at_next     that of the next step, in an array that a step writes and the next one reads

Why the places of elements are lines of their own: several arrays are read at one place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gatewright.emit.placement import LOCAL, PARAMETER, SCRATCH, TURNS, Placed

# Slabs of a step and of the one behind it: of this step, and of the first to be run.
NOW, FIRST, LAST = ("t", "(t + 1)"), ("0", "1"), ("(T - 1)", "T")
# Of the step to come, forwards and backwards; the last one has none and takes itself.
SOON = {False: ("min(t + 1, T - 1)", "min(t + 2, T)"), True: ("max(t - 1, 0)", "max(t, 1)")}


class Elements:
    """Elements of the arrays of a kernel; `used` are those that its text names, in order."""

    def __init__(
        self, placed: Mapping[str, Placed], pitches: Mapping[str, int], constants: Collection[str]
    ) -> None:
        self.placed, self.pitches, self.constants = placed, pitches, constants
        self.used: dict[str, None] = {}

    def given(self, name: str) -> bool:
        """Tell whether a value is a parameter, the same for all steps."""
        return self.placed[name].place == PARAMETER

    def text(self, name: str) -> str:
        """Return the text for an element of the current row and unit, or for a number."""
        placed = self.placed[name]
        self.used[placed.array] = None
        if not placed.dims:
            return name if name in self.constants else f"{name}[0]"
        return f"{name}[unit]" if self.given(name) else f"{placed.array}[{self._place(name)}]"

    def target(self, name: str) -> str:
        """Return the element that a value is stored in, empty if nobody reads it from memory."""
        placed = self.placed[name]
        if placed.place in (SCRATCH, LOCAL, TURNS):
            return ""
        self.used[placed.array] = None
        return f"{placed.array}[{self._place(name)}]"

    def places(self, text: str, slabs: tuple[str, str]) -> list[str]:
        """Return the lines for the places that a text names, in slabs of a step."""
        here, behind = ("row" if slab == "0" else f"({slab} * B + row)" for slab in slabs)
        lines = []
        for pitch in sorted({1, *self.pitches.values()}):
            width = "HIDDEN" if pitch == 1 else f"({pitch} * HIDDEN)"
            lines.append(f"{place_name(pitch)} = {here} * {width} + unit")
        lines.append(f"at_next = {behind} * HIDDEN + unit")
        return [line for line in lines if f"[{line.split(' = ')[0]}]" in text]

    def _place(self, name: str) -> str:
        return "at_next" if self.placed[name].offset else place_name(self.pitches.get(name, 1))


def place_name(pitch: int) -> str:
    """Return the name of an element's place in an array of so many columns."""
    return "at" if pitch == 1 else f"at_{pitch}"
