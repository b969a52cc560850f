"""Sizes, device -> how the steps of a sequence are run, and why.

Tier 2 is one kernel for all steps, its weights in registers and shared memory: in slices, where a
block holds all of U and some rows and never waits for another; or in groups of blocks that share
rows, own some units each, and meet before every product. Tier 1 is a product and a kernel at a
time, for what does not fit.

Why a search over all shapes by an estimate of cycles: there are a few thousand, and what decides,
the traffic of shared memory, is counted exactly. The estimates are no measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from gatewright.runtime.cuda.devices import Limits
from gatewright.runtime.cuda.estimates import MOST_REGISTERS, cycles, most_registers, registers
from gatewright.runtime.cuda.sizes import PAIRED

# Groups lie along a grid's second axis.
_MOST_THREADS, _MOST_GROUPS = 1024, 65535


@dataclass(frozen=True)
class Shape:
    """A shape of the kernel of all steps; `sizes` are those of `sizes.py`.

    `shared` is bytes of shared memory of a block, `exchange` how many words blocks exchange through
    global memory; `cycles` of a step are an estimate.
    """

    sizes: Mapping[str, int]
    groups: int
    shared: int
    cycles: float

    @property
    def exchange(self) -> int:
        """Words that blocks exchange through, of all groups; at least one, as no array is empty."""
        slabs = 2 * self.sizes["OPERANDS"] * self.groups if self.sizes["BLOCKS"] > 1 else 0
        return max(1, slabs * self.sizes["ROWS"] * self.sizes["FILLED"])

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.sizes["THREADS"]

    @property
    def blocks(self) -> int:
        """All blocks."""
        return self.sizes["BLOCKS"] * self.groups


@dataclass(frozen=True)
class StepsPlan:
    """How the steps of a direction are run: `shape` is None for tier 1, `why` one sentence."""

    tier: int
    form: str
    shape: Shape | None
    why: str

    def __str__(self) -> str:
        return f"tier {self.tier}, {self.form}: {self.why}"


@dataclass(frozen=True)
class Numbers:
    """What a kernel of all steps multiplies: words of `size` bytes in shared memory.

    `kind` is a value of `sizes.KINDS`: 0 for numbers as they are, others for tensor cores.
    """

    size: int
    kind: int = 0

    def width(self, H: int, parts: int = 1) -> int:
        """Return how many words of a row `parts` warps multiply: those of H units, and zeros."""
        return _rounded_up(self.filled(H), 16 * parts if self.kind else 4)

    def filled(self, H: int) -> int:
        """Return how many words of a row threads write, for H units: a multiple of four."""
        return _rounded_up(H, 8) // 2 if self.kind in PAIRED else _rounded_up(H, 4)

    def pitch(self, width: int) -> int:
        """Return the distance of rows of so many words at which no two threads want one bank.

        Eight threads at a time read four words each: of eight rows, or on tensor cores of two.
        """
        if not self.kind:
            return width if width % 8 else width + 4
        return width if width % 32 else width + 16

    def held(self, parts: int) -> int:
        """Return how many words of a row threads hold if each holds one."""
        return 4 * parts if self.kind else 1

    def units(self, H: int) -> Iterator[int]:
        """Yield how many units a block may own: an even share of H, rounded up."""
        multiple = 8 if self.kind else 4
        for units in range(multiple, _rounded_up(H, multiple) + 1, multiple):
            share = -(-H // -(-H // units))
            if _rounded_up(share, multiple) == units:
                yield units

    def rows(self, H: int) -> Iterator[tuple[int, int]]:
        """Yield how many rows a thread may own, and how many warps the same units and rows.

        On tensor cores they own 8 rows at least, and each has some of the terms to multiply.
        """
        if not self.kind:
            yield from ((each, 1) for each in (1, 2, 4, 8))
            return
        for parts, each in product((1, 2, 4, 8), (1, 2, 4, 8, 16)):
            if parts * each % 2 == 0 and parts * each <= 16 and 16 * parts <= self.width(H):
                yield each, parts

    def lanes(self, parts: int) -> int:
        """Return how many threads own one unit at least."""
        return 4 * parts if self.kind else 1


def plan(
    needs: Mapping[str, int],
    H: int,
    B: int,
    numbers: Numbers,
    limits: Limits,
    tier: int | None = None,
) -> StepsPlan:
    """Return how steps of B rows of H units are run; `tier` allows only that one.

    `needs` is a direction's row of `Layout.wholes`.
    """
    if tier == 1:
        return _stepwise("tier 1 was asked for")
    if not needs:
        return _stepwise("the steps of this cell do not make one kernel")
    # Of two that are as fast, the one that has more of its weights in registers.
    found = min(
        shapes(needs, H, B, numbers, limits), key=lambda s: (s.cycles, s.shared), default=None
    )
    if found is None:
        places = "registers and shared memory" if numbers.kind else "shared memory"
        return _stepwise(
            f"{needs['weights']} matrices of {H} x {H} and what is multiplied with them, {B} rows, "
            f"do not fit into the {places} of {limits.multiprocessors} multiprocessors with "
            f"{limits.shared} bytes each"
        )
    return StepsPlan(2, _form(found, needs), found, _why(found, needs))


def _stepwise(why: str) -> StepsPlan:
    return StepsPlan(1, "a product and a kernel at a time", None, why)


def _form(shape: Shape, needs: Mapping[str, int]) -> str:
    if not needs["meetings"]:
        return "units apart"
    return "slices" if shape.sizes["BLOCKS"] == 1 else "groups of blocks"


def _why(shape: Shape, needs: Mapping[str, int]) -> str:
    s = shape.sizes
    units = min(s["UNITS"], s["HIDDEN"])
    most = "up to " if s["HIDDEN"] % units else ""
    each = f"{most}{units} units of {s['ROWS']} rows in {shape.threads} threads"
    meet = "that never meet" if s["BLOCKS"] == 1 or not needs["meetings"] else (
        f"of which {s['BLOCKS']} share rows and meet {needs['meetings']} times a step"
    )  # fmt: skip
    return f"{shape.blocks} blocks {meet}, each with {each} and {_where(shape, needs)}"


def _where(shape: Shape, needs: Mapping[str, int]) -> str:
    """Return where a block holds its part of the matrices."""
    s = shape.sizes
    matrices, memory = f"{needs['weights']} matrices", f"{shape.shared} bytes of shared memory"
    if not s["HELD"]:
        return f"{matrices} in {memory}"
    own = f"{needs['weights'] * s['HELD']} registers of each thread"
    if not s["REST"]:
        return f"{matrices} in {own}, and {memory}"
    part = f"{s['WIDTH'] - s['REST']} of {s['WIDTH']} words of a row"
    return f"{matrices}, {part} in {own} and the rest in {memory}"


def shapes(
    needs: Mapping[str, int],
    H: int,
    B: int,
    numbers: Numbers,
    limits: Limits,
    most: int = MOST_REGISTERS,
) -> Iterator[Shape]:
    """Yield every shape of the kernel of all steps that a device can run.

    `most` is how many registers a thread may have.
    """
    tilings = sorted({min(needs["tiles"], 1), needs["tiles"]})
    for units, (each, parts), tiles in product(numbers.units(H), numbers.rows(H), tilings):
        for lanes in _lanes(units, B, each, numbers.lanes(parts)):
            sizes = _sizes(needs, H, numbers, units, each, parts, lanes, tiles)
            blocks, groups = sizes["BLOCKS"], -(-B // sizes["ROWS"])
            waits = bool(needs["meetings"]) and blocks > 1
            if groups > _MOST_GROUPS or (waits and blocks * groups > limits.multiprocessors):
                continue
            for held in _held(sizes, needs, numbers, most, limits.held):
                whole = sizes | _placed(sizes, needs, numbers, held)
                shared = numbers.size * _words(whole, needs)
                if shared <= limits.shared:
                    turns = -(-blocks * groups // limits.multiprocessors)
                    cost = turns * cycles(whole, needs, numbers.size)
                    yield Shape(whole, groups, shared, cost)


def _sizes(
    needs: Mapping[str, int],
    H: int,
    numbers: Numbers,
    units: int,
    each: int,
    parts: int,
    lanes: int,
    tiles: int,
) -> dict[str, int]:
    """Return the sizes of a shape but for where its weights stand."""
    width = numbers.width(H, parts)
    return {
        "HIDDEN": H,
        "UNITS": units,
        "BLOCKS": -(-H // units),
        "LANES": lanes,
        "EACH": each,
        "ROWS": lanes * each,
        "THREADS": units * lanes,
        "PARTS": parts,
        "SUMS": each * parts,
        "KIND": numbers.kind,
        "WIDTH": width,
        "PITCH": numbers.pitch(width),
        "FILLED": numbers.filled(H),
        "TILES": tiles,
        "OPERANDS": needs["tiles"],
    }


def _held(
    sizes: Mapping[str, int], needs: Mapping[str, int], numbers: Numbers, most: int, any_held: bool
) -> Iterator[int]:
    """Yield how many words of each matrix a thread may hold: none, and the most there is room for.

    Without tensor cores it is none: all threads of a unit would hold the same words.
    """
    free = min(most, most_registers(sizes["THREADS"])) - registers(sizes, needs)
    if free < 0:
        return
    yield 0
    if any_held and numbers.kind and needs["weights"]:
        words = min(free // needs["weights"], sizes["WIDTH"] // numbers.held(sizes["PARTS"]))
        if words // 4:
            yield words // 4 * 4


def _placed(
    sizes: Mapping[str, int], needs: Mapping[str, int], numbers: Numbers, held: int
) -> dict[str, int]:
    """Return the sizes that say where weights, tiles and sums stand."""
    rest = sizes["WIDTH"] - held * numbers.held(sizes["PARTS"])
    pitch = numbers.pitch(rest) if rest else 0
    tiles = needs["weights"] * sizes["UNITS"] * pitch
    return {
        "HELD": held,
        "REST": rest,
        "REST_PITCH": pitch,
        "TILES_AT": tiles,
        "SUMS_AT": tiles + sizes["TILES"] * sizes["ROWS"] * sizes["PITCH"],
    }


def _words(sizes: Mapping[str, int], needs: Mapping[str, int]) -> int:
    """Return how many words of shared memory a block has."""
    sums = sizes["THREADS"] * needs["totals"] * sizes["SUMS"] if sizes["PARTS"] > 1 else 0
    # On its way to registers, a matrix stands where tiles will.
    passing = sizes["UNITS"] * sizes["PITCH"] if sizes["HELD"] else 0
    return max(sizes["SUMS_AT"] + sums, sizes["TILES_AT"] + passing)


def _lanes(units: int, B: int, each: int, fewest: int) -> Iterator[int]:
    """Yield how many threads of a block could own one unit: not more than there are rows for."""
    lanes = fewest
    while units * lanes <= _MOST_THREADS:
        yield lanes
        if lanes * each >= B:
            return
        lanes *= 2


def _rounded_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
