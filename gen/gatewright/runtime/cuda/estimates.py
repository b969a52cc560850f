"""Sizes of a kernel of all steps -> estimates: registers of a thread, cycles of a step.

`needs` says how many matrices, operands and totals a kernel has, as `Layout.wholes` does.

Why estimates and not a compilation: the planner compares thousands of shapes. With those of
registers no kernel that was compiled spills; those of cycles are no measurements.
"""

from __future__ import annotations

from collections.abc import Mapping

_WARP = 32
# The most of a thread, and those of a multiprocessor, which its warps share in four parts.
MOST_REGISTERS = 255
_REGISTERS, _TOGETHER = 65536, 4 * _WARP
# Cycles of a meeting of blocks, a synchronisation of threads and an answer of the L2 cache; bytes
# that shared memory and L2 give in a cycle.
_MEETING, _SYNCHRONISED, _BANKS, _FROM_L2 = 2000, 40, 128, 64
_LATENCY, _SHARED_LATENCY = 600, 30


def most_registers(threads: int) -> int:
    """Return how many registers each of so many threads of a block can have."""
    return min(MOST_REGISTERS, _REGISTERS // (-(-threads // _TOGETHER) * _TOGETHER) // 8 * 8)


def registers(sizes: Mapping[str, int], needs: Mapping[str, int]) -> int:
    """Estimate the registers of a thread, with the weights that it holds if that is known.

    Beside these it has values of its rows and places of them, what is fetched for these and what it
    read once, sums and, on tensor cores, words of a tile and sums of a matrix alone.
    """
    each, sums = sizes["EACH"], sizes["SUMS"]
    read = needs["vectors"] + each * needs["fetched"]
    if not sizes["KIND"]:
        return 40 + each * (12 + needs["totals"]) + read
    held = needs["weights"] * sizes.get("HELD", 0)
    # So do tests whether units are there, addresses of operands, and operands that take turns.
    uneven = 24 if sizes["BLOCKS"] * sizes["UNITS"] != sizes["HIDDEN"] else 0
    turns = 8 * sizes["OPERANDS"] if sizes["OPERANDS"] > sizes["TILES"] else 0
    own = 58 + uneven + 5 * (max(sizes["OPERANDS"], 1) - 1) + turns
    return own + each * (8 + needs["kept"]) + read + sums * (7 + needs["totals"]) + held


def cycles(sizes: Mapping[str, int], needs: Mapping[str, int], itemsize: int) -> float:
    """Estimate the cycles of a step: products, and what has to be brought together for them."""
    warps = -(-sizes["THREADS"] // _WARP)
    tiles = max(needs["tiles"], needs["meetings"])
    products = _tensor_products if sizes["KIND"] else _plain_products
    found = products(sizes, needs, tiles, warps) + sizes["EACH"] * 30 * warps
    fills = needs["meetings"] if sizes["TILES"] == needs["tiles"] else needs["terms"]
    found += (needs["meetings"] + 2 * fills) * _SYNCHRONISED
    if sizes["BLOCKS"] > 1 and needs["meetings"]:
        gathered = tiles * sizes["ROWS"] * sizes["FILLED"] * itemsize / _FROM_L2
        found += needs["meetings"] * _MEETING + fills * _LATENCY + gathered
    return found


def _plain_products(
    sizes: Mapping[str, int], needs: Mapping[str, int], tiles: int, warps: int
) -> float:
    """Estimate plain products: shared memory, arithmetic, or waiting for the first number."""
    width, units, each = sizes["WIDTH"], sizes["UNITS"], sizes["EACH"]
    terms = needs["terms"]
    of_weights = max(1, min(_WARP, units) * 16 // _BANKS)
    of_tile = max(1, -(-_WARP // units) * 16 // _BANKS)
    reads = warps * width / 4 * (terms * of_weights + each * tiles * of_tile)
    return max(reads, max(warps / 4, 1) * width * terms * each, width / 4 * _SHARED_LATENCY)


def _tensor_products(
    sizes: Mapping[str, int], needs: Mapping[str, int], tiles: int, warps: int
) -> float:
    """Estimate products on tensor cores, of 16 words at a time, and the exchange of sums."""
    turns, sums, terms = sizes["WIDTH"] / 16 / sizes["PARTS"], sizes["SUMS"], needs["terms"]
    of_weights = terms * sizes["REST"] / sizes["WIDTH"]
    reads = warps * turns * 4 * (of_weights + sums / 2 * tiles)
    pairs = -(-terms // 2)
    found = max(reads, max(warps / 4, 1) * turns * pairs * sums * 8, turns * _SHARED_LATENCY * 2)
    if sizes["PARTS"] > 1:
        exchanged = 2 * warps * needs["totals"] * sums
        found += needs["meetings"] * (exchanged + _SYNCHRONISED + _SHARED_LATENCY)
    return found
