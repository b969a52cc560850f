"""Kernels -> operators of PyTorch: a whole sequence is one call, and so is its reverse.

Every generated file gets the three operators of `sequence_operators` in the namespace `gatewright`,
named by cell and digest; their option is the number of threads.

Tensors are views of the kernels' arrays and the other way round: nothing contiguous is copied.

Why a sequence and not a step: a call of an operator costs tens of microseconds, as much as a step.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewright.bridges.torch.contract import Contract, Tensors
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
from gatewright.runtime.validate import ArgumentError, Array, checked_array

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

    def _run(self, threads: int, given: Tensors, keep: bool) -> tuple[dict[str, Any], int]:
        """Run what is given forward; return what lasts, by name, and the number of steps."""
        contract = self.contract
        sizes = contract.fitted(tuple([each.shape for each in given]))
        kernels = self._kernels(_precision(given), threads)
        first = len(given) - len(contract.layout.parameters)
        found = [*_arrays(given[:first], kernels), *_borrowed(given[first:], kernels)]
        inputs, initial, arrays = contract.groups(found)
        parameters = kernels.routines.parameters(arrays, sizes)
        values = kernels.routines.forward(parameters, sizes, inputs, initial, keep)
        return values, sizes["T"]

    def _keep(self, threads: int, *given: Tensor) -> Tensors:
        results, _, kept = self._kept(*self._run(threads, given, True))
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
        values, T = self._run(threads, given, False)
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
        contract = self.contract
        sizes = contract.fitted_reverse(tuple([t if t is None else t.shape for t in tensors]))
        cotangents, given, seen, kept = contract.split(tensors)
        kernels = self._kernels(_precision(given), threads)
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
        borrowed = _borrowed([given[k] for k in self._read_parameters.values()], kernels)
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
        results, wholes, kept = self._kept(*self._run(threads, given, True))
        remember(self.contract, ctx, threads, given, (*wholes, *kept))
        return results

    def _reverse_directly(self, ctx: Any, *cts: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = (*cts, *ctx.saved_tensors)
        if torch.is_grad_enabled() or not alone(tensors):
            return wanted(self.contract, ctx, self.backward(*ctx.asked, *tensors))
        return wanted(self.contract, ctx, self._backward(*ctx.asked, *tensors))


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


def _borrowed(tensors: Iterable[Tensor], kernels: Kernels) -> list[Array]:
    """Return arrays over the same memory, which tensors must outlast; copied as by `_arrays`.

    Why not `Tensor.numpy`: it forbids for good that the memory be freed and made again, as that of
    parameters is where a model is sharded. Raises ArgumentError if it has been freed.
    """
    return [_parameter(tensor, kernels) for tensor in tensors]


def _parameter(tensor: Tensor, kernels: Kernels) -> Array:
    place, kind = tensor.data_ptr(), kernels.dtype
    alike = tensor.dtype is TORCH_DTYPES[kind] and not tensor.is_neg()
    if place and alike and tensor.is_contiguous() and not place % tensor.element_size():
        return _view(place, tensor.shape, kind)
    # What is nowhere is empty, all zeros without memory, or has lost it.
    if not place and tensor.numel() and not tensor._is_zerotensor():
        raise ArgumentError("the memory of a parameter has been freed: run the model it belongs to")
    copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    return _arrays((copy,), kernels)[0]


@lru_cache(1024)
def _view(place: int, shape: tuple[int, ...], dtype: str) -> Array:
    """Return an array over memory that is not its own: it keeps nothing alive."""
    return np.ndarray(shape, dtype, _MEMORY.from_address(place))


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
