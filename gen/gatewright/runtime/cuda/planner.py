"""Sizes, device -> how the steps of a sequence are run, and why.

Tier 2 is one kernel for all steps, its weights in shared memory: in slices, where a block holds all
of U and some rows and never waits for another; or in groups of blocks that share rows, own some
units each, and meet before every product. Tier 1 is a product and a kernel at a time, for what does
not fit.

Why a search over all shapes by an estimate of cycles: there are a few hundred, and what decides,
the traffic of shared memory, is counted exactly. The estimates are no measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from gatewright.runtime.cuda.devices import Limits
from gatewright.runtime.cuda.sizes import PAIRED

_WARP, _MOST_THREADS = 32, 1024
_REGISTERS, _OWN_REGISTERS = 65536, 40
# Cycles of a meeting of blocks, a synchronisation of threads and an answer of the L2 cache; bytes
# that shared memory and L2 give in a cycle.
_MEETING, _SYNCHRONISED, _BANKS, _FROM_L2 = 2000, 40, 128, 64
_LATENCY, _SHARED_LATENCY = 600, 30


@dataclass(frozen=True)
class Shape:
    """A shape of the kernel of all steps; `sizes` are those of `sizes.py`, `shared` is bytes."""

    sizes: Mapping[str, int]
    groups: int
    shared: int
    cycles: float

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

    def width(self, H: int) -> int:
        """Return how many words of a row are multiplied: those of H units, and zeros."""
        words = -(-H // 2) if self.kind in PAIRED else H
        return _rounded_up(words, 16 if self.kind else 4)

    def pitch(self, H: int) -> int:
        """Return the distance of rows in shared memory at which no two threads want one bank."""
        width = self.width(H)
        if not self.kind:
            return width + 4
        return width if width % 32 else width + 16

    def units(self, H: int) -> Iterator[int]:
        """Yield how many units a block may own: an even share of H, rounded up."""
        multiple = 8 if self.kind else 4
        for units in range(multiple, _rounded_up(H, multiple) + 1, multiple):
            share = -(-H // -(-H // units))
            if _rounded_up(share, multiple) == units:
                yield units

    @property
    def each(self) -> tuple[int, ...]:
        """How many rows a thread may own."""
        return (2, 4, 8, 16) if self.kind else (1, 2, 4, 8)

    @property
    def lanes(self) -> int:
        """How many threads own one unit at least."""
        return 4 if self.kind else 1


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
    found = min(shapes(needs, H, B, numbers, limits), key=lambda s: s.cycles, default=None)
    if found is None:
        return _stepwise(
            f"{needs['weights']} matrices of {H} x {H} do not fit into the shared memory of "
            f"{limits.multiprocessors} multiprocessors with {limits.shared} bytes each"
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
    held = f"{needs['weights']} matrices in {shape.shared} bytes of shared memory"
    units = min(s["UNITS"], s["HIDDEN"])
    most = "up to " if s["HIDDEN"] % units else ""
    each = f"{most}{units} units of {s['ROWS']} rows in {shape.threads} threads"
    meet = "that never meet" if s["BLOCKS"] == 1 or not needs["meetings"] else (
        f"of which {s['BLOCKS']} share rows and meet {needs['meetings']} times a step"
    )  # fmt: skip
    return f"{shape.blocks} blocks {meet}, each with {each} and {held}"


def shapes(
    needs: Mapping[str, int], H: int, B: int, numbers: Numbers, limits: Limits
) -> Iterator[Shape]:
    """Yield every shape of the kernel of all steps that a device can run."""
    choices = product(
        numbers.units(H),
        numbers.each,
        sorted({min(needs["tiles"], 1), needs["tiles"]}),
    )
    for units, each, tiles in choices:
        for lanes in _lanes(units, B, each, numbers.lanes):
            sizes = {
                "HIDDEN": H,
                "UNITS": units,
                "BLOCKS": -(-H // units),
                "LANES": lanes,
                "EACH": each,
                "ROWS": lanes * each,
                "THREADS": units * lanes,
                "WIDTH": numbers.width(H),
                "PITCH": numbers.pitch(H),
                "WEIGHTS": needs["weights"],
                "TILES": tiles,
                "KIND": numbers.kind,
            }
            if shape := _shape(sizes, needs, B, numbers.size, limits):
                yield shape


def _shape(
    sizes: Mapping[str, int], needs: Mapping[str, int], B: int, itemsize: int, limits: Limits
) -> Shape | None:
    """Return a shape with its costs, None if a device cannot run it."""
    blocks, groups = sizes["BLOCKS"], -(-B // sizes["ROWS"])
    waits = bool(needs["meetings"]) and blocks > 1
    if waits and blocks * groups > limits.multiprocessors:
        return None
    held = needs["weights"] * sizes["UNITS"] + sizes["TILES"] * sizes["ROWS"]
    shared = itemsize * sizes["PITCH"] * held
    registers = _OWN_REGISTERS + sizes["EACH"] * (needs["totals"] + 12)
    if shared > limits.shared or registers > 255 or sizes["THREADS"] * registers > _REGISTERS:
        return None
    turns = -(-blocks * groups // limits.multiprocessors)
    return Shape(sizes, groups, shared, turns * _cycles(sizes, needs, itemsize))


def _lanes(units: int, B: int, each: int, fewest: int) -> Iterator[int]:
    """Yield how many threads of a block could own one unit: not more than there are rows for."""
    lanes = fewest
    while units * lanes <= _MOST_THREADS:
        yield lanes
        if lanes * each >= B:
            return
        lanes *= 2


def _cycles(sizes: Mapping[str, int], needs: Mapping[str, int], itemsize: int) -> float:
    """Estimate the cycles of a step: products, and what has to be brought together for them."""
    warps = -(-sizes["THREADS"] // _WARP)
    tiles = max(needs["tiles"], needs["meetings"])
    products = _tensor_products if sizes["KIND"] else _plain_products
    cycles = products(sizes, needs["terms"], tiles, warps) + sizes["EACH"] * 30 * warps
    fills = needs["meetings"] if sizes["TILES"] == needs["tiles"] else needs["terms"]
    cycles += (needs["meetings"] + 2 * fills) * _SYNCHRONISED
    if sizes["BLOCKS"] > 1 and needs["meetings"]:
        gathered = tiles * sizes["ROWS"] * sizes["HIDDEN"] * 4 / _FROM_L2
        cycles += needs["meetings"] * _MEETING + fills * _LATENCY + gathered
    return cycles


def _plain_products(sizes: Mapping[str, int], terms: int, tiles: int, warps: int) -> float:
    """Estimate plain products: shared memory, arithmetic, or waiting for the first number."""
    width, units, each = sizes["WIDTH"], sizes["UNITS"], sizes["EACH"]
    of_weights = max(1, min(_WARP, units) * 16 // _BANKS)
    of_tile = max(1, -(-_WARP // units) * 16 // _BANKS)
    reads = warps * width / 4 * (terms * of_weights + each * tiles * of_tile)
    return max(reads, max(warps / 4, 1) * width * terms * each, width / 4 * _SHARED_LATENCY)


def _tensor_products(sizes: Mapping[str, int], terms: int, tiles: int, warps: int) -> float:
    """Estimate products on tensor cores, of 16 words at a time."""
    turns, each = sizes["WIDTH"] / 16, sizes["EACH"]
    reads = warps * turns * 4 * (terms + each / 2 * tiles)
    pairs = -(-terms // 2)
    return max(reads, max(warps / 4, 1) * turns * pairs * each * 8, turns * _SHARED_LATENCY * 2)


def _rounded_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
