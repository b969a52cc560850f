"""What a caller gives `forward` -> Rows: checked inputs, and the way back to the caller's form.

A sequence comes padded or packed, with or without a batch, time or batch first, one tensor or a
dict of them. All of it becomes inputs [T, B, dim] or packed rows.

Why one object for both ways: how outputs go back is known where the inputs came in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewright.bridges.torch.eager import Result
from gatewright.bridges.torch.guards import as_layer, checked
from gatewright.bridges.torch.sequences import Run, Tensors, dense, packed
from gatewright.layers.network import Network
from gatewright.layers.segments import checked_lengths
from gatewright.runtime.validate import ArgumentError, Array, checked_dict


class Packing(NamedTuple):
    """How sequences of different lengths are one tensor of rows: `counts[t]` of them at step t.

    Their sequences are sorted by `order`, which `back` undoes. `outputs` returns rows in the form
    in which the inputs came, which is padded or not.
    """

    counts: list[int]
    order: Tensor | None
    back: Tensor | None
    outputs: Callable[[Tensor], Any]
    padded: bool


class Rows(NamedTuple):
    """Inputs [T, B, dim], or packed rows [rows, dim] and how they are packed."""

    inputs: Tensors
    batch: int
    batched: bool
    batch_first: bool
    packing: Packing | None = None

    def run(self, run: Run, inputs: Tensors, initial: Tensors, backwards: bool) -> Result:
        """Run one direction of one layer."""
        if self.packing is None:
            return dense(run, inputs, initial, backwards)
        return packed(run, inputs, self.packing.counts, initial, backwards)

    def sort(self, states: Tensors) -> Tensors:
        """Return states [groups, B, dim] in the order of packed rows."""
        order = None if self.packing is None else self.packing.order
        return states if order is None else tuple(each.index_select(1, order) for each in states)

    def unsort(self, states: Tensors) -> Tensors:
        """Return states [groups, B, dim] in the caller's order."""
        order = None if self.packing is None else self.packing.back
        return states if order is None else tuple(each.index_select(1, order) for each in states)

    def outputs(self, y: Tensor) -> Any:
        """Return outputs in the form in which the inputs came."""
        if self.packing is not None:
            return self.packing.outputs(y)
        if not self.batched:
            return y.squeeze(1)
        return _as_given(y, self.batch_first)

    def states(self, states: Tensors) -> Tensors:
        """Return states of all steps, each [groups, ...] and then as outputs are."""
        if self.packing is not None and not self.packing.padded:
            return states
        return tuple(torch.stack([self.outputs(part) for part in each]) for each in states)


def rows_of(x: Any, lengths: Any, network: Network, batch_first: bool, like: Tensor) -> Rows:
    """Return what a caller gave as Rows. Raises ArgumentError for what does not fit the layer."""
    names = network.inputs
    # A tensor is no mapping, but to ask so takes as long as the rest.
    if not isinstance(x, Tensor) and isinstance(x, Mapping):
        given = {name: checked_dict("inputs", x, names)[name] for name in names}
    elif len(names) > 1:
        raise ArgumentError(f"x must be a dict of the inputs {', '.join(names)}; got one")
    else:
        given = {names[0]: x}
    if isinstance(given[names[0]], PackedSequence):
        if lengths is not None:
            raise ArgumentError("a PackedSequence has lengths of its own: leave out `lengths`")
        return _packed(given, network, batch_first, like)
    first = given[names[0]]
    batched = not isinstance(first, Tensor) or first.dim() != 2
    tensors: dict[str, Tensor] = {}
    sizes: tuple[Any, ...] = ("B", "T") if batched and batch_first else ("T", "B")
    sizes = sizes if batched else ("T",)
    for name, value in given.items():
        shape = (*sizes, network.width(name))
        tensors[name] = checked(name, as_layer(value, like), shape, like)
        sizes = tuple(tensors[name].shape[: len(sizes)])
    if lengths is not None and not batched:
        raise ArgumentError("`lengths` need x [T, B, input], or [B, T, input] if batch_first")
    B = sizes[int(not batch_first)] if batched else 1
    if lengths is not None:
        T = sizes[int(batch_first)]
        given_lengths = lengths.tolist() if isinstance(lengths, Tensor) else lengths
        counts = checked_lengths(given_lengths, T, B)
    inputs = tuple(_time_first(each, batched, batch_first) for each in tensors.values())
    # Nothing is packed where there are no rows.
    if lengths is not None and B:
        return _with_lengths(inputs, counts, batch_first)
    return Rows(inputs, B, batched, batch_first)


def _time_first(x: Tensor, batched: bool, batch_first: bool) -> Tensor:
    if not batched:
        return x.unsqueeze(1)
    return x.transpose(0, 1) if batch_first else x


def _packed(given: dict[str, Any], network: Network, batch_first: bool, like: Tensor) -> Rows:
    form = next(iter(given.values()))
    tensors = []
    for name, value in given.items():
        if not isinstance(value, PackedSequence):
            raise ArgumentError(f"`{name}` must be a PackedSequence, as the first input is")
        if not _alike(value, form):
            raise ArgumentError(f"`{name}` is packed otherwise than the first input")
        data = as_layer(value.data, like)
        tensors.append(checked(name, data, ("rows", network.width(name)), like))
    order, back = form.sorted_indices, form.unsorted_indices
    counts = form.batch_sizes.tolist()

    def outputs(y: Tensor) -> PackedSequence:
        return PackedSequence(y, form.batch_sizes, order, back)

    packing = Packing(counts, order, back, outputs, padded=False)
    return Rows(tuple(tensors), counts[0], True, batch_first, packing)


def _alike(first: PackedSequence, second: PackedSequence) -> bool:
    orders = first.sorted_indices, second.sorted_indices
    return torch.equal(first.batch_sizes, second.batch_sizes) and (
        orders == (None, None)
        or (None not in orders and torch.equal(*(torch.as_tensor(each) for each in orders)))
    )


def _with_lengths(inputs: Tensors, lengths: Array, batch_first: bool) -> Rows:
    """Return the rows of inputs [T, B, dim], of which each sequence has so many.

    Why not PyTorch's own packing: its operator is not one of those that `vmap` takes.
    """
    first = inputs[0]
    T, B = first.shape[:2]
    order = np.argsort(-lengths, kind="stable")
    counts = [int((lengths > t).sum()) for t in range(int(lengths.max()))]
    rows = np.concatenate([t * B + order[:count] for t, count in enumerate(counts)])
    places, sort, back = (
        torch.from_numpy(each).to(first.device) for each in (rows, order, np.argsort(order))
    )

    def outputs(y: Tensor) -> Tensor:
        whole = y.new_zeros((T * B, y.shape[-1])).index_copy(0, places, y)
        return _as_given(whole.reshape(T, B, y.shape[-1]), batch_first)

    packed_rows = tuple(each.flatten(0, 1).index_select(0, places) for each in inputs)
    return Rows(packed_rows, B, True, batch_first, Packing(counts, sort, back, outputs, True))


def _as_given(y: Tensor, batch_first: bool) -> Tensor:
    return y.transpose(0, 1) if batch_first else y
