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
from functools import lru_cache
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
from gatewright.runtime.storage import BACKWARD, FORWARD, Shapes, Storage, storage, work
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
    """Gradients of a sequence: of the input [T, B, dim], the initial states and the parameters."""

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
        self._engine = engine or module.layout.engine
        self.layout: Layout = module.layout
        self.dtype = module.dtype
        self.target = module.target
        self._memory = memory
        self._constants = {**module.layout.constants, **(constants or {})}
        self._routines = {each: module.routine(each) for each in (FORWARD, BACKWARD)}
        self._names = {each: module.arguments(each) for each in (FORWARD, BACKWARD)}
        self._planned = lru_cache(256)(self._make_plan)

    def __repr__(self) -> str:
        return f"Kernels({self.layout.cell!r}, target={self.target!r}, dtype={self.dtype!r})"

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
        self._check_spread(sizes)
        initial = self._checked_states("states", state, sizes)
        if checkpoint is None or not keep:
            return self._run(known, sizes, self._forward(known, inputs, initial, keep), keep)

        def piece(inputs: Arrays, initial: Arrays) -> tuple[Array, Arrays]:
            values = self._forward(known, inputs, initial, False)
            run = self._run(known, {**sizes, "T": len(next(iter(inputs.values())))}, values, False)
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
    ) -> Gradients:
        """Return all gradients, given cotangents of the outputs and of the states.

        `ct_y` is [T, B, dim]; `ct_state` maps states to cotangents of the final ones [B, dim],
        zeros if None. `ct_states` maps some of the states to cotangents [T, B, dim] of what each
        step ends with; for states but that of the output the kernels must come from a cell with
        `every_state`. Raises ArgumentError if an array does not fit the run, or it kept nothing.
        """
        if run.kept is None and run.pieces is None:
            raise ArgumentError("this run kept nothing: call `forward` with `keep=True`")
        cts = checked_cotangents(self.layout, self.dtype, run.sizes, ct_y, ct_states)
        final = self._checked_states("cotangents of states", ct_state, run.sizes)
        if run.kept is not None:
            return self._gradients(self._backward(run.parameters, run.kept, cts, final, None))

        def piece(
            inputs: Arrays,
            initial: Arrays,
            cts: Arrays,
            final: Arrays,
            sums: Mapping[str, Any] | None,
        ) -> Arrays:
            kept = self._forward(run.parameters, inputs, initial, True)
            found = self._backward(run.parameters, kept, cts, final, sums)
            return {name: found[name] for name in self.layout.gradients}

        assert run.pieces
        return self._gradients(backward_in_pieces(piece, run.pieces, cts, final))

    def plans(self, sizes: Mapping[str, int], keep: bool = True) -> dict[str, Plan]:
        """Return how `forward` and `backward` are run for T, B and the cell's dimensions."""
        return {each: self._plan(each, sizes, keep)[0] for each in (FORWARD, BACKWARD)}

    def kept_shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what a run keeps for `backward` besides its inputs, by name.

        `sizes` has T, B and the cell's dimensions.
        """
        lasting = self._plan(FORWARD, sizes, True)[1].lasting
        return {name: lasting[name] for name in self._names[BACKWARD] if name in lasting}

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
        values = {n: self._memory.upload(array) for n, array in {**inputs, **found}.items()}
        return Run(np.empty(0, self.dtype), {}, {}, values, sizes, known)

    def kept_bytes(self, sizes: Mapping[str, int], checkpoint: int | None = None) -> int:
        """Return how many bytes a run keeps for `backward`, outputs and states included.

        `sizes` has T, B and the cell's dimensions; what the caller gave is not counted.
        """
        size = np.dtype(self.dtype).itemsize

        def bytes_of(shapes: Shapes) -> int:
            return size * sum(prod(shape) for shape in shapes.values())

        if checkpoint is None:
            return bytes_of(self._plan(FORWARD, sizes, True)[1].lasting)
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
        layout, engine = self.layout, self._engine
        if not isinstance(given, Parameters):
            constants, memory = self._constants, self._memory
            return checked_parameters(given, layout, self.dtype, engine, memory, constants, copy)
        if not given.fits(layout, self.dtype, engine):
            raise ArgumentError("these parameters were prepared by other kernels")
        return given

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

    def _check_spread(self, sizes: Mapping[str, int]) -> None:
        """Refuse sequences whose arrays a 32-bit index could not reach."""
        rows = (sizes["T"] + 1) * sizes["B"]
        widest = max(sizes[dim] for dim in self.layout.dims)
        if rows * widest > 2**31 - 1:
            raise ArgumentError(f"(T + 1) * B * {widest} must be below 2**31; got {rows * widest}")

    def _plan(self, direction: str, sizes: Mapping[str, int], kept: bool) -> tuple[Plan, Storage]:
        return self._planned(direction, tuple(sizes.items()), kept)

    def _make_plan(
        self, direction: str, sizes: tuple[tuple[str, int], ...], kept: bool
    ) -> tuple[Plan, Storage]:
        known, size = dict(sizes), np.dtype(self.dtype).itemsize
        plan = self._engine.plan(work(self.layout, direction, known, kept, size))
        return plan, storage(self.layout, direction, known, kept, plan.chunk)

    def _forward(
        self, parameters: Parameters, inputs: Arrays, initial: Arrays, keep: bool
    ) -> dict[str, Any]:
        """Run checked arguments forward; return what lasts, by name."""
        first = next(iter(inputs.values()))
        sizes = {**parameters.sizes, "T": first.shape[0], "B": first.shape[1]}
        for name, array in inputs.items():
            sizes.update(zip(self.layout.inputs[name], array.shape[2:], strict=True))
        plan, shapes = self._plan(FORWARD, sizes, keep)
        values = {name: self._memory.upload(array) for name, array in inputs.items()}
        values |= self._memory.arrays(shapes.lasting, self.dtype)
        for name, array in initial.items():
            self._memory.write(values[name][0], array)
        if first.size:
            passing = self._memory.arrays(shapes.passing, self.dtype)
            more = {"T": sizes["T"], "chunk": plan.chunk, "kept": keep, **passing}
            self._call(FORWARD, {**parameters.arrays(False), **values, **more}, plan)
        return values

    def _backward(
        self,
        parameters: Parameters,
        kept: Mapping[str, Any],
        cts: Arrays,
        final: Arrays,
        sums: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Run checked cotangents back; return all arrays. Gradients add to `sums` if given."""
        memory = self._memory
        T, B = cts["ct_y"].shape[:2]
        sizes = {**parameters.sizes, "T": T, "B": B}
        for name, dims in self.layout.inputs.items():
            sizes.update(zip(dims, kept[name].shape[2:], strict=True))
        plan, shapes = self._plan(BACKWARD, sizes, True)
        given = {name: sums[name] for name in self.layout.sums} if sums else {}
        new = {name: shape for name, shape in shapes.lasting.items() if name not in given}
        lasting = given | memory.arrays(new, self.dtype)
        values = {**kept, **{n: memory.upload(each) for n, each in cts.items()}, **lasting}
        values |= memory.arrays(shapes.passing, self.dtype)
        if not sizes["T"] * sizes["B"]:
            for array in lasting.values():
                memory.write(array, np.zeros(array.shape, self.dtype))
        for name, array in final.items():
            carried = values[f"d_{name}"]
            memory.write(carried[sizes["T"] % carried.shape[0]], array)
        if sizes["T"] * sizes["B"]:
            more = {"T": sizes["T"], "chunk": plan.chunk, "more": sums is not None}
            self._call(BACKWARD, {**parameters.arrays(True), **values, **more}, plan)
        return values

    def _call(self, direction: str, values: Mapping[str, Any], plan: Plan) -> None:
        """Call `forward` or `backward` with the values of its argument names."""
        arguments = [values[name] for name in self._names[direction]]
        self._engine.run(self._routines[direction], arguments, plan)

    def _run(
        self,
        parameters: Parameters,
        sizes: Mapping[str, int],
        values: Mapping[str, Any],
        keep: bool,
    ) -> Run:
        states = {name: self._memory.download(values[name]) for name in self.layout.states}
        name, slab = self.layout.output
        whole = states[name] if name in states else self._memory.download(values[name])
        y = whole[slab : slab + sizes["T"]]
        final = {n: array[sizes["T"]].copy() for n, array in states.items()}
        return Run(y, final, states, values if keep else None, sizes, parameters)

    def _gradients(self, values: Mapping[str, Any]) -> Gradients:
        layout, download = self.layout, self._memory.download
        inputs = {name: download(values[f"d_{name}"]) for name in layout.inputs}
        # After the last step of the reverse, every cotangent of a state is in its first slab.
        state = {name: download(values[f"d_{name}"])[0].copy() for name in layout.states}
        parameters = {}
        for name, dims in layout.parameters.items():
            gradient = download(values[f"d_{name}"])
            # A scalar's gradient comes as one sum per unit.
            parameters[name] = gradient if dims else np.asarray(gradient.sum(), self.dtype)
        x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        return Gradients(x, state, parameters)
