"""Checked arrays -> what a run leaves behind: a generated file's routines, run for known sizes.

`forward` and `backward` allocate what the layout says and call the routine once. They are trusted:
nothing is checked here, and an array that does not fit would let a kernel read or write foreign
memory. Every array must be contiguous, aligned and of the file's dtype, and have exactly the shape
that `sizes` and the layout give it.

Why apart from the checks: a bridge that has held the shapes of a call against the cell once
(`sizes.py`) need not look at forty arrays again in every step of a training run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from gatewright.runtime.engine import Engine, Plan
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module
from gatewright.runtime.memory import Memory
from gatewright.runtime.parameters import Parameters
from gatewright.runtime.storage import BACKWARD, FORWARD, Storage, storage, work
from gatewright.runtime.validate import Array

Arrays = Mapping[str, Array]
Sizes = Mapping[str, int]


class Routines:
    """The two routines of a generated file; see the module's docstring for what is trusted."""

    def __init__(
        self, module: Module, memory: Memory, constants: Mapping[str, float], engine: Engine
    ) -> None:
        self.layout: Layout = module.layout
        self.dtype = module.dtype
        self.memory, self.engine = memory, engine
        kind = np.dtype(module.dtype).type
        self._constants = {name: kind(value) for name, value in constants.items()}
        self._routines = {each: module.routine(each) for each in (FORWARD, BACKWARD)}
        self.names = {each: module.arguments(each) for each in (FORWARD, BACKWARD)}
        self._planned = lru_cache(256)(self._make_plan)
        self._carried = tuple((name, f"d_{name}") for name in module.layout.states)

    def parameters(self, arrays: Arrays, sizes: Sizes) -> Parameters:
        """Return parameters, or as many of them as a direction reads, to be packed when used.

        They must not be used after the arrays have been written to.
        """
        upload, dims = self.memory.upload, self.layout.parameters
        values = {n: upload(each) if dims[n] else each[()] for n, each in arrays.items()}
        values |= self._constants
        return Parameters(self.layout, self.dtype, self.engine, values, dict(sizes))

    def plan(self, direction: str, sizes: Sizes, kept: bool) -> tuple[Plan, Storage]:
        """Return how a direction is run, and the shapes of its arrays."""
        return self._planned(direction, tuple(sizes.items()), kept)

    def _make_plan(
        self, direction: str, sizes: tuple[tuple[str, int], ...], kept: bool
    ) -> tuple[Plan, Storage]:
        known, size = dict(sizes), np.dtype(self.dtype).itemsize
        plan = self.engine.plan(work(self.layout, direction, known, kept, size))
        return plan, storage(self.layout, direction, known, kept, plan.chunk)

    def forward(
        self,
        parameters: Parameters,
        sizes: Sizes,
        inputs: Arrays,
        initial: Arrays,
        keep: bool,
    ) -> dict[str, Any]:
        """Run inputs [T, B, dim] from states [B, dim]; return inputs and what lasts, by name.

        Without `keep` there is nothing for `backward`.
        """
        memory = self.memory
        plan, shapes = self.plan(FORWARD, sizes, keep)
        values: dict[str, Any] = {name: memory.upload(array) for name, array in inputs.items()}
        values |= memory.arrays(shapes.lasting, self.dtype)
        for name, array in initial.items():
            memory.write(values[name][0], array)
        if next(iter(inputs.values())).size:
            passing = memory.arrays(shapes.passing, self.dtype)
            more = {"T": sizes["T"], "chunk": plan.chunk, "kept": keep}
            self._call(FORWARD, {**parameters.arrays(False), **values, **passing, **more}, plan)
        return values

    def backward(
        self,
        parameters: Parameters,
        sizes: Sizes,
        kept: Mapping[str, Any],
        cts: Arrays,
        final: Arrays,
        sums: Mapping[str, Any] | None = None,
        inputs: bool = True,
    ) -> dict[str, Any]:
        """Run cotangents [T, B, dim] of every step back; return all arrays by name.

        `kept` is what `forward` returned. States that `final` leaves out have zeros as cotangents
        [B, dim] of their last value. Gradients of parameters add to `sums` if given. Without
        `inputs`, those of inputs may be anything.
        """
        memory, T, B = self.memory, sizes["T"], sizes["B"]
        plan, shapes = self.plan(BACKWARD, sizes, True)
        new = shapes.lasting
        if sums:
            new = {name: shape for name, shape in new.items() if name not in self.layout.sums}
        lasting = memory.arrays(new, self.dtype)
        if sums:
            lasting |= {name: sums[name] for name in self.layout.sums}
        values = {**kept, **{n: memory.upload(each) for n, each in cts.items()}, **lasting}
        values |= memory.arrays(shapes.passing, self.dtype)
        if not T * B:
            for array in lasting.values():
                memory.write(array, np.zeros(array.shape, self.dtype))
        for name, carried in self._carried:
            array, slabs = final.get(name), values[carried]
            slab = slabs[T % slabs.shape[0]]
            memory.write(slab, np.zeros(slab.shape, self.dtype) if array is None else array)
        if T * B:
            more = {"T": T, "chunk": plan.chunk, "more": sums is not None, "inputs": inputs}
            self._call(BACKWARD, {**parameters.arrays(True), **values, **more}, plan)
        return values

    def _call(self, direction: str, values: Mapping[str, Any], plan: Plan) -> None:
        """Call a routine with the values of its argument names."""
        arguments = [values[name] for name in self.names[direction]]
        self.engine.run(self._routines[direction], arguments, plan)
