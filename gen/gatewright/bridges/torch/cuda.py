"""LoadedCell -> a sequence by kernels on a GPU, for CUDA tensors: a function with a gradient.

Under autocast to bfloat16 or float16, and where PyTorch's own products may be tf32, the kernels of
all steps multiply such numbers on tensor cores; states, results and gradients are float32 all the
same.

Why a function of autograd and not an operator: what the kernels keep for the reverse stands side by
side in memory, which PyTorch does not promise of what it traces or batches. So `torch.compile`
breaks its graph here, and `torch.vmap` is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.contract import Contract, Tensors
from gatewright.bridges.torch.eager import EagerSequence, Result
from gatewright.bridges.torch.guards import (
    refuse_batched,
    refuse_precision,
    refuse_transforms,
)
from gatewright.bridges.torch.registration import Derivative
from gatewright.bridges.torch.second_order import second_order
from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.availability import require_cuda
from gatewright.runtime.cuda.devices import Device
from gatewright.runtime.cuda.gpu import Gpu, gpu
from gatewright.runtime.cuda.graphs import TorchGraphs
from gatewright.runtime.cuda.planner import StepsPlan
from gatewright.runtime.cuda.sequences import Sequences, TensorRun
from gatewright.runtime.validate import ArgumentError


def device_of(tensor: Tensor) -> Device:
    """Return the GPU that a tensor is on.

    Raises CudaUnavailableError, with a sentence, if kernels cannot run on it.
    """
    return _gpu(tensor.get_device())


@cache
def _gpu(index: int) -> Gpu:
    require_cuda()
    return gpu(index)


class CudaSequence:
    """A cell's kernels on a GPU as a function of tensors; `products` is as for `Sequences`."""

    backend = "kernel"

    def __init__(self, loaded: LoadedCell, products: str = "") -> None:
        self.loaded, self.products = loaded, products

    def __reduce__(self) -> tuple[Any, ...]:
        return CudaSequence, (self.loaded, self.products)

    def __deepcopy__(self, memo: object) -> CudaSequence:
        return self

    def __call__(self, tensors: Sequence[Tensor]) -> Result:
        """Return outputs [T, B, dim], final states [B, dim] and, if asked for, those of every step.

        `tensors` are inputs [T, B, dim], initial states [B, dim] and parameters, as declared.
        Raises ArgumentError for tensors of another precision or of several devices,
        NotImplementedError inside transforms that the kernels do not have, and CudaUnavailableError
        where they cannot run.
        """
        refuse_precision(tensors[0])
        refuse_transforms(tensors)
        refuse_batched(tensors)
        kernels = self.kernels(tensors[0])
        kernels.refuse_mixed(tensors)
        with _current(tensors[0]):
            if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
                apply: Any = Forward.apply
                found = apply(kernels, *tensors)
            else:
                found, _ = kernels.run(tensors, bool(kernels.contract.every))
        final = kernels.contract.final
        return found[0], tuple(found[1:final]), tuple(found[final:])

    def kernels(self, like: Tensor) -> TensorKernels:
        """Return the kernels for the device and the precision of a tensor."""
        dtype = str(like.dtype).removeprefix("torch.")
        # A device is compared by being the same object.
        device: Any = device_of(like)
        return _kernels(self.loaded, self._text, dtype, device, self.products)

    def plans(self, like: Tensor, H: int, B: int) -> dict[str, StepsPlan]:
        """Return how the steps of B rows of H units are run, and why, by direction."""
        return self.kernels(like).sequences.plans(H, B)

    def plans_of(self, tensors: Sequence[Tensor]) -> dict[str, StepsPlan]:
        """Return how the steps of what a call is given are run."""
        kernels = self.kernels(tensors[0])
        state = tensors[len(kernels.contract.layout.inputs)]
        B, H = state.shape
        return kernels.sequences.plans(H, B)

    @cached_property
    def _text(self) -> str:
        return self.loaded.source("cuda")


class TensorKernels:
    """Kernels with what autograd asks for: results and gradients as tuples, in the cell's order."""

    def __init__(self, loaded: LoadedCell, sequences: Sequences) -> None:
        self.sequences, self.loaded = sequences, loaded
        self.contract = Contract(sequences.layout)

    @cached_property
    def second_order(self) -> Derivative:
        """How the reverse saves what its own gradient reads, and that gradient."""
        return second_order(self.contract, EagerSequence(self.loaded))

    def refuse_mixed(self, tensors: Sequence[Tensor]) -> None:
        """Raise ArgumentError unless all tensors are on one device."""
        first = tensors[0].device
        for name, tensor in zip(self.contract.dims, tensors, strict=True):
            if tensor.device != first:
                raise ArgumentError(
                    f"`{name}` is on {tensor.device}, but the inputs are on {first}: "
                    f"move the whole layer with `.to({str(first)!r})`"
                )

    def run(self, given: Sequence[Tensor], keep: bool) -> tuple[Tensors, TensorRun]:
        """Return what a caller sees, and the run."""
        inputs, states, parameters = self._groups(given)
        run = self.sequences.forward(parameters, inputs, states, keep)
        kept = run.kept or {}
        every = (kept[name][1:].clone() for name in self.contract.every)
        return (run.y, *run.state.values(), *every), run

    def reversed(self, tensors: Sequence[Tensor | None]) -> Tensors:
        """Return the gradients of what was given; the arguments are those of `Contract.split`."""
        contract = self.contract
        (ct_y, *cts), given, seen, kept = contract.split(tensors)
        inputs, states, parameters = self._groups(given)
        held = dict(zip((*contract.seen, *contract.kept), (*seen, *kept), strict=True))
        sizes = self.sequences.sizes(parameters, inputs, states)
        y_shape = (*given[0].shape[:2], *(sizes[dim] for dim in contract.layout.output_dims))
        ct_y = given[0].new_zeros(y_shape) if ct_y is None else ct_y.contiguous()
        final = {
            name: torch.zeros_like(start) if ct is None else ct.contiguous()
            for (name, start), ct in zip(states.items(), cts, strict=False)
        }
        pairs = zip(contract.every, cts[len(contract.states) :], strict=True)
        every = {name: ct.contiguous() for name, ct in pairs if ct is not None}
        run = TensorRun(ct_y, {}, {**inputs, **held}, sizes)
        found = self.sequences.backward(run, parameters, ct_y, final, every)
        return (*found.inputs.values(), *found.state.values(), *found.parameters.values())

    def _groups(self, given: Sequence[Tensor]) -> tuple[Mapping[str, Tensor], ...]:
        """Return inputs, states and parameters by name, as the kernels read them."""
        named = dict(zip(self.contract.dims, (each.contiguous() for each in given), strict=True))
        layout = self.contract.layout
        groups = (layout.inputs, layout.states, layout.parameters)
        return tuple({name: named[name] for name in group} for group in groups)


class Forward(torch.autograd.Function):
    """A sequence, whose gradient is the reverse kernels'."""

    @staticmethod
    def forward(ctx: Any, kernels: TensorKernels, *given: Tensor) -> Any:
        """Return outputs, final states, and states of every step that were asked for."""
        results, run = kernels.run(given, keep=True)
        contract = kernels.contract
        assert run.kept is not None
        ctx.kernels = kernels
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given, *(run.kept[n] for n in (*contract.seen, *contract.kept)))
        return results

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        """Return the gradients of what was given."""
        apply: Any = Reverse.apply
        return (None, *apply(ctx.kernels, *cotangents, *ctx.saved_tensors))


class Reverse(torch.autograd.Function):
    """The reverse of a sequence, whose own gradient is that of plain operations."""

    @staticmethod
    def forward(ctx: Any, kernels: TensorKernels, *tensors: Any) -> Any:
        """Return the gradients of what was given."""
        kernels.second_order.save(ctx, (kernels, *tensors), None)
        ctx.kernels = kernels
        with _current(kernels.contract.split(tensors).given[0]):
            return kernels.reversed(tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Return gradients of cotangents and of what was given."""
        return ctx.kernels.second_order.gradient(ctx, *gradients)


@lru_cache(maxsize=64)
def _kernels(
    loaded: LoadedCell, text: str, dtype: str, device: Device, products: str
) -> TensorKernels:
    constants = {constant.name: constant.value for constant in loaded.cell.constants}
    graphs = TorchGraphs() if isinstance(device, Gpu) else None
    return TensorKernels(
        loaded, Sequences(text, dtype, device, constants, graphs=graphs, products=products)
    )


def _current(tensor: Tensor) -> AbstractContextManager[Any]:
    """Return a context in which a tensor's GPU is the current one, as launches want it."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
