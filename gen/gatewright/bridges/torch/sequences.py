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

States = tuple[Tensor, ...]
# Runs x [T, B, dim] from states [B, dim]; returns outputs [T, B, dim] and final states.
Dense = Callable[[Tensor, States], tuple[Tensor, States]]


def dense(run: Dense, x: Tensor, initial: States, backwards: bool) -> tuple[Tensor, States]:
    """Run x [T, B, dim], from the last step to the first if `backwards`."""
    if not backwards:
        return run(x, initial)
    y, final = run(x.flip(0), initial)
    return y.flip(0), final


def packed(
    run: Dense, data: Tensor, counts: list[int], initial: States, backwards: bool
) -> tuple[Tensor, States]:
    """Run packed rows [sum of counts, dim] with `counts[t]` rows at step t.

    Returns packed outputs and the states [B, dim] in which each row ended.
    """
    pieces = list(_pieces(counts))
    current, ended, outputs = initial, [], []
    if backwards:
        current = tuple(state[:0] for state in initial)
    for first, steps, rows in reversed(pieces) if backwards else pieces:
        x = data[first : first + steps * rows].reshape(steps, rows, data.shape[1])
        if backwards:
            have = current[0].shape[0]
            pairs = zip(current, initial, strict=True)
            current = tuple(torch.cat((now, start[have:rows])) for now, start in pairs)
        else:
            ended.append(tuple(state[rows:] for state in current))
            current = tuple(state[:rows] for state in current)
        y, current = dense(run, x, current, backwards)
        outputs.append(y.flatten(0, 1))
    if backwards:
        return torch.cat(outputs[::-1]), current
    parts = zip(current, *reversed(ended), strict=True)
    return torch.cat(outputs), tuple(torch.cat(part) for part in parts)


def _pieces(counts: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield first packed row, time steps and rows of every run of equal counts."""
    first = 0
    for rows, group in groupby(counts):
        steps = len(list(group))
        yield first, steps, rows
        first += steps * rows
