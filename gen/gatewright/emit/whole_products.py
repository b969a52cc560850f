"""Products of a step -> the calls that multiply: which terms one loop over a tile serves.

Why runs of terms and not a call for each: a call is expanded in place, and terms of one operand
read its tile once.
"""

from __future__ import annotations

from gatewright.program.ir import Product, Products

# A term of a product: total += weight (transposed or not) @ operand.
Term = tuple[str, str, str]


def terms_of(stage: Products) -> list[Term]:
    """Return the terms of all products of a stage."""
    return [term for product in stage.items for term in _of(product)]


def _of(product: Product) -> list[Term]:
    targets = [target.name for target in product.targets]
    if product.transposed:
        pairs = zip(product.weights, product.operands, strict=True)
        return [(targets[0], weight, operand) for weight, operand in pairs]
    return [(t, w, product.operands[0]) for t, w in zip(targets, product.weights, strict=True)]


def runs_of(
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


def multiplications(runs: list[tuple[int, int, int, int]]) -> list[str]:
    """Return the calls for runs of terms: a loop where tiles in order take matrices in order.

    A call is expanded in place, and a compiler takes its time for each.
    """
    first, slot, count, _ = runs[0]
    if len(runs) > 1 and runs == [(first, slot + n, 1, n) for n in range(len(runs))]:
        matrix = f"{slot} + tile" if slot else "tile"
        call = f"multiply(totals, held, {first}, {matrix}, {count}, tile)"
        return [f"for tile in range({len(runs)}):", f"    {call}"]
    return [f"multiply(totals, held, {', '.join(map(str, run))})" for run in runs]
