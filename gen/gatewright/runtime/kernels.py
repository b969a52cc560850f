"""Module -> Kernels: run the routines of a generated file on plain dicts of arrays.

`forward` runs a sequence and keeps what the reverse reads; `backward` takes the result and the
cotangents and returns every gradient; `step` is a sequence of one. Arguments are validated, arrays
are allocated as the layout says, and each routine is called with the arrays of its own argument
names.

Why allocation lives here and not in generated code: one place decides about memory for every cell
and target, and generated code stays free of anything but the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from gatewright.runtime.buffers import buffers
from gatewright.runtime.engine import Engine, Work
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module
from gatewright.runtime.validate import (
    ArgumentError,
    Array,
    checked_array,
    checked_dict,
)

Arrays = dict[str, Array]


class Memory(Protocol):
    """Where a target keeps its arrays."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Return an array with unspecified contents."""

    def upload(self, array: Array) -> Any:
        """Return the target's copy of an array; it may be the array itself."""

    def write(self, target: Any, array: Array) -> None:
        """Copy an array into a target's array of the same shape."""

    def download(self, array: Any) -> Array:
        """Return a NumPy array with the contents of a target's array."""


class HostMemory:
    """NumPy arrays; `fill` is what new arrays start with, for tests that look for gaps."""

    def __init__(self, fill: float | None = None) -> None:
        self.fill = fill

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return a new array, filled if a fill value was given."""
        return (
            buffers.empty(shape, dtype) if self.fill is None else np.full(shape, self.fill, dtype)
        )

    def upload(self, array: Array) -> Array:
        """Return the array itself."""
        return array

    def write(self, target: Array, array: Array) -> None:
        """Copy an array into another."""
        target[...] = array

    def download(self, array: Array) -> Array:
        """Return the array itself."""
        return array


@dataclass(frozen=True)
class Step:
    """One time step: the output [B, dim] and the next states, by name."""

    y: Array
    state: Arrays


@dataclass(frozen=True)
class Run:
    """A sequence: outputs [T, B, dim], final states [B, dim], all states [T + 1, B, dim].

    `kept` holds what `backward` needs, in the target's own memory.
    """

    y: Array
    state: Arrays
    states: Arrays
    kept: Mapping[str, Any] = field(repr=False)
    sizes: Mapping[str, int] = field(repr=False)


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

    def __repr__(self) -> str:
        return f"Kernels({self.layout.cell!r}, target={self.target!r}, dtype={self.dtype!r})"

    def step(self, parameters: Mapping[str, Array], x: Any, state: Mapping[str, Array]) -> Step:
        """Run one time step on x [B, dim] (a dict of such arrays if the cell has several inputs).

        Raises ArgumentError if an array does not fit the cell.
        """
        inputs = self._inputs(x)
        longer = {
            name: checked_array(name, array, ("B", "any"), self.dtype)[None]
            for name, array in inputs.items()
        }
        run = self.forward(
            parameters, longer if len(longer) > 1 else next(iter(longer.values())), state
        )
        return Step(run.y[0], run.state)

    def forward(
        self, parameters: Mapping[str, Array], x: Any, state: Mapping[str, Array] | None = None
    ) -> Run:
        """Run a sequence x [T, B, dim] from the given states [B, dim], zeros if None.

        Raises ArgumentError if an array does not fit the cell.
        """
        sizes, values = self._checked_parameters(parameters)
        inputs = self._checked_inputs(x, sizes)
        self._check_spread(sizes)
        initial = self._checked_states("states", state, sizes)
        values |= {name: self._memory.upload(array) for name, array in inputs.items()}
        self._allocate(self.layout.forward, sizes, values)
        for name, array in initial.items():
            self._memory.write(values[name][0], array)
        arguments = values | self._matrices(values, transposed=False)
        for name in ("before", "sequence", "after"):
            self._call(name, arguments, sizes)
        return self._run(sizes, values)

    def backward(
        self, run: Run, ct_y: Array, ct_state: Mapping[str, Array] | None = None
    ) -> Gradients:
        """Return all gradients, given cotangents of the outputs and of the final states.

        `ct_y` is [T, B, dim]; `ct_state` maps states to [B, dim], zeros if None. Raises
        ArgumentError if an array does not fit the run.
        """
        sizes = dict(run.sizes)
        shape = (sizes["T"], sizes["B"], *(sizes[d] for d in self.layout.output_dims))
        values = dict(run.kept)
        values["ct_y"] = self._memory.upload(checked_array("ct_y", ct_y, shape, self.dtype))
        final = self._checked_states("cotangents of states", ct_state, sizes)
        self._allocate(self.layout.reverse, sizes, values)
        for name, array in final.items():
            self._memory.write(values[f"d_{name}"][sizes["T"]], array)
        arguments = values | self._matrices(values, transposed=True)
        for name in ("before_vjp", "sequence_vjp", "after_vjp", "outers_vjp"):
            self._call(name, arguments, sizes)
        return self._gradients(values)

    def _inputs(self, x: Any) -> Mapping[str, Any]:
        names = tuple(self.layout.inputs)
        if len(names) == 1 and not isinstance(x, Mapping):
            return {names[0]: x}
        return checked_dict("inputs", x, names)

    def _checked_parameters(
        self, parameters: Mapping[str, Array]
    ) -> tuple[dict[str, int], dict[str, Any]]:
        given = checked_dict("parameters", parameters, tuple(self.layout.parameters))
        sizes: dict[str, int] = {}
        values: dict[str, Any] = {}
        for name, dims in self.layout.parameters.items():
            shape = tuple(sizes.get(dim, dim) for dim in dims)
            array = checked_array(name, given[name], shape, self.dtype)
            for dim, size in zip(dims, array.shape, strict=True):
                if not size:
                    raise ArgumentError(f"`{name}` is empty: `{dim}` must be at least 1")
                sizes.setdefault(dim, size)
            values[name] = self._memory.upload(array) if dims else array[()]
        for name, value in self._constants.items():
            values[name] = np.dtype(self.dtype).type(value)
        return sizes, values

    def _checked_inputs(self, x: Any, sizes: dict[str, int]) -> Arrays:
        found = {}
        for name, array in self._inputs(x).items():
            dims = self.layout.inputs[name]
            shape = ("T", "B", *dims)
            known = tuple(sizes.get(size, size) for size in shape)
            found[name] = checked_array(name, array, known, self.dtype)
            for dim, size in zip(shape, found[name].shape, strict=True):
                sizes.setdefault(dim, size)
        return found

    def _checked_states(
        self, kind: str, state: Mapping[str, Array] | None, sizes: dict[str, int]
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

    def _allocate(
        self,
        arrays: Mapping[str, tuple[str, ...]],
        sizes: Mapping[str, int],
        values: dict[str, Any],
    ) -> None:
        rows = {
            "time": (sizes["T"], sizes["B"]),
            "carried": (sizes["T"] + 1, sizes["B"]),
            "scratch": (sizes["B"],),
            "gradient": (),
        }
        for name, (place, *dims) in arrays.items():
            if name not in values:
                shape = (*rows[place], *(sizes[dim] for dim in dims))
                values[name] = self._memory.empty(shape, self.dtype)

    def _matrices(self, values: Mapping[str, Any], transposed: bool) -> dict[str, Any]:
        """Return every matrix as the routines of one direction want it."""
        return {
            name: self._engine.matrix(values[name], transposed)
            for name, dims in self.layout.parameters.items()
            if len(dims) == 2 and name in values
        }

    def _call(self, name: str, values: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        """Call a routine with the arrays of its argument names; all but `sequence` see rows."""
        routine = self.module.routine(name)
        if routine is None:
            return
        names = self.module.arguments(name)
        matrices = [
            self.layout.parameters[n] for n in names if len(self.layout.parameters.get(n, ())) == 2
        ]
        work = Work(
            T=sizes["T"],
            B=sizes["B"],
            units=max(sizes[dim] for dims in self.layout.states.values() for dim in dims),
            multiplied=sum(sizes[rows] * sizes[columns] for rows, columns in matrices),
            products=len(matrices),
            itemsize=np.dtype(self.dtype).itemsize,
        )
        if name.startswith("sequence"):
            arguments = [sizes["T"] if n == "T" else values[n] for n in names]
            self._engine.run_steps(routine, arguments, work)
        else:
            self._engine.run(routine, [self._rows(n, values) for n in names], work)

    def _rows(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return [T, B, dim] as [T * B, dim]; a state without its last slab, the next state without
        its first."""
        layout = self.layout
        if name in layout.parameters:
            return values[name]
        if name.endswith("_next") and name.removesuffix("_next") in layout.states:
            array = values[name.removesuffix("_next")][1:]
        elif name.startswith("ct_") and name.endswith("_next"):
            array = values[f"d_{name[3:-5]}"][1:]
        else:
            array = values[name]
            place = (layout.forward.get(name) or layout.reverse.get(name) or ("whole",))[0]
            if place == "carried":
                array = array[:-1]
        if getattr(array, "ndim", 0) < 3:
            return array
        return array.reshape(array.shape[0] * array.shape[1], array.shape[2])

    def _run(self, sizes: Mapping[str, int], values: Mapping[str, Any]) -> Run:
        states = {name: self._memory.download(values[name]) for name in self.layout.states}
        name, slab = self.layout.output
        whole = states[name] if name in states else self._memory.download(values[name])
        y = whole[slab : slab + sizes["T"]]
        routines = ("before_vjp", "sequence_vjp", "after_vjp", "outers_vjp")
        read = {n.removesuffix("_next") for r in routines for n in self.module.arguments(r)}
        read |= {n for r in routines for n in self.module.arguments(r)}
        kept = {n: array for n, array in values.items() if n in read or n in self.layout.states}
        final = {n: array[sizes["T"]].copy() for n, array in states.items()}
        return Run(y, final, states, kept, dict(sizes))

    def _gradients(self, values: Mapping[str, Any]) -> Gradients:
        layout, download = self.layout, self._memory.download
        inputs = {name: download(values[f"d_{name}"]) for name in layout.inputs}
        state = {name: download(values[f"d_{name}"])[0].copy() for name in layout.states}
        parameters = {}
        for name, dims in layout.parameters.items():
            gradient = download(values[f"d_{name}"])
            # A scalar's gradient comes as one sum per unit.
            parameters[name] = gradient if dims else np.asarray(gradient.sum(), self.dtype)
        x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        return Gradients(x, state, parameters)
