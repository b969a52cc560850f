"""Kernels -> operators of PyTorch: a whole sequence is one call, and so is its reverse.

Every generated file gets three operators in the namespace `gatewright`, named by cell and digest:

    <cell>_<digest>            (threads, *given) -> (y, *final states, *kept)
    <cell>_<digest>_inference  (threads, *given) -> (y, *final states)
    <cell>_<digest>_backward   (threads, *cotangents, *given, y, *kept) -> gradients of `given`

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

        name, takes = f"{self.name}_backward", [*cotangents, *given, "Tensor y", *kept]
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
        name, slab = self.contract.layout.output
        # A view of the whole array: the reverse finds the initial state before the output again.
        y = torch.from_numpy(run.kept[name])[slab : slab + given[0].shape[0]]
        kept = (run.kept[each] for each in self.contract.kept)
        return (y, *map(torch.from_numpy, (*run.state.values(), *kept)))

    def _infer(self, threads: int, *given: Tensor) -> Tensors:
        arrays = self.contract.arrays(given)
        kernels = self._kernels(_precision(given), threads)
        run = kernels.forward(arrays.parameters, _one(arrays.inputs), arrays.states, keep=False)
        return tuple(map(torch.from_numpy, (run.y, *run.state.values())))

    def _backward(self, threads: int, *tensors: Tensor | None) -> Tensors:
        contract = self.contract
        (ct_y, *cts), given, outputs, kept = contract.split(tensors)
        arrays = contract.arrays(given)
        kernels = self._kernels(_precision(given), threads)
        name, _ = contract.layout.output
        stated = name in contract.states
        y = _whole(outputs, contract.initial(given, name)) if stated else outputs
        read = arrays.inputs | dict(zip((name, *contract.kept), map(view, (y, *kept)), strict=True))
        checked = {n: checked_array(n, each, each.shape, kernels.dtype) for n, each in read.items()}
        parameters = kernels.prepare(arrays.parameters, copy=False)
        sizes = contract.sizes(given)
        run = Run(checked[name], {}, {}, kept=checked, sizes=sizes, parameters=parameters)
        if ct_y is None:
            ct_y = torch.zeros_like(outputs)
        final = {
            state: view(torch.zeros_like(contract.initial(given, state)) if ct is None else ct)
            for state, ct in zip(contract.states, cts, strict=True)
        }
        return _tensors(kernels.backward(run, view(ct_y), final))

    def _save(self, ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        kept = output[self.contract.results :]
        ctx.threads = inputs[0]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*kept)
        ctx.save_for_backward(*inputs[1:], output[0], *kept)

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
