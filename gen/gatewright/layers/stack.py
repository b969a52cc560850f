"""Network -> Layer: stacks of a cell on kernels, NumPy arrays in and out.

    layer = gatewright.layer("lstm", input_size=8, hidden_size=32, num_layers=2)
    parameters = layer.init(seed=0)
    run = layer.forward(parameters, x)
    gradients = layer.backward(run, ct_y)

Parameters are one dict by name, `l0.W_i` or `l1_reverse.U_f`: those of the PyTorch layer. A run
ends in states that the next one may begin with; gradients stop where a run begins.

Why nothing is remembered between calls: parameters and states are the caller's, as for a cell's own
kernels, so a run can be repeated, and two can be differentiated in any order.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gatewright.layers.network import Network
from gatewright.layers.rows import Rows, rows_of
from gatewright.layers.segments import Arrays, Direction, reverse_direction, run_direction
from gatewright.loaded import real
from gatewright.runtime.kernels import Gradients, Kernels
from gatewright.runtime.validate import (
    ArgumentError,
    Array,
    checked_array,
    checked_dict,
    checked_size,
)


@dataclass(frozen=True)
class Stage:
    """One layer that has run: its directions, and what dropout multiplied its outputs with."""

    directions: tuple[Direction, ...]
    dropped: Array | None

    @property
    def y(self) -> Array:
        """What the next layer gets, [T, B, dim]."""
        first, *others = (each.y for each in self.directions)
        whole = np.concatenate([first, *others], -1) if others else first
        return whole if self.dropped is None else whole * self.dropped


@dataclass(frozen=True)
class LayerRun:
    """A network that has run: outputs as x was, final states [num_layers * directions, B, dim].

    States have no axis B where x has none.
    """

    y: Array
    state: Arrays
    rows: Rows = field(repr=False)
    stages: tuple[Stage, ...] = field(repr=False)
    learned_start: bool = field(repr=False)
    kept: bool = field(repr=False)

    @cached_property
    def states(self) -> Arrays:
        """All states of all steps, [num_layers * directions, ...] and then as outputs are."""
        ran = [each for stage in self.stages for each in stage.directions]
        names = ran[0].final
        return {n: np.stack([self.rows.back(each.states(n)) for each in ran]) for n in names}


class Layer:
    """Layers of one cell for one precision; see the module's docstring.

    `target` is that of the kernels: `cpu`, on up to `threads` threads, or `reference`.
    """

    def __init__(
        self,
        described: Network,
        *,
        batch_first: bool = False,
        dtype: str = "float32",
        target: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.network = described
        self.batch_first = bool(batch_first)
        self.dtype = real(dtype).name
        self._target, self._threads = target, threads
        self._compiled: dict[bool, Kernels] = {}
        self._kernels(False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and copied: machine code belongs to a process."""
        return {**self.__dict__, "_compiled": {}}

    def __repr__(self) -> str:
        described = self.network
        sizes = f"{described.input_size}, {described.hidden_size}"
        more = f"num_layers={described.num_layers}, bidirectional={described.bidirectional}"
        return f"Layer({described.base.identifier!r}, {sizes}, {more}, dtype={self.dtype!r})"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by name."""
        return self.network.shapes

    def init(self, *, seed: int = 0) -> Arrays:
        """Return new parameters: even draws within 1 / sqrt(hidden_size); states begin at zero."""
        bound = 1.0 / np.sqrt(self.network.hidden_size)
        found = {}
        for name, shape in self.shapes.items():
            stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
            drawn = stream.uniform(-bound, bound, shape)
            start = name.startswith("initial_")
            found[name] = np.zeros(shape, self.dtype) if start else np.asarray(drawn, self.dtype)
        return found

    def forward(
        self,
        parameters: Mapping[str, Array],
        x: Any,
        state: Mapping[str, Array] | None = None,
        *,
        lengths: Any = None,
        rng: np.random.Generator | None = None,
        keep: bool = True,
        every_state: bool = False,
    ) -> LayerRun:
        """Run x [T, B, input], [B, T, input] with `batch_first`, or a dict of such by name.

        Without a batch x is [T, input], and no array has an axis B. `state` maps states to
        [num_layers * directions, B, dim]; without it they are learned or zero. `lengths` [B] are
        the time steps of each row: outputs beyond them are zero. With `rng`, dropout and zoneout
        are drawn from it, as in training. With `every_state`, `backward` takes cotangents of all
        states of all steps; with `keep=False` there is no `backward`. Raises ArgumentError for what
        does not fit.
        """
        described = self.network
        arrays = checked_dict("parameters", parameters, tuple(self.shapes))
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise ArgumentError(f"`rng` must be a numpy.random.Generator; got {rng!r}")
        rows = rows_of(x, lengths, described, self.batch_first, self.dtype)
        learned = state is None and described.learn_initial_state
        if learned:
            initial = self._learned(arrays, rows.batch)
        else:
            initial = rows.states("state", state, described, self.dtype)
        kernels = self._kernels(every_state)
        inputs, stages = dict(rows.inputs), []
        for k in range(described.num_layers):
            ran = []
            for end in range(described.directions):
                index = k * described.directions + end
                group = described.groups[index]
                known = kernels.prepare(self._of(arrays, group), copy=False)
                start = {name: array[index] for name, array in initial.items()}
                masked = inputs | self._masks(rows, rng)
                parts, back = rows.parts, bool(end)
                ran.append(run_direction(kernels, known, masked, start, parts, back, keep))
            stages.append(Stage(tuple(ran), self._dropout(ran, k, rng)))
            inputs[described.inputs[0]] = stages[-1].y
        ran = [each for stage in stages for each in stage.directions]
        final = {n: np.stack([each.final[n] for each in ran]) for n in described.states}
        y = rows.back(inputs[described.inputs[0]])
        return LayerRun(y, rows.unsorted(final), rows, tuple(stages), learned, keep)

    def backward(
        self,
        run: LayerRun,
        ct_y: Array,
        ct_state: Mapping[str, Array] | None = None,
        ct_states: Mapping[str, Array] | None = None,
        *,
        inputs: bool = True,
    ) -> Gradients:
        """Return gradients of x, of the states a run began with and of the parameters.

        `ct_y` is as outputs are; `ct_state` maps all states to [num_layers * directions, B, dim],
        zeros if None; `ct_states` maps some of them to cotangents of `run.states`. Without
        `inputs`, there is no gradient of x, and less to compute. Raises ArgumentError for what does
        not fit.
        """
        if not run.kept:
            raise ArgumentError("this run kept nothing: call `forward` with `keep=True`")
        described, rows = self.network, run.rows
        ct = rows.here(checked_array("ct_y", ct_y, run.y.shape, self.dtype))
        final = rows.states("ct_state", ct_state, described, self.dtype)
        every = self._every(run, ct_states)
        first, *others = described.inputs
        x = {name: np.zeros_like(rows.inputs[name]) for name in others}
        state = {name: np.empty_like(array) for name, array in final.items()}
        found: Arrays = {}
        for k in range(described.num_layers - 1, -1, -1):
            stage = run.stages[k]
            ct = ct if stage.dropped is None else ct * stage.dropped
            shares = np.split(ct, described.directions, -1)
            inner: list[Array] = []
            for end, direction in enumerate(stage.directions):
                index = k * described.directions + end
                finals = {name: array[index] for name, array in final.items()}
                steps = {name: array[index] for name, array in every.items()}
                wanted = inputs or k > 0
                gradients = reverse_direction(direction, shares[end], finals, steps, wanted)
                if wanted:
                    inner.append(gradients.x[first])
                for name in others if inputs else ():
                    x[name] += gradients.x[name]
                for name, array in gradients.state.items():
                    state[name][index] = array
                group = described.groups[index]
                found |= {f"{group}.{n}": each for n, each in gradients.parameters.items()}
            ct = sum(inner[1:], inner[0]) if inner else ct
        return self._gradients(run, {first: ct, **x} if inputs else {}, state, found)

    def windows(
        self,
        parameters: Mapping[str, Array],
        x: Any,
        every: int,
        state: Mapping[str, Array] | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Iterator[tuple[slice, LayerRun]]:
        """Run x `every` time steps at a time, and yield the steps and the run of each window.

        A window begins in the states in which the one before ended, and its gradients stop there:
        backpropagation through time, truncated. Parameters may be changed between windows.
        """
        size = checked_size("every", every)
        arrays = x if isinstance(x, Mapping) else {self.network.inputs[0]: x}
        rows = rows_of(x, None, self.network, self.batch_first, self.dtype)
        axis = int(self.batch_first and rows.batched)
        T = len(next(iter(rows.inputs.values())))
        for first in range(0, T, size):
            steps = slice(first, min(first + size, T))
            place = (slice(None),) * axis + (steps,)
            run = self.forward(parameters, {n: a[place] for n, a in arrays.items()}, state, rng=rng)
            state = run.state
            yield steps, run

    def _kernels(self, every_state: bool) -> Kernels:
        if every_state not in self._compiled:
            loaded = self.network.loaded
            if every_state:
                loaded = loaded.with_reverse(every_state=True, clip=loaded.reverse.clip)
            made = loaded.compile(self._target, self.dtype, self._threads)
            self._compiled[every_state] = made
        return self._compiled[every_state]

    def _of(self, arrays: Mapping[str, Array], group: str) -> Arrays:
        """Return the cell's parameters of a layer and direction: zeros for what is not learned."""
        found = {}
        for name, shape in self.network.parameters(group).items():
            key = f"{group}.{name}"
            if key in self.shapes:
                found[name] = checked_array(key, arrays[key], shape, self.dtype)
            else:
                found[name] = np.zeros(shape, self.dtype)
        return found

    def _learned(self, arrays: Mapping[str, Array], B: int) -> Arrays:
        """Return the learned initial states [num_layers * directions, B, dim]."""
        found = {}
        for name, shape in self.network.states.items():
            keys = (f"initial_{group}.{name}" for group in self.network.groups)
            rows = [checked_array(key, arrays[key], shape, self.dtype) for key in keys]
            found[name] = np.repeat(np.stack(rows)[:, None], B, axis=1)
        return found

    def _masks(self, rows: Rows, rng: np.random.Generator | None) -> Arrays:
        """Return the masks of zoneout: draws if there is a generator, else their mean."""
        T, B = next(iter(rows.inputs.values())).shape[:2]
        found = {}
        for name, rate in self.network.zoneout:
            shape = (T, B, self.network.width(name))
            mask = np.full(shape, rate) if rng is None else rng.random(shape) < rate
            found[name] = mask.astype(self.dtype)
        return found

    def _dropout(
        self, ran: list[Direction], layer: int, rng: np.random.Generator | None
    ) -> Array | None:
        """Return what a layer's outputs are multiplied with, None behind the last layer."""
        rate = self.network.dropout
        if not rate or rng is None or layer + 1 == self.network.num_layers:
            return None
        shape = (*ran[0].y.shape[:2], sum(each.y.shape[2] for each in ran))
        kept = rng.random(shape) >= rate
        return (kept / (1.0 - rate) if rate < 1.0 else kept).astype(self.dtype)

    def _every(self, run: LayerRun, given: Mapping[str, Array] | None) -> Arrays:
        """Return cotangents of states of all steps, [groups, T, B, dim]."""
        names = self.network.states
        if unknown := [name for name in given or {} if name not in names]:
            listed = ", ".join(f"`{name}`" for name in names)
            raise ArgumentError(f"ct_states have unknown `{unknown[0]}`; this cell has {listed}")
        found = {}
        for name, array in (given or {}).items():
            shape = run.states[name].shape
            checked = checked_array(f"ct_states: {name}", array, shape, self.dtype)
            found[name] = np.stack([run.rows.here(each) for each in checked])
        return found

    def _gradients(self, run: LayerRun, x: Arrays, state: Arrays, found: Arrays) -> Gradients:
        """Return gradients in the caller's order, those of learned states among the parameters."""
        if run.learned_start:
            for name, array in state.items():
                for index, group in enumerate(self.network.groups):
                    found[f"initial_{group}.{name}"] = array[index].sum(axis=0)
        zeros = {n: np.zeros(s, self.dtype) for n, s in self.shapes.items() if n not in found}
        parameters = {name: (found | zeros)[name] for name in self.shapes}
        whole = {name: run.rows.back(array) for name, array in x.items()}
        only = next(iter(whole.values()), None)
        x_found = whole if len(whole) > 1 else only
        return Gradients(x_found, run.rows.unsorted(state), parameters)
