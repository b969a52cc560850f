"""Problem -> Candidates of JAX: the cell's equations under `jax.lax.scan` and `jit`, on the CPU.

Training is the output and its pull-back to everything the sequence was given, in one jitted
function.

Why the number of threads is not set here: XLA reads it when it starts, from the environment that
`process` prepares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax  # type: ignore[import-not-found, unused-ignore]
import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]
import numpy as np

from gatewright.bridges.equations import step
from gatewright.bridges.jax import LIBRARY
from gatewright.studies.problem import Candidate, Outcome, Problem

Tree = dict[str, Any]


def candidates(problem: Problem, task: str, threads: int) -> Iterator[Candidate]:
    """Yield the scan of a cell."""
    equations = step(problem.cell, LIBRARY)
    constants = {constant.name: constant.value for constant in problem.cell.constants}
    names = tuple(problem.state)

    def sequence(parameters: Tree, inputs: Tree, state: Tree) -> tuple[Tree, Any]:
        def one(carried: Tree, x: Tree) -> tuple[Tree, Any]:
            values = {**constants, **parameters, **x, **carried}
            y = equations(values)
            return {name: values[name] for name in names}, y

        return jax.lax.scan(one, state, inputs)

    def gradients(parameters: Tree, inputs: Tree, state: Tree, ct_y: Any) -> tuple[Any, Any]:
        y, pull = jax.vjp(lambda *given: sequence(*given)[1], parameters, inputs, state)
        return y, pull(ct_y)

    given = [_arrays(each) for each in (problem.parameters, problem.inputs, problem.state)]
    if task == "training":
        compiled = jax.jit(gradients)
        ct_y = jnp.asarray(problem.ct_y)
        yield Candidate("jax scan", lambda: _ready(compiled(*given, ct_y)), _trained)
    else:
        forward = jax.jit(sequence)
        yield Candidate(
            "jax scan",
            lambda: _ready(forward(*given)),
            lambda found: Outcome(np.asarray(found[1]), {}),
        )


def _ready(found: Any) -> Any:
    """Wait until everything is computed."""
    return jax.block_until_ready(found)  # type: ignore[no-untyped-call, unused-ignore]


def _arrays(arrays: Tree) -> Tree:
    return {name: jnp.asarray(array) for name, array in arrays.items()}


def _trained(found: tuple[Any, tuple[Tree, ...]]) -> Outcome:
    y, gradients = found
    named = {name: np.asarray(array) for each in gradients for name, array in each.items()}
    return Outcome(np.asarray(y), named)
