"""Kernels -> operators of PyTorch: a whole sequence is one call, and so is its reverse.

Every generated file gets three operators in the namespace `gatewright`, named by cell and digest:

    <cell>_<digest>            (threads, *given) -> (*results, *kept)
    <cell>_<digest>_inference  (threads, *given) -> results
    <cell>_<digest>_backward   (threads, *cotangents, *given, *seen, *kept) -> gradients of `given`

Results are the output, the final states, and the states of every step where the reverse takes their
cotangents; `seen` are those of the results that have a time axis.

Tensors are views of the kernels' arrays and the other way round: nothing contiguous is copied.

Why a sequence and not a step: a call of an operator costs tens of microseconds, as much as a step.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.batching import map_rows, map_slices
from gatewright.bridges.torch.contract import Contract, Tensors, view
from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.second_order import second_order
from gatewright.loaded import LoadedCell
from gatewright.runtime.kernels import Gradients, Kernels, Run
from gatewright.runtime.validate import Array, checked_array

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
        self.training, self.inference, self.backward = map(
            self._overload, ("", "_inference", "_backward")
        )

    def _overload(self, suffix: str) -> Any:
        # What torch.compile can trace is this, not the object that registered it.
        return getattr(torch.ops.gatewright, f"{self.name}{suffix}").default

    def _kernels(self, dtype: str, threads: int) -> Kernels:
        key = (dtype, threads)
        if key not in self._compiled:
            self._compiled[key] = self._loaded.compile("cpu", dtype, threads or None)
        return self._compiled[key]

    def _define(self) -> None:
        contract = self.contract
        given = [f"Tensor a{k}" for k in range(len(contract.dims))]
        cotangents = [f"Tensor? ct{k}" for k in range(contract.results)]
        kept = [f"Tensor k{k}" for k in range(len(contract.kept))]

        forward = _operator(self.name, given, contract.results + len(kept), self._forward)
        forward.register_fake(lambda threads, *given: contract.traced(given, keep=True))
        forward.register_autograd(self._gradient, setup_context=self._save)
        forward.register_vmap(map_rows(contract, lambda *given: self.training(*given)))

        name = f"{self.name}_inference"
        inference = _operator(name, given, contract.results, self._infer)
        inference.register_fake(lambda threads, *given: contract.traced(given, keep=False))
        inference.register_vmap(map_rows(contract, lambda *given: self.inference(*given)))

        seen = [f"Tensor s{k}" for k in range(len(contract.seen))]
        name, takes = f"{self.name}_backward", [*cotangents, *given, *seen, *kept]
        backward = _operator(name, takes, len(given), self._backward)
        backward.register_fake(
            lambda threads, *all: tuple(a.new_empty(a.shape) for a in contract.split(all).given)
        )
        setup, formula = second_order(contract, EagerSequence(self._loaded))
        backward.register_autograd(formula, setup_context=setup)
        backward.register_vmap(map_slices(lambda *all: self.backward(*all)))

    def _forward(self, threads: int, *given: Tensor) -> Tensors:
        arrays = self.contract.arrays(given)
        kernels = self._kernels(_precision(given), threads)
        run = kernels.forward(arrays.parameters, _one(arrays.inputs), arrays.states)
        assert run.kept is not None
        # Views of whole arrays: the reverse finds the initial state before a sequence again.
        y, *states = (
            torch.from_numpy(run.kept[name])[slab : slab + given[0].shape[0]]
            for name, slab in self.contract.seen.items()
        )
        kept = (run.kept[each] for each in self.contract.kept)
        final = map(torch.from_numpy, run.state.values())
        return (y, *final, *states, *map(torch.from_numpy, kept))

    def _infer(self, threads: int, *given: Tensor) -> Tensors:
        arrays = self.contract.arrays(given)
        kernels = self._kernels(_precision(given), threads)
        run = kernels.forward(arrays.parameters, _one(arrays.inputs), arrays.states, keep=False)
        states = (run.states[name][1:] for name in self.contract.every)
        return tuple(map(torch.from_numpy, (run.y, *run.state.values(), *states)))

    def _backward(self, threads: int, *tensors: Tensor | None) -> Tensors:
        contract = self.contract
        (ct_y, *cts), given, seen, kept = contract.split(tensors)
        arrays = contract.arrays(given)
        kernels = self._kernels(_precision(given), threads)
        whole = {
            name: _whole(each, contract.initial(given, name)) if name in contract.states else each
            for name, each in zip(contract.seen, seen, strict=True)
        } | dict(zip(contract.kept, kept, strict=True))
        read = arrays.inputs | {name: view(each) for name, each in whole.items()}
        checked = {n: checked_array(n, each, each.shape, kernels.dtype) for n, each in read.items()}
        parameters = kernels.prepare(arrays.parameters, copy=False)
        sizes = contract.sizes(given)
        y = checked[contract.layout.output[0]]
        run = Run(y, {}, {}, kept=checked, sizes=sizes, parameters=parameters)
        if ct_y is None:
            ct_y = torch.zeros_like(seen[0])
        final = {
            state: view(torch.zeros_like(contract.initial(given, state)) if ct is None else ct)
            for state, ct in zip(contract.states, cts, strict=False)
        }
        every = zip(contract.every, cts[len(contract.states) :], strict=True)
        states = {state: view(ct) for state, ct in every if ct is not None}
        return _tensors(kernels.backward(run, view(ct_y), final, states))

    def _save(self, ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        contract = self.contract
        kept, states = output[contract.results :], output[contract.final : contract.results]
        ctx.threads = inputs[0]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*kept)
        ctx.save_for_backward(*inputs[1:], output[0], *states, *kept)

    def _gradient(self, ctx: Any, *cts: Tensor | None) -> tuple[Tensor | None, ...]:
        wanted = cts[: self.contract.results]
        return (None, *self.backward(ctx.threads, *wanted, *ctx.saved_tensors))


def _operator(name: str, takes: list[str], results: int, function: Callable[..., Tensors]) -> Any:
    schema = f"({', '.join(['int threads', *takes])}) -> ({', '.join(['Tensor'] * results)})"
    return torch.library.custom_op(
        f"gatewright::{name}", function, mutates_args=(), device_types="cpu", schema=schema
    )


def _precision(given: Tensors) -> str:
    return str(given[0].dtype).removeprefix("torch.")


def _one(inputs: dict[str, Array]) -> Any:
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


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
