"""Module -> Kernels: run the routines of a generated file on plain dicts of arrays.

`forward` runs a sequence and keeps what the reverse reads; `backward` takes the result and the
cotangents and returns every gradient; `step` is a sequence of one. Arguments are validated, arrays
are allocated as the layout says, and each direction is one call of the generated file.

Why allocation lives here and not in generated code: one place decides about memory for every cell
and target, and generated code stays free of anything but the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from gatewright.runtime.cotangents import checked_cotangents
from gatewright.runtime.engine import Engine, Plan
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module
from gatewright.runtime.memory import HostMemory, Memory
from gatewright.runtime.parameters import Parameters, checked_parameters
from gatewright.runtime.pieces import (
    Pieces,
    backward_in_pieces,
    checked_every,
    forward_in_pieces,
)
from gatewright.runtime.routines import Routines
from gatewright.runtime.sizes import check_reach
from gatewright.runtime.storage import BACKWARD, FORWARD, Shapes
from gatewright.runtime.validate import ArgumentError, Array, checked_array, checked_dict

__all__ = ["Gradients", "HostMemory", "Kernels", "Memory", "Run", "Step"]

Arrays = dict[str, Array]


@dataclass(frozen=True)
class Step:
    """One time step: the output [B, dim] and the next states, by name."""

    y: Array
    state: Arrays


@dataclass(frozen=True)
class Run:
    """A sequence: outputs [T, B, dim], final states [B, dim], all states [T + 1, B, dim].

    `kept` holds what `backward` needs, in the target's own memory; None if nothing was kept, or
    only `pieces` of the sequence: all states are then those at the start of each and the last.
    """

    y: Array
    state: Arrays
    states: Arrays
    kept: Mapping[str, Any] | None = field(repr=False)
    sizes: Mapping[str, int] = field(repr=False)
    parameters: Parameters = field(repr=False)
    pieces: Pieces | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Gradients:
    """Gradients of a sequence: of the input [T, B, dim], the initial states and the parameters.

    `x` is a dict by name if the cell has several inputs, and None if nobody asked for it.
    """

    x: Any
    state: Arrays
    parameters: Arrays


class Kernels:
    """The kernels of one cell for one target and precision; arrays are NumPy, C order or not."""

    def __init__(
        self,
        module: Module,
        memory: Memory,
        constants: Mapping[str, float] | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.module = module
        self.layout: Layout = module.layout
        self.dtype = module.dtype
        self.target = module.target
        self.memory = memory
        self._constants = {**module.layout.constants, **(constants or {})}
        self.routines = Routines(module, memory, self._constants, engine or module.layout.engine)

    def __repr__(self) -> str:
        return f"Kernels({self.layout.cell!r}, target={self.target!r}, dtype={self.dtype!r})"

    def with_memory(self, memory: Memory) -> Kernels:
        """Return the same kernels with other memory for their arrays."""
        return Kernels(self.module, memory, self._constants, self.routines.engine)

    def prepare(self, parameters: Mapping[str, Array], copy: bool = True) -> Parameters:
        """Return a copy of the parameters that `forward` and `step` take and need not pack again.

        Without `copy`, it must not be used after the arrays have been written to. Raises
        ArgumentError if an array does not fit the cell.
        """
        return self._parameters(parameters, copy=copy)

    def step(
        self, parameters: Mapping[str, Array] | Parameters, x: Any, state: Mapping[str, Array]
    ) -> Step:
        """Run one time step on x [B, dim] (a dict of such arrays if the cell has several inputs).

        Raises ArgumentError if an array does not fit the cell.
        """
        longer = {
            name: checked_array(name, array, ("B", "any"), self.dtype)[None]
            for name, array in self._inputs(x).items()
        }
        only = longer if len(longer) > 1 else next(iter(longer.values()))
        run = self.forward(parameters, only, state, keep=False)
        return Step(run.y[0], run.state)

    def forward(
        self,
        parameters: Mapping[str, Array] | Parameters,
        x: Any,
        state: Mapping[str, Array] | None = None,
        *,
        keep: bool = True,
        checkpoint: int | None = None,
    ) -> Run:
        """Run a sequence x [T, B, dim] from the given states [B, dim], zeros if None.

        With `keep=False` nothing is kept for `backward`: faster, and less memory. With
        `checkpoint=k` only the states of every k-th step are, and `backward` computes the rest
        again: the same gradients for less memory and a third more time. Raises ArgumentError if an
        array does not fit the cell.
        """
        known = self._parameters(parameters, copy=False)
        sizes = dict(known.sizes)
        inputs = self._checked_inputs(x, sizes)
        check_reach(self.layout, sizes)
        initial = self._checked_states("states", state, sizes)
        if checkpoint is None or not keep:
            values = self.routines.forward(known, sizes, inputs, initial, keep)
            return self._run(known, sizes, values, keep)

        def piece(inputs: Arrays, initial: Arrays) -> tuple[Array, Arrays]:
            part = {**sizes, "T": len(next(iter(inputs.values())))}
            values = self.routines.forward(known, part, inputs, initial, False)
            run = self._run(known, part, values, False)
            return run.y, run.state

        every = checked_every(checkpoint)
        y, final, pieces = forward_in_pieces(piece, inputs, initial, every)
        states = {n: np.stack([each[n] for each in (*pieces.starts, final)]) for n in final}
        return Run(y, final, states, None, sizes, known, pieces)

    def backward(
        self,
        run: Run,
        ct_y: Array,
        ct_state: Mapping[str, Array] | None = None,
        ct_states: Mapping[str, Array] | None = None,
        *,
        inputs: bool = True,
    ) -> Gradients:
        """Return all gradients, given cotangents of the outputs and of the states.

        `ct_y` is [T, B, dim]; `ct_state` maps states to cotangents of the final ones [B, dim],
        zeros if None. `ct_states` maps some of the states to cotangents [T, B, dim] of what each
        step ends with; for states but that of the output the kernels must come from a cell with
        `every_state`. Without `inputs`, there is no gradient of x, which is one of the four large
        products of a reverse. Raises ArgumentError if an array does not fit the run, or it kept
        nothing.
        """
        if run.kept is None and run.pieces is None:
            raise ArgumentError("this run kept nothing: call `forward` with `keep=True`")
        cts = checked_cotangents(self.layout, self.dtype, run.sizes, ct_y, ct_states)
        final = self._checked_states("cotangents of states", ct_state, run.sizes)
        if run.kept is not None:
            known, kept = run.parameters, run.kept
            found = self.routines.backward(known, run.sizes, kept, cts, final, inputs=inputs)
            return self.gradients(found, inputs)

        def piece(
            given: Arrays,
            initial: Arrays,
            cts: Arrays,
            final: Arrays,
            sums: Mapping[str, Any] | None,
        ) -> Arrays:
            part = {**run.sizes, "T": len(next(iter(given.values())))}
            kept = self.routines.forward(run.parameters, part, given, initial, True)
            found = self.routines.backward(run.parameters, part, kept, cts, final, sums, inputs)
            return {name: found[name] for name in self.layout.gradients}

        assert run.pieces
        return self.gradients(backward_in_pieces(piece, run.pieces, cts, final), inputs)

    def plans(self, sizes: Mapping[str, int], keep: bool = True) -> dict[str, Plan]:
        """Return how `forward` and `backward` are run for T, B and the cell's dimensions."""
        return {each: self.routines.plan(each, sizes, keep)[0] for each in (FORWARD, BACKWARD)}

    def kept_shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what a run keeps for `backward` besides its inputs, by name.

        `sizes` has T, B and the cell's dimensions.
        """
        lasting = self.routines.plan(FORWARD, sizes, True)[1].lasting
        return {name: lasting[name] for name in self.routines.names[BACKWARD] if name in lasting}

    def revived(
        self, parameters: Mapping[str, Array] | Parameters, kept: Mapping[str, Array]
    ) -> Run:
        """Return a run for `backward` alone, from arrays that another one kept, and its inputs.

        `kept` has the names and shapes of `kept_shapes`, and the inputs by name.
        """
        known = self._parameters(parameters, copy=False)
        sizes = dict(known.sizes)
        inputs = self._checked_inputs({name: kept[name] for name in self.layout.inputs}, sizes)
        found = {
            name: checked_array(name, kept.get(name), shape, self.dtype)
            for name, shape in self.kept_shapes(sizes).items()
        }
        values = {n: self.memory.upload(array) for n, array in {**inputs, **found}.items()}
        return Run(np.empty(0, self.dtype), {}, {}, values, sizes, known)

    def kept_bytes(self, sizes: Mapping[str, int], checkpoint: int | None = None) -> int:
        """Return how many bytes a run keeps for `backward`, outputs and states included.

        `sizes` has T, B and the cell's dimensions; what the caller gave is not counted.
        """
        size = np.dtype(self.dtype).itemsize

        def bytes_of(shapes: Shapes) -> int:
            return size * sum(prod(shape) for shape in shapes.values())

        if checkpoint is None:
            return bytes_of(self.routines.plan(FORWARD, sizes, True)[1].lasting)
        dims = self.layout.states.values()
        states = sum(sizes["B"] * prod(sizes[dim] for dim in each) for each in dims)
        output = sizes["T"] * sizes["B"] * prod(sizes[dim] for dim in self.layout.output_dims)
        return size * (output + states * -(-sizes["T"] // checked_every(checkpoint)))

    def _inputs(self, x: Any) -> Mapping[str, Any]:
        names = tuple(self.layout.inputs)
        if len(names) == 1 and not isinstance(x, Mapping):
            return {names[0]: x}
        return checked_dict("inputs", x, names)

    def _parameters(self, given: Mapping[str, Array] | Parameters, copy: bool) -> Parameters:
        if isinstance(given, Parameters):
            if not given.fits(self.layout, self.dtype, self.routines.engine):
                raise ArgumentError("these parameters were prepared by other kernels")
            return given
        arrays, sizes = checked_parameters(given, self.layout, self.dtype)
        if copy:
            arrays = {name: array.copy() for name, array in arrays.items()}
        return self.routines.parameters(arrays, sizes)

    def _checked_inputs(self, x: Any, sizes: dict[str, int]) -> Arrays:
        found = {}
        for name, array in self._inputs(x).items():
            shape = ("T", "B", *self.layout.inputs[name])
            known = tuple(sizes.get(size, size) for size in shape)
            found[name] = checked_array(name, array, known, self.dtype)
            for dim, size in zip(shape, found[name].shape, strict=True):
                sizes.setdefault(dim, size)
        return found

    def _checked_states(
        self, kind: str, state: Mapping[str, Array] | None, sizes: Mapping[str, int]
    ) -> Arrays:
        found = {}
        if state is not None:
            checked_dict(kind, state, tuple(self.layout.states))
        for name, dims in self.layout.states.items():
            shape = (sizes["B"], *(sizes[dim] for dim in dims))
            if state is None:
                found[name] = np.zeros(shape, self.dtype)
            else:
                found[name] = checked_array(name, state[name], shape, self.dtype)
        return found

    def _run(
        self,
        parameters: Parameters,
        sizes: Mapping[str, int],
        values: Mapping[str, Any],
        keep: bool,
    ) -> Run:
        states = {name: self.memory.download(values[name]) for name in self.layout.states}
        name, slab = self.layout.output
        whole = states[name] if name in states else self.memory.download(values[name])
        y = whole[slab : slab + sizes["T"]]
        final = {n: array[sizes["T"]].copy() for n, array in states.items()}
        return Run(y, final, states, values if keep else None, sizes, parameters)

    def gradients(
        self, values: Mapping[str, Any], inputs: bool = True, states: bool = True
    ) -> Gradients:
        """Return the gradients among the arrays that the reverse leaves behind."""
        layout, download = self.layout, self.memory.download
        # After the last step of the reverse, every cotangent of a state is in its first slab.
        started = layout.states if states else ()
        state = {name: download(values[f"d_{name}"])[0].copy() for name in started}
        parameters = {}
        for name, dims in layout.parameters.items():
            gradient = download(values[f"d_{name}"])
            # A scalar's gradient comes as one sum per unit.
            parameters[name] = gradient if dims else np.asarray(gradient.sum(), self.dtype)
        if not inputs:
            return Gradients(None, state, parameters)
        found = {name: download(values[f"d_{name}"]) for name in layout.inputs}
        x = found if len(found) > 1 else next(iter(found.values()))
        return Gradients(x, state, parameters)
