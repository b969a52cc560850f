"""A long sequence in pieces: only the states between them are kept, the reverse computes the rest.

Why pieces and not another routine: each of them is a run like any other, and since gradients are
summed step by step from the last to the first, the result has the same bits as without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewright.runtime.validate import ArgumentError, Array

Arrays = dict[str, Array]


@dataclass(frozen=True)
class Pieces:
    """The pieces of a run: inputs [T, B, dim] as given, and the states at the start of each."""

    every: int
    inputs: Arrays
    starts: tuple[Arrays, ...]

    def bounds(self) -> Iterator[tuple[int, int, Arrays]]:
        """Yield first and last step (not with it) and initial states, the last piece first."""
        T = len(next(iter(self.inputs.values())))
        for number in range(len(self.starts) - 1, -1, -1):
            first = number * self.every
            yield first, min(first + self.every, T), self.starts[number]


def checked_every(every: object) -> int:
    """Return the length of a piece. Raises ArgumentError unless it is a positive whole number."""
    if isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1:
        raise ArgumentError(f"`checkpoint` must be a positive whole number; got {every!r}")
    return int(every)


def forward_in_pieces(
    run: Callable[[Arrays, Arrays], tuple[Array, Arrays]],
    inputs: Arrays,
    initial: Arrays,
    every: int,
) -> tuple[Array, Arrays, Pieces]:
    """Return outputs, final states and pieces; `run` returns the first two of one piece."""
    T = len(next(iter(inputs.values())))
    state, starts = initial, []
    outputs: Array | None = None
    for first in range(0, max(T, 1), every):
        starts.append(state)
        y, state = run({n: array[first : first + every] for n, array in inputs.items()}, state)
        if outputs is None:
            outputs = np.empty((T, *y.shape[1:]), y.dtype)
        # A copy, as a view would hold on to all memory of its piece.
        outputs[first : first + every] = y
    assert outputs is not None
    return outputs, state, Pieces(every, inputs, tuple(starts))


def backward_in_pieces(
    run: Callable[[Arrays, Arrays, Arrays, Arrays, Mapping[str, Any] | None], dict[str, Any]],
    pieces: Pieces,
    cotangents: Arrays,
    final: Arrays,
) -> dict[str, Any]:
    """Return what the reverse leaves, by name.

    `cotangents` are those of every step, [T, B, dim] by name. `run(inputs, initial, cotangents,
    final, gradients)` returns that of one piece: parameter gradients, added to those given, `d_` of
    every input, and of every state ([slabs, B, dim]: the first slab).
    """
    found: Mapping[str, Any] | None = None
    whole = {name: np.empty_like(array) for name, array in pieces.inputs.items()}
    for first, last, initial in pieces.bounds():
        given = {name: array[first:last] for name, array in pieces.inputs.items()}
        cts = {name: array[first:last] for name, array in cotangents.items()}
        found = run(given, initial, cts, final, found)
        final = {name: found[f"d_{name}"][0].copy() for name in initial}
        for name, array in whole.items():
            array[first:last] = found[f"d_{name}"]
    assert found is not None
    return {**found, **{f"d_{name}": array for name, array in whole.items()}}
