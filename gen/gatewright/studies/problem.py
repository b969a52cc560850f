"""Job -> Problem -> Outcome: the same arrays for every candidate, and what each makes of them.

A Candidate is one way to solve a Problem: `run` is what is timed, `read` turns what it returned
into NumPy arrays by our names.

Why `ct_y` is ones: the loss is then the sum of all outputs, which every library can differentiate
without being given cotangents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewright.language.cell import Cell
from gatewright.loaded import LoadedCell
from gatewright.studies.jobs import Size

Array = NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Problem:
    """What one sequence is given, by the cell's names: inputs [T, B, dim], states [B, dim]."""

    cell: Cell
    size: Size
    parameters: Arrays
    inputs: Arrays
    state: Arrays
    ct_y: Array


@dataclass(frozen=True)
class Outcome:
    """The output [T, B, dim] and, when training, gradients of all that the sequence was given.

    Gradients go by the names of inputs, states and parameters.
    """

    y: Array
    gradients: Arrays


@dataclass(frozen=True)
class Candidate:
    """One way to solve a Problem. A `loop` that is slow may be run fewer times than the others."""

    name: str
    run: Callable[[], Any]
    read: Callable[[Any], Outcome]
    loop: bool = False


def draw(loaded: LoadedCell, size: Size, seed: int = 0) -> Problem:
    """Return a Problem in single precision; nothing in it is zero."""
    cell, sizes = loaded.cell, size.of(loaded.cell)
    stream = np.random.default_rng([seed, size.B, size.H, size.T])

    def uniform(*shape: int) -> Array:
        return stream.uniform(-1.0, 1.0, shape).astype(np.float32)

    output = next(each for each in cell.equations if each.target == cell.output)
    return Problem(
        cell,
        size,
        loaded.init(seed=seed, dtype="float32", **sizes),
        {
            each.name: uniform(size.T, size.B, *(sizes[d] for d in each.dims))
            for each in cell.inputs
        },
        {each.name: uniform(size.B, *(sizes[d] for d in each.dims)) for each in cell.states},
        np.ones((size.T, size.B, *(sizes[d] for d in output.dims)), np.float32),
    )
