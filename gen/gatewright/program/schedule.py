"""Statements -> Program: split into before, step and after, and group into alternating stages.

A product that nothing carried reaches runs once before the loop; a product that reaches nothing
carried runs once after it; elementwise statements follow the products they depend on. Products of
one stage that share their operand merge into one, and so do weight gradients that share theirs.

Why one function for both directions: input projections of the forward pass and input cotangents of
the reverse are found by the same dependence rule, so neither is a special case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from gatewright.program.ir import (
    Argument,
    Assign,
    Elementwise,
    Outer,
    Product,
    Products,
    Program,
    Reduction,
    Stage,
    Statement,
)


def scheduled(
    *,
    name: str,
    arguments: tuple[Argument, ...],
    statements: tuple[Statement, ...],
    carried: tuple[tuple[str, str], ...],
    results: tuple[str, ...],
    outers: tuple[Outer | Reduction, ...] = (),
    saved: tuple[str, ...] = (),
) -> Program:
    """Return the Program that runs the statements, each as rarely as its dependences allow."""
    before, step, after = _split(
        statements, {start for start, _ in carried}, {end for _, end in carried}
    )
    return Program(
        name=name,
        arguments=arguments,
        before=_stages(before),
        step=_stages(step),
        after=_stages(after),
        outers=outers,
        carried=carried,
        results=results,
        saved=saved,
    )


def _split(
    statements: Sequence[Statement], starts: set[str], ends: set[str]
) -> tuple[list[Statement], list[Statement], list[Statement]]:
    reached = _reached(statements, starts)
    free = {n for item in statements for n in _targets(item)} - reached
    hoisted = [
        item for item in statements if isinstance(item, Product) and set(_targets(item)) <= free
    ]
    wanted = _needed(statements, (name for item in hoisted for name in item.reads))
    before = {n for item in hoisted for n in _targets(item)} | (wanted & free)
    needed = _needed(statements, ends)
    late = [
        item
        for item in statements
        if isinstance(item, Product) and before.union(needed).isdisjoint(_targets(item))
    ]
    after = _reached(statements, {n for item in late for n in _targets(item)})
    sections: tuple[list[Statement], list[Statement], list[Statement]] = ([], [], [])
    for item in statements:
        targets = set(_targets(item))
        place = 0 if targets <= before else 2 if targets <= after else 1
        sections[place].append(item)
    return sections


def _targets(item: Statement) -> tuple[str, ...]:
    return tuple(target.name for target in item.targets)


def _reached(statements: Iterable[Statement], seeds: set[str]) -> set[str]:
    """Names computed from any of the seeds, and the seeds."""
    reached = set(seeds)
    for item in statements:
        if not reached.isdisjoint(item.reads):
            reached.update(_targets(item))
    return reached


def _needed(statements: Sequence[Statement], ends: Iterable[str]) -> set[str]:
    """Names that any of the ends is computed from, and the ends."""
    needed = set(ends)
    for item in reversed(statements):
        if not needed.isdisjoint(_targets(item)):
            needed.update(item.reads)
    return needed


def _stages(statements: Sequence[Statement]) -> tuple[Stage, ...]:
    """Group statements into product and elementwise stages, each as early as it can run."""
    products: dict[int, list[Product]] = {}
    assigns: dict[int, list[Assign]] = {}
    level: dict[str, int] = {}
    for item in statements:
        known = [level[name] for name in item.reads if name in level]
        if isinstance(item, Product):
            place = max(known) + 1 if known else 0
            products.setdefault(place, []).append(item)
        else:
            place = max(known, default=0)
            assigns.setdefault(place, []).append(item)
        level.update((name, place) for name in _targets(item))
    stages: list[Stage] = []
    for place in sorted({*products, *assigns}):
        if place in products:
            stages.append(Products(_merged(products[place])))
        stages.extend(_by_dim(assigns.get(place, ())))
    return tuple(stages)


def _by_dim(assigns: Sequence[Assign]) -> list[Stage]:
    dims = dict.fromkeys(assign.target.dims[0] for assign in assigns)
    return [
        Elementwise(dim, tuple(item for item in assigns if item.target.dims == (dim,)))
        for dim in dims
    ]


def _merged(products: Sequence[Product]) -> tuple[Product, ...]:
    """Merge forward products that share an operand into one stacked product."""

    def key(product: Product) -> tuple[bool, str]:
        return product.transposed, product.targets[
            0
        ].name if product.transposed else product.operands[0]

    order = list(dict.fromkeys(map(key, products)))
    found = []
    for _, group in groupby(sorted(products, key=lambda p: order.index(key(p))), key=key):
        parts = list(group)
        if parts[0].transposed:
            found.extend(parts)
            continue
        targets = tuple(target for part in parts for target in part.targets)
        weights = tuple(weight for part in parts for weight in part.weights)
        found.append(Product(targets, weights, parts[0].operands))
    return tuple(found)


def merged_outers(outers: Sequence[Outer | Reduction]) -> tuple[Outer | Reduction, ...]:
    """Merge weight gradients that share their right operand; sums follow, in the given order."""
    rights = dict.fromkeys(
        (item.right, item.accumulate) for item in outers if isinstance(item, Outer)
    )
    found: list[Outer | Reduction] = []
    for right, accumulate in sorted(rights, key=lambda pair: pair[1]):
        parts = [
            item
            for item in outers
            if isinstance(item, Outer) and (item.right, item.accumulate) == (right, accumulate)
        ]
        if accumulate:
            # A weight used twice with one operand accumulates one use after the other.
            found.extend(parts)
            continue
        targets = tuple(target for part in parts for target in part.targets)
        lefts = tuple(left for part in parts for left in part.lefts)
        found.append(Outer(targets, lefts, right))
    found.extend(item for item in outers if isinstance(item, Reduction))
    return tuple(found)
