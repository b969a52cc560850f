"""Kernels -> operators of PyTorch: a whole sequence is one call, and so is its reverse.

Every generated file gets the three operators of `sequence_operators` in the namespace `gatewright`,
named by cell and digest; their option is the number of threads.

Tensors are views of the kernels' arrays and the other way round: nothing contiguous is copied.

Why a sequence and not a step: a call of an operator costs tens of microseconds, as much as a step.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewright.bridges.torch.contract import Contract, Tensors
from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.sequence_operators import Computed, sequence_operators
from gatewright.loaded import LoadedCell
from gatewright.runtime.kernels import Gradients, Kernels
from gatewright.runtime.storage import BACKWARD
from gatewright.runtime.validate import Array, checked_array

PRECISIONS = {torch.float32: "float32", torch.float64: "float64"}
_known: dict[str, Operators] = {}


def operators(loaded: LoadedCell) -> Operators:
    """Return the operators of a cell; those of one generated file are registered once."""
    digest = hashlib.sha256(loaded.source("cpu").encode()).hexdigest()[:12]
    name = f"{re.sub('[^a-z0-9_]', '_', loaded.cell.identifier.lower())}_{digest}"
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
        computed = Computed(self._infer, self._keep, self._backward, "threads")
        eager = EagerSequence(self._loaded)
        made = sequence_operators(self.name, self.contract, computed, eager)
        self.sequence, self.kept, self.backward = made.sequence, made.kept, made.backward

    def _run(self, threads: int, given: Tensors, keep: bool) -> tuple[dict[str, Any], int]:
        """Run what is given forward; return what lasts, and T."""
        contract = self.contract
        sizes = contract.fitted(tuple([each.shape for each in given]))
        kernels = self._kernels(_precision(given), threads)
        inputs, initial, arrays = contract.groups(_arrays(given, kernels))
        parameters = kernels.routines.parameters(arrays, sizes)
        values = kernels.routines.forward(parameters, sizes, inputs, initial, keep)
        return values, sizes["T"]

    def _keep(self, threads: int, *given: Tensor) -> Tensors:
        values, T = self._run(threads, given, True)
        # Views of whole arrays: the reverse finds the initial state before a sequence again.
        y, *states = (
            torch.from_numpy(values[name])[slab : slab + T]
            for name, slab in self.contract.seen.items()
        )
        kept = (torch.from_numpy(values[name]) for name in self.contract.kept)
        return (y, *self._final(values, T), *states, *kept)

    def _infer(self, threads: int, *given: Tensor) -> Tensors:
        values, T = self._run(threads, given, False)
        y, *states = (
            torch.from_numpy(values[name][slab : slab + T])
            for name, slab in self.contract.seen.items()
        )
        return (y, *self._final(values, T), *states)

    def _final(self, values: Any, T: int) -> Iterator[Tensor]:
        return (torch.from_numpy(values[name][T].copy()) for name in self.contract.states)

    def _backward(self, threads: int, *tensors: Tensor | None) -> Tensors:
        contract = self.contract
        sizes = contract.fitted_reverse(tuple([t if t is None else t.shape for t in tensors]))
        cotangents, given, seen, kept = contract.split(tensors)
        kernels = self._kernels(_precision(given), threads)
        taken = {name: given[k] for name, k in self._read.items()}
        taken.update(zip(contract.kept, kept, strict=True))
        for name, each in zip(contract.seen, seen, strict=True):
            start = contract.states.get(name)
            taken[name] = each if start is None else _whole(each, given[start])
        for name, (k, like) in contract.cotangents.items():
            ct = cotangents[k]
            taken[name] = torch.zeros_like(seen[like]) if ct is None else ct
        arrays = dict(zip(taken, _arrays(taken.values(), kernels), strict=True))
        parameters = {n: arrays.pop(n) for n in self._read if n in contract.layout.parameters}
        cts = {name: arrays.pop(name) for name in contract.cotangents}
        ends = zip(contract.states, cotangents[1:], strict=False)
        final = {n: _arrays((each,), kernels)[0] for n, each in ends if each is not None}
        known = kernels.routines.parameters(parameters, sizes)
        found = kernels.routines.backward(known, sizes, arrays, cts, final)
        return _tensors(kernels.gradients(found))

    @cached_property
    def _read(self) -> dict[str, int]:
        """The inputs and parameters that the reverse reads, and where they are given."""
        layout = self.contract.layout
        read = {*self._kernels("float32", 0).routines.names[BACKWARD], *layout.matrices}
        given = enumerate(self.contract.dims)
        return {n: k for k, n in given if n in read and n not in layout.states}


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


def _tensors(found: Gradients) -> Tensors:
    inputs = found.x.values() if isinstance(found.x, dict) else (found.x,)
    arrays = (*inputs, *found.state.values(), *found.parameters.values())
    return tuple(map(torch.from_numpy, arrays))
