"""One direction of one layer on kernels: rows of different lengths, in runs of constant batch size.

Rows stand the longest first. Time steps at which equally many rows go on are one segment and one
call of the kernels; between segments, rows that have ended leave, or, backwards in time, enter with
their initial states. The reverse takes the same segments the other way round.

Why segments and not a mask: no step of the padding is computed, and the final state of every row is
its own last one for any cell, whatever it carries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from gatewright.runtime.kernels import Gradients, Kernels, Run
from gatewright.runtime.parameters import Parameters
from gatewright.runtime.validate import ArgumentError, Array

Arrays = dict[str, Array]


@dataclass(frozen=True)
class Segment:
    """Time steps `first` to `last` (not with it) of the first `rows` rows."""

    first: int
    last: int
    rows: int

    def of(self, array: Array, backwards: bool) -> Array:
        """Return its part of an array [T, B, dim], the last step first if `backwards`."""
        part = array[self.first : self.last, : self.rows]
        return part[::-1] if backwards else part


def segments(lengths: Sequence[int]) -> tuple[Segment, ...]:
    """Return the segments of rows with these lengths, which do not increase."""
    counts = [sum(length > t for length in lengths) for t in range(max(lengths, default=0))]
    found, first = [], 0
    for rows, group in groupby(counts):
        last = first + len(list(group))
        found.append(Segment(first, last, rows))
        first = last
    return tuple(found)


def checked_lengths(given: Any, T: int, B: int) -> Array:
    """Return the time steps of every row, [B]. Raises ArgumentError if they do not fit x."""
    try:
        counts = np.asarray(given)
    except (TypeError, ValueError):  # lists of different lengths, say
        counts = np.empty(0, object)
    if counts.shape != (B,) or not (np.issubdtype(counts.dtype, np.integer) or not B):
        raise ArgumentError(f"`lengths` must be {B} whole numbers, one for each row of x")
    if B and not T:
        raise ArgumentError("x has no time steps, of which every row must have one: omit `lengths`")
    if B and (counts.min() < 1 or counts.max() > T):
        raise ArgumentError(f"`lengths` must be from 1 to {T}, the time steps of x")
    return counts.astype(np.int64)


@dataclass(frozen=True)
class Direction:
    """A direction that has run: outputs [T, B, dim], final states [B, dim], and its runs."""

    y: Array
    final: Arrays
    kernels: Kernels
    runs: tuple[tuple[Segment, Run], ...]
    backwards: bool

    def states(self, name: str) -> Array:
        """Return a state after every step, [T, B, dim]; zero where no segment is."""
        T, B = self.y.shape[:2]
        found = [(part, run.states[name][1:]) for part, run in self.runs]
        return _joined(found, T, B, self.final[name].shape[1:], self.backwards)


def run_direction(
    kernels: Kernels,
    parameters: Parameters,
    inputs: Mapping[str, Array],
    initial: Mapping[str, Array],
    parts: Sequence[Segment],
    backwards: bool,
    keep: bool,
) -> Direction:
    """Run inputs [T, B, dim] from initial states [B, dim]; what no segment covers is zero."""
    T, B = next(iter(inputs.values())).shape[:2]
    # A row that has not begun has its initial state here, and one that has ended its last.
    now = {name: np.array(array) for name, array in initial.items()}
    runs = []
    for part in reversed(parts) if backwards else parts:
        start = {name: array[: part.rows] for name, array in now.items()}
        given = {name: part.of(array, backwards) for name, array in inputs.items()}
        run = kernels.forward(parameters, given, start, keep=keep)
        for name, array in run.state.items():
            now[name][: part.rows] = array
        runs.append((part, run))
    dims = (parameters.sizes[dim] for dim in kernels.layout.output_dims)
    y = _joined([(part, run.y) for part, run in runs], T, B, tuple(dims), backwards)
    return Direction(y, now, kernels, tuple(runs), backwards)


def _joined(
    found: Sequence[tuple[Segment, Array]], T: int, B: int, dims: tuple[int, ...], backwards: bool
) -> Array:
    """Return what segments have found as one array [T, B, dim], itself if it is all."""
    if len(found) == 1 and found[0][1].shape[:2] == (T, B):
        return found[0][1][::-1] if backwards else found[0][1]
    whole = np.zeros((T, B, *dims), found[0][1].dtype)
    for part, array in found:
        part.of(whole, backwards)[...] = array
    return whole


def reverse_direction(
    direction: Direction,
    ct_y: Array,
    ct_final: Mapping[str, Array],
    ct_states: Mapping[str, Array],
    inputs: bool = True,
) -> Gradients:
    """Return the gradients of inputs [T, B, dim] by name, initial states and parameters.

    Without `inputs`, there are none of those.
    """
    kernels, backwards = direction.kernels, direction.backwards
    layout = kernels.layout
    state = {name: np.array(array) for name, array in ct_final.items()}
    x: dict[str, Any] = {}
    parameters: Arrays = {}
    for part, run in reversed(direction.runs):
        found = kernels.backward(
            run,
            part.of(ct_y, backwards),
            {name: array[: part.rows] for name, array in state.items()},
            {name: part.of(array, backwards) for name, array in ct_states.items()},
            inputs=inputs,
        )
        d_x = found.x if len(layout.inputs) > 1 else {next(iter(layout.inputs)): found.x}
        for name, array in d_x.items() if inputs else ():
            whole = x.setdefault(name, np.zeros((*ct_y.shape[:2], array.shape[2]), array.dtype))
            part.of(whole, backwards)[...] = array
        for name, array in found.state.items():
            state[name][: part.rows] = array
        for name, array in found.parameters.items():
            parameters[name] = parameters[name] + array if name in parameters else array
    return Gradients(x, state, parameters)
