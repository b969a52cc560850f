"""The contract between a generated file and the runtime: what must be allocated, and how.

Every generated file ends with one `Layout` literal. The runtime reads it and the signatures of
`forward` and `backward`, and needs nothing else to run them.

Why the generator and the runtime share only this: a generated file can then be read, vendored and
run without the compiler that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gatewright.runtime.engine import Engine

Shapes = Mapping[str, tuple[str, ...]]
# How many slabs [B, dim] an array has, by its place: T time steps, chunks of C of them.
SLABS = {
    "time": "T", "saved": "T or C", "stepped": "T or 1", "chunk": "C", "carried": "T + 1",
    "turns": "2",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Names and dimensions of a cell's arrays.

    `forward` and `reverse` map each array to its place followed by its dimensions. A place is one
    of `SLABS` ([slabs, B, dim]; `saved` and `stepped` have T slabs if the reverse is to run, and
    of one that is `stepped` a step reads what it wrote itself), `scratch` ([B, dim]) or `gradient`
    (no rows). `output` names the array that holds the output and the slab at which step 0 finds it;
    `products` are the matrices that each product of a step multiplies with, for `forward` and
    `backward`. `stacks` are the arrays that stand side by side as the columns of one, and the
    matrices that are the rows of one, `wholes` what the kernel of all steps needs, both by
    direction. `engine` is how the file's routines are run.
    """

    cell: str
    inputs: Shapes
    states: Shapes
    parameters: Shapes
    constants: Mapping[str, float]
    output: tuple[str, int]
    products: Mapping[str, tuple[tuple[str, ...], ...]]
    forward: Shapes
    reverse: Shapes
    engine: Engine = field(repr=False)
    stacks: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    wholes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """Every dimension of the cell, in order of first appearance."""
        shapes = (self.inputs, self.states, self.parameters)
        return tuple(dict.fromkeys(d for each in shapes for dims in each.values() for d in dims))

    @cached_property
    def output_dims(self) -> tuple[str, ...]:
        """Dimensions of the output, without time and batch."""
        return self.forward[self.output[0]][1:]

    @cached_property
    def matrices(self) -> tuple[str, ...]:
        """The parameters that are matrices."""
        return tuple(name for name, dims in self.parameters.items() if len(dims) == 2)

    @cached_property
    def cotangents(self) -> tuple[str, ...]:
        """What the reverse is given for every time step: `ct_y`, and `ct_every_c` of a state."""
        return tuple(name for name in self.reverse if name.startswith("ct_"))

    @cached_property
    def sums(self) -> tuple[str, ...]:
        """The gradients of parameters."""
        return tuple(f"d_{name}" for name in self.parameters)

    @cached_property
    def gradients(self) -> tuple[str, ...]:
        """The gradients of inputs, states and parameters."""
        return (*(f"d_{name}" for name in (*self.inputs, *self.states)), *self.sums)
