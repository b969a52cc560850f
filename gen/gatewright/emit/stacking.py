"""Program -> which of its arrays and matrices stand side by side in memory, to multiply at once.

A product with several weights is one product if its targets are columns of one array and its
weights rows of one matrix; the same holds for a transposed product and for weight gradients. A
stack is such a set, in the order in which its members stand. An array that is kept for the reverse
takes the others of its stack with it, as they are columns of the same memory.

Why searched for: groups overlap (the gates of a GRU multiply `x` as r, z, n and `h` as r, z), and
an order in which every group is unbroken often exists where that of the text breaks one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations

from gatewright.emit.placement import CHUNK, SAVED, SCRATCH, Placed
from gatewright.language.cell import Dims
from gatewright.program.ir import Outer, Product, Program

Group = tuple[str, ...]
# From the shortest life to the longest.
_MOVABLE = (SCRATCH, CHUNK, SAVED)
# Orders of more arrays are not searched: they stand as they come.
_SEARCHED = 7


def stacks(program: Program, placed: dict[str, Placed]) -> tuple[Group, ...]:
    """Return the stacks of a Program: first of arrays (columns), then of matrices (rows)."""
    products = [item for item in program.statements() if isinstance(item, Product)]
    outers = [item for item in program.outers if isinstance(item, Outer)]
    pairs = [_pairs(item) for item in products]
    pairs += [
        tuple(zip(item.lefts, (target.name for target in item.targets), strict=True))
        for item in outers
    ]
    groups = [part for group in pairs for part in _alike((a for a, _ in group), placed)]
    arrays = _ordered(groups)
    at = {name: index for index, name in enumerate(name for stack in arrays for name in stack)}
    matrices: list[Group] = []
    seen: set[str] = set()
    for group in pairs:
        ordered = sorted(
            (pair for pair in group if pair[1] not in seen), key=lambda p: at.get(p[0], -1)
        )
        names = tuple(dict.fromkeys(matrix for array, matrix in ordered if array in at))
        seen.update(names)
        matrices.append(names)
    return tuple(stack for stack in (*arrays, *matrices) if len(stack) > 1)


def settled(stacks: Iterable[Group], placed: dict[str, Placed]) -> dict[str, Placed]:
    """Return the places of all values, where the members of a stack live as long as the longest."""
    found = dict(placed)
    for stack in stacks:
        places = [placed[n].place for n in stack if n in placed and placed[n].place in _MOVABLE]
        for name in stack if places else ():
            found[name] = replace(placed[name], place=max(places, key=_MOVABLE.index))
    return found


def _pairs(product: Product) -> tuple[tuple[str, str], ...]:
    """Return each array of a product that may stand in a stack, with its matrix."""
    targets = tuple(target.name for target in product.targets)
    arrays = product.operands if product.transposed else targets
    return tuple(zip(arrays, product.weights, strict=True))


def _alike(names: Iterable[str], placed: dict[str, Placed]) -> list[Group]:
    """Split names into groups that can share memory: same dimensions, and arrays of their own."""
    found: dict[Dims, list[str]] = {}
    for name in dict.fromkeys(names):
        where = placed[name]
        if where.place in _MOVABLE and where.array == name:
            found.setdefault(where.dims, []).append(name)
    return [tuple(group) for group in found.values()]


def _ordered(groups: Sequence[Group]) -> list[Group]:
    """Return the connected sets of the groups, each in the order that breaks fewest groups."""
    sets: list[list[str]] = []
    for group in groups:
        joined = [each for each in sets if not set(each).isdisjoint(group)]
        merged = list(dict.fromkeys([name for each in joined for name in each] + list(group)))
        sets = [each for each in sets if each not in joined] + [merged]
    return [_best(tuple(each), groups) for each in sets]


def _best(names: Group, groups: Sequence[Group]) -> Group:
    if len(names) > _SEARCHED:
        return names
    inside = [set(group) for group in groups if set(group) <= set(names)]
    return min(permutations(names), key=lambda order: sum(_runs(order, each) for each in inside))


def _runs(order: Group, group: set[str]) -> int:
    """Return into how many unbroken pieces an order cuts a group."""
    inside = [name in group for name in order]
    return sum(now and not before for before, now in zip([False, *inside], inside, strict=False))
