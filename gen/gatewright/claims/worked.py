"""Counterexample -> a table of both cells' values, step by step, to be followed by hand.

Why doubles here: the table explains what balls and the checker have already certified.
"""

from __future__ import annotations

from fractions import Fraction

from gatewright.claims.claim import Claim
from gatewright.claims.evaluate import Floats, Model, evaluate
from gatewright.claims.terms import matrices, variables
from gatewright.claims.verdict import Counterexample
from gatewright.claims.world import World


def worked(claim: Claim, example: Counterexample) -> tuple[tuple[str, ...], ...]:
    """Return the first element of every vector both cells compute, a column per step.

    The first row is the head; names are formulas between backticks.
    """
    world = World(claim, "unroll")
    named = [
        (side.alias, name)
        for side in claim.sides
        for name in dict.fromkeys(
            equation.target.removesuffix("'") for equation in side.cell.equations if equation.dims
        )
    ]
    steps = range(1, example.step + 1)
    terms = [world.value(alias, name, step) for alias, name in named for step in steps]
    sizes = {"hidden": example.size, **example.sizes}
    zeros = {
        name: tuple(Fraction(0) for _ in range(sizes.get(dims[0], 1) if dims else 1))
        for name in variables(terms)
        for dims in [world.dims.get(name, ())]
    }
    empty = {
        name: tuple(
            tuple(Fraction(0) for _ in range(sizes[dims[1]])) for _ in range(sizes[dims[0]])
        )
        for name in matrices(terms)
        for dims in [world.dims[name]]
    }
    model = Model(
        {**zeros, **example.vectors}, {**empty, **example.matrices}, dict(example.instances)
    )
    values = [f"{vector[0]:.6f}" for vector in evaluate(terms, model, Floats())]
    rows = [
        (alias, f"`{alias}.{name}[t]`", *values[k * len(steps) : (k + 1) * len(steps)])
        for k, (alias, name) in enumerate(named)
    ]
    return (("cell", "value", *(f"step {step}" for step in steps)), *rows)
