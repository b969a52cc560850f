"""Kernels -> operators of PyTorch: a whole sequence is one call, and so is its reverse.

Every generated file gets the three operators of `sequence_operators` in the namespace `gatewright`,
named by cell and digest; their option is the number of threads.

Tensors are views of the kernels' arrays and the other way round: nothing contiguous is copied.

Why a sequence and not a step: a call of an operator costs tens of microseconds, as much as a step.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from operator import is_
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewright.bridges.torch.contract import Contract, Sizes, Tensors
from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.registration import Direct, alone
from gatewright.bridges.torch.sequence_operators import (
    Computed,
    operator_name,
    remember,
    sequence_operators,
    wanted,
)
from gatewright.loaded import LoadedCell
from gatewright.runtime.kernels import Gradients, Kernels
from gatewright.runtime.storage import BACKWARD
from gatewright.runtime.validate import Array, checked_array

PRECISIONS = {torch.float32: "float32", torch.float64: "float64"}
TORCH_DTYPES = {name: dtype for dtype, name in PRECISIONS.items()}
# Memory of any size: arrays take what their shapes say.
_MEMORY: Any = ctypes.c_char * sys.maxsize
_known: dict[str, Operators] = {}


def operators(loaded: LoadedCell) -> Operators:
    """Return the operators of a cell; those of one generated file are registered once."""
    name = operator_name(loaded, "cpu")
    if name not in _known:
        _known[name] = Operators(name, loaded)
    return _known[name]


class Operators:
    """The three operators of one generated file."""

    def __init__(self, name: str, loaded: LoadedCell) -> None:
        self.name, self._loaded = name, loaded
        self._compiled: dict[tuple[str, int], Kernels] = {}
        self.contract = Contract(self._kernels("float32", 0).layout)
        self._define()

    def _kernels(self, dtype: str, threads: int) -> Kernels:
        key = (dtype, threads)
        if key not in self._compiled:
            self._compiled[key] = self._loaded.compile("cpu", dtype, threads or None)
        return self._compiled[key]

    def _define(self) -> None:
        direct = Direct(self._run_directly, self._reverse_directly)
        computed = Computed(self._infer, self._keep, self._backward, "threads", direct=direct)
        eager = EagerSequence(self._loaded)
        made = sequence_operators(self.name, self.contract, computed, eager)
        self.sequence, self.kept, self.backward = made.sequence, made.kept, made.backward

    def _run(self, threads: int, given: Tensors, keep: bool) -> tuple[dict[str, Any], _Known]:
        """Run what is given forward; return what lasts, by name, and what it was run with."""
        contract = self.contract
        sizes = contract.fitted(tuple([each.shape for each in given]))
        kernels = self._kernels(_precision(given), threads)
        first = len(given) - len(contract.layout.parameters)
        tensors = given[first:]
        places = _places(tensors)
        found = [*_arrays(given[:first], kernels), *_borrowed(tensors, places, kernels)]
        inputs, initial, arrays = contract.groups(found)
        parameters = kernels.routines.parameters(arrays, sizes)
        values = kernels.routines.forward(parameters, sizes, inputs, initial, keep)
        return values, _Known(kernels, sizes, tensors, arrays, places)

    def _keep(self, threads: int, *given: Tensor) -> Tensors:
        values, known = self._run(threads, given, True)
        results, _, kept = self._kept(values, known.sizes["T"])
        return (*results, *kept)

    def _kept(self, values: Mapping[str, Any], T: int) -> tuple[Tensors, Tensors, Tensors]:
        """Return what a caller sees, the whole arrays of which that is a part, and others kept.

        What a caller sees are views: the reverse finds the initial state before a sequence again.
        """
        contract = self.contract
        wholes = tuple([torch.from_numpy(values[name]) for name in contract.seen])
        first = contract.seen.values()
        y, *states = [each.narrow(0, slab, T) for each, slab in zip(wholes, first, strict=True)]
        kept = tuple([torch.from_numpy(values[name]) for name in contract.kept])
        return (y, *self._final(values, T), *states), wholes, kept

    def _infer(self, threads: int, *given: Tensor) -> Tensors:
        values, known = self._run(threads, given, False)
        T = known.sizes["T"]
        y, *states = [
            torch.from_numpy(values[name][slab : slab + T])
            for name, slab in self.contract.seen.items()
        ]
        return (y, *self._final(values, T), *states)

    def _final(self, values: Mapping[str, Any], T: int) -> Iterator[Tensor]:
        return (torch.from_numpy(values[name][T].copy()) for name in self.contract.states)

    def _backward(
        self, threads: int, inputs: bool, states: bool, *tensors: Tensor | None
    ) -> Tensors:
        return self._reverse((threads, inputs, states), tensors, None)

    def _reverse(
        self,
        asked: tuple[int, bool, bool],
        tensors: Sequence[Tensor | None],
        known: _Known | None,
    ) -> Tensors:
        """Run back; `known` is what the forward was run with, if that is known."""
        contract, (threads, inputs, states) = self.contract, asked
        sizes = contract.fitted_reverse(tuple([t if t is None else t.shape for t in tensors]))
        cotangents, given, seen, kept = contract.split(tensors)
        kernels = self._kernels(_precision(given), threads)
        parameters = None if known is None else known.arrays_of(given, kernels, sizes)
        taken = {name: given[k] for name, k in self._read_inputs.items()}
        taken.update(zip(contract.kept, kept, strict=True))
        for name, each in zip(contract.seen, seen, strict=True):
            start = contract.states.get(name)
            if start is not None and each.shape[0] == sizes["T"]:
                each = _whole(each, given[start])
            taken[name] = each
        for name, (k, like) in contract.cotangents.items():
            ct, rows = cotangents[k], (sizes["T"], *seen[like].shape[1:])
            taken[name] = seen[like].new_zeros(rows) if ct is None else ct
        arrays = dict(zip(taken, _arrays(taken.values(), kernels), strict=True))
        if parameters is None:
            own = [given[k] for k in self._read_parameters.values()]
            borrowed = _borrowed(own, _places(own), kernels)
            parameters = dict(zip(self._read_parameters, borrowed, strict=True))
        cts = {name: arrays.pop(name) for name in contract.cotangents}
        ends = zip(contract.states, cotangents[1:], strict=False)
        final = {n: _arrays((each,), kernels)[0] for n, each in ends if each is not None}
        packed = kernels.routines.parameters(parameters, sizes)
        found = kernels.routines.backward(packed, sizes, arrays, cts, final, inputs=inputs)
        results = map(torch.from_numpy, _in_order(kernels.gradients(found, inputs, states)))
        if inputs and states:
            return tuple(results)
        wanted = contract.wanted(inputs, states)
        return tuple(next(results) if each else given[0].new_empty(0) for each in wanted)

    @cached_property
    def _read(self) -> dict[str, int]:
        """The inputs and parameters that the reverse reads, and where they are given."""
        layout = self.contract.layout
        read = {*self._kernels("float32", 0).routines.names[BACKWARD], *layout.matrices}
        given = enumerate(self.contract.dims)
        return {n: k for k, n in given if n in read and n not in layout.states}

    @cached_property
    def _read_inputs(self) -> dict[str, int]:
        """The inputs among them."""
        return {n: k for n, k in self._read.items() if n in self.contract.layout.inputs}

    @cached_property
    def _read_parameters(self) -> dict[str, int]:
        """The parameters among them."""
        return {n: k for n, k in self._read.items() if n in self.contract.layout.parameters}

    def _run_directly(self, ctx: Any, threads: int, *given: Tensor) -> Tensors:
        values, known = self._run(threads, given, True)
        # Views cost nothing to hold; copies would stay as long as the graph does.
        views = all(each.is_contiguous() for each in known.tensors)
        ctx.known = known if views else None
        results, wholes, kept = self._kept(values, known.sizes["T"])
        remember(self.contract, ctx, threads, given, (*wholes, *kept))
        return results

    def _reverse_directly(self, ctx: Any, *cts: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = (*cts, *ctx.saved_tensors)
        if torch.is_grad_enabled() or not alone(tensors):
            return wanted(self.contract, ctx, self.backward(*ctx.asked, *tensors))
        return wanted(self.contract, ctx, self._reverse(ctx.asked, tensors, ctx.known))


class _Known(NamedTuple):
    """What a sequence was run with: its parameters as tensors and, by name, as arrays."""

    kernels: Kernels
    sizes: Sizes
    tensors: Tensors
    arrays: dict[str, Array]
    places: list[int]

    def arrays_of(self, given: Tensors, kernels: Kernels, sizes: Sizes) -> dict[str, Array] | None:
        """Return the arrays if they are those of what is given now, for these kernels and sizes.

        What shards a model frees and moves the memory of its parameters between two passes.
        """
        parameters = given[len(given) - len(self.tensors) :]
        alike = kernels is self.kernels and sizes == self.sizes
        alike = alike and all(map(is_, parameters, self.tensors))
        return self.arrays if alike and _places(parameters) == self.places else None


def _precision(given: Tensors) -> str:
    kind = given[0].dtype
    return PRECISIONS.get(kind) or str(kind).removeprefix("torch.")


def _arrays(tensors: Iterable[Tensor], kernels: Kernels) -> list[Array]:
    """Return arrays over the same memory, copied where kernels could not read it.

    Raises ArgumentError for one of another dtype.
    """
    kind = np.dtype(kernels.dtype)
    arrays = [tensor.numpy(force=True) for tensor in tensors]
    return [
        each
        if each.dtype is kind and each.flags.carray
        else checked_array("tensor", each, each.shape, kind)
        for each in arrays
    ]


def _borrowed(tensors: Sequence[Tensor], places: Sequence[int], kernels: Kernels) -> list[Array]:
    """Return arrays over the same memory, which tensors must outlast; copied as by `_arrays`.

    Why not `Tensor.numpy`: it forbids for good that the memory be freed and made again, as that of
    parameters is where a model is sharded.
    """
    kind = kernels.dtype
    precision = TORCH_DTYPES[kind]
    return [
        _view(place, each.shape, kind)
        # What is nowhere is empty, or all zeros without memory.
        if place and each.dtype is precision and each.is_contiguous() and not each.is_neg()
        else _arrays((each.detach().clone(),), kernels)[0]
        for each, place in zip(tensors, places, strict=True)
    ]


@lru_cache(1024)
def _view(place: int, shape: tuple[int, ...], dtype: str) -> Array:
    """Return an array over memory that is not its own: it keeps nothing alive."""
    return np.ndarray(shape, dtype, _MEMORY.from_address(place))


def _places(tensors: Iterable[Tensor]) -> list[int]:
    return [each.data_ptr() for each in tensors]


def _whole(y: Tensor, initial: Tensor) -> Tensor:
    """Return [T + 1, B, dim]: the initial state and all outputs, copied only if y has been moved.

    An output is part of such an array. If it has been copied since, what lies before it is
    anything: so its numbers decide.
    """
    T, *rows = y.shape
    size = initial.numel()
    if T and size and y.is_contiguous() and y.storage_offset() >= size:
        whole = y.as_strided((T + 1, *rows), (size, rows[-1], 1), y.storage_offset() - size)
        if torch.equal(whole[0], initial):
            return whole
    return torch.cat((initial[None], y))


def _in_order(found: Gradients) -> tuple[Array, ...]:
    """Return gradients in the order in which things are given."""
    x = found.x if isinstance(found.x, dict) else {} if found.x is None else {"": found.x}
    return (*x.values(), *found.state.values(), *found.parameters.values())
