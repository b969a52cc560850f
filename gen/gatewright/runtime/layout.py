"""The contract between a generated file and the runtime: what must be allocated, and how.

Every generated file ends with one `Layout` literal. The runtime reads it and the signatures of the
file's routines, and needs nothing else to run them.

Why the generator and the runtime share only this: a generated file can then be read, vendored and
run without the compiler that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewright.runtime.engine import Engine

Shapes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Layout:
    """Names and dimensions of a cell's arrays.

    `forward` and `reverse` map each array to its place (`time`: [T, B, dim]; `carried`:
    [T + 1, B, dim]; `scratch`: [B, dim]; `gradient`: no rows) followed by its dimensions. `output`
    names the array that holds the output and the slab at which step 0 finds it. `engine` is how
    the file's routines are run.
    """

    cell: str
    inputs: Shapes
    states: Shapes
    parameters: Shapes
    constants: Mapping[str, float]
    output: tuple[str, int]
    forward: Shapes
    reverse: Shapes
    engine: Engine = field(repr=False)

    @property
    def dims(self) -> tuple[str, ...]:
        """Every dimension of the cell, in order of first appearance."""
        shapes = (self.inputs, self.states, self.parameters)
        return tuple(dict.fromkeys(d for each in shapes for dims in each.values() for d in dims))

    @property
    def output_dims(self) -> tuple[str, ...]:
        """Dimensions of the output, without time and batch."""
        return self.forward[self.output[0]][1:]
