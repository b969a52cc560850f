"""Sequences of different lengths: packed rows -> runs of constant batch size.

A packed sequence holds, for every time step, the rows that have not ended, the longest first. Time
steps with equally many rows are one run; between runs, rows that have ended leave (or, backwards
in time, rows enter with their initial states).

Why runs and not a mask: no step of the padding is computed, and the final state of every row is
its own last one for any cell, whatever it carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

import torch
from torch import Tensor

from gatewright.bridges.torch.eager import Result

Tensors = tuple[Tensor, ...]
# Runs inputs [T, B, dim] from states [B, dim]; returns outputs, final states, states of every step.
Run = Callable[[Tensors, Tensors], Result]


def dense(run: Run, inputs: Tensors, initial: Tensors, backwards: bool) -> Result:
    """Run inputs [T, B, dim], from the last step to the first if `backwards`."""
    if not backwards:
        return run(inputs, initial)
    y, final, states = run(tuple(each.flip(0) for each in inputs), initial)
    return y.flip(0), final, tuple(each.flip(0) for each in states)


def packed(
    run: Run, inputs: Tensors, counts: list[int], initial: Tensors, backwards: bool
) -> Result:
    """Run packed rows [sum of counts, dim] with `counts[t]` rows at step t.

    Returns packed outputs, the states [B, dim] in which each row ended, and packed states.
    """
    pieces = list(_pieces(counts))
    current, ended, outputs = initial, [], []
    if backwards:
        current = tuple(state[:0] for state in initial)
    for first, steps, rows in reversed(pieces) if backwards else pieces:
        part = slice(first, first + steps * rows)
        given = tuple(each[part].reshape(steps, rows, each.shape[1]) for each in inputs)
        if backwards:
            have = current[0].shape[0]
            pairs = zip(current, initial, strict=True)
            current = tuple(torch.cat((now, start[have:rows])) for now, start in pairs)
        else:
            ended.append(tuple(state[rows:] for state in current))
            current = tuple(state[:rows] for state in current)
        y, current, every = dense(run, given, current, backwards)
        outputs.append(tuple(each.flatten(0, 1) for each in (y, *every)))
    if backwards:
        outputs.reverse()
    y, *states = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    if backwards:
        return y, current, tuple(states)
    parts = zip(current, *reversed(ended), strict=True)
    return y, tuple(torch.cat(part) for part in parts), tuple(states)


def _pieces(counts: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield first packed row, time steps and rows of every run of equal counts."""
    first = 0
    for rows, group in groupby(counts):
        steps = len(list(group))
        yield first, steps, rows
        first += steps * rows
