"""LoadedCell -> operators of PyTorch that run its kernels on a GPU.

They are those of `sequence_operators`, named `<cell>_<digest>_cuda`; their option says what the
kernels of all steps multiply, on tensor cores: a value of `KINDS`, or `ALLOWED`, for what
PyTorch's own products may be when they run. States, results and gradients are float32 all the same.
They compute on CPU tensors too where kernels are emulated.

Why what is kept is no part of what a caller sees, as it is on the CPU: a caller may write to what
he is given, and to look whether he did would make the processor wait for the GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.contract import Contract, Tensors
from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.registration import Operator
from gatewright.bridges.torch.sequence_operators import Computed, operator_name, sequence_operators
from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.availability import require_cuda, simulated
from gatewright.runtime.cuda.devices import Device, EmulatedDevice
from gatewright.runtime.cuda.gpu import Gpu, gpu
from gatewright.runtime.cuda.graphs import TorchGraphs
from gatewright.runtime.cuda.sequences import Sequences, TensorRun
from gatewright.runtime.cuda.sizes import KINDS
from gatewright.runtime.load import load_module
from gatewright.runtime.validate import ArgumentError

ALLOWED = -1
_NAMES = {kind: name for name, kind in KINDS.items()}
_PLACES = ("CPU", "CUDA")


def device_of(tensor: Tensor) -> Device:
    """Return the GPU that a tensor is on, or the emulator for one of the CPU if asked for.

    Raises CudaUnavailableError, with a sentence, if kernels cannot run on it.
    """
    if tensor.is_cuda:
        return _gpu(tensor.get_device())
    if simulated():
        return _emulator()
    raise ArgumentError(f"these kernels run on CUDA devices, the tensors are on {tensor.device}")


@cache
def _gpu(index: int) -> Gpu:
    require_cuda()
    return gpu(index)


@cache
def _emulator() -> EmulatedDevice:
    return EmulatedDevice(tensors=True)


def numbers_of(option: int, dtype: torch.dtype) -> str:
    """Return the name of what is multiplied, empty for numbers as they are."""
    if option != ALLOWED:
        return _NAMES[option]
    return "tf32" if dtype == torch.float32 and _tf32_allowed() else ""


def _tf32_allowed() -> bool:
    switch: Any = torch.backends.cuda.matmul
    # The older name of the switch raises where the newer one was set.
    newer = getattr(switch, "fp32_precision", None)
    return bool(switch.allow_tf32 if newer is None else newer == "tf32")


def refuse_mixed(names: Sequence[str], tensors: Sequence[Tensor]) -> None:
    """Raise ArgumentError unless all tensors are like the first: kernels read by address."""
    first = tensors[0]
    for name, tensor in zip(names, tensors, strict=True):
        if tensor.device != first.device:
            raise ArgumentError(
                f"`{name}` is on {tensor.device}, but the inputs are on {first.device}: "
                f"move the whole layer with `.to({str(first.device)!r})`"
            )
        if tensor.dtype != first.dtype:
            raise ArgumentError(f"`{name}` is of {tensor.dtype}, but the inputs of {first.dtype}")


_known: dict[str, CudaOperators] = {}


def cuda_operators(loaded: LoadedCell) -> CudaOperators:
    """Return the operators of a cell; those of one generated file are registered once."""
    name = operator_name(loaded, "cuda")
    if name not in _known:
        _known[name] = CudaOperators(name, loaded)
    return _known[name]


class CudaOperators:
    """The three operators of one generated file."""

    def __init__(self, name: str, loaded: LoadedCell) -> None:
        self.name, self.text, self.loaded = name, loaded.source("cuda"), loaded
        self.contract = Contract(load_module(self.text, "cuda", "float32").layout, apart=True)
        self.names, self.final = tuple(self.contract.dims), self.contract.final
        computed = Computed(self._infer, self._keep, self._reverse, "products", _PLACES)
        made = sequence_operators(name, self.contract, computed, EagerSequence(loaded))
        self.sequence: Operator = made.sequence
        self.kept: Operator = made.kept
        self.backward: Operator = made.backward

    def kernels(self, like: Tensor, option: int) -> TensorKernels:
        """Return the kernels for the device and the precision of a tensor."""
        dtype = str(like.dtype).removeprefix("torch.")
        # A device is compared by being the same object.
        device: Any = device_of(like)
        products = numbers_of(option, like.dtype)
        return _kernels(self.loaded, self.text, dtype, device, products)

    def _infer(self, option: int, *given: Tensor) -> Tensors:
        return self._run(option, given, False)

    def _keep(self, option: int, *given: Tensor) -> Tensors:
        return self._run(option, given, True)

    def _run(self, option: int, given: Sequence[Tensor], keep: bool) -> Tensors:
        refuse_mixed(self.names, given)
        with _current(given[0]):
            return self.kernels(given[0], option).run(self.contract, given, keep)

    def _reverse(self, option: int, inputs: bool, states: bool, *tensors: Tensor | None) -> Tensors:
        cotangents, given, _, kept = self.contract.split(tensors)
        first = given[0]
        others = [each for each in (*cotangents, *kept) if each is not None]
        names = (*self.names, *("what the reverse is given" for _ in others))
        refuse_mixed(names, (*given, *others))
        with _current(first):
            found = self.kernels(first, option).reversed(self.contract, tensors, inputs, states)
        results, wanted = iter(found), self.contract.wanted(inputs, states)
        return tuple(next(results) if each else first.new_empty(0) for each in wanted)


class TensorKernels:
    """Kernels with what operators ask for: results and gradients as tuples, in the cell's order."""

    def __init__(self, name: str, sequences: Sequences) -> None:
        self.name, self.sequences = name, sequences
        self._told: set[str] = set()
        self._planned = lru_cache(64)(self._tell_tiers)

    def run(self, contract: Contract, given: Sequence[Tensor], keep: bool) -> Tensors:
        """Return what a caller sees and, if asked for, what the reverse reads."""
        sizes = contract.fitted(tuple([each.shape for each in given]))
        inputs, states, parameters = _groups(contract, given)
        self._planned(next(iter(states.values())).shape[1], sizes["B"])
        run = self.sequences.forward(parameters, inputs, states, keep)
        every = [run.states[name] for name in contract.every]
        results = (run.y, *run.state.values(), *(each.clone() if keep else each for each in every))
        if not keep:
            return results
        assert run.kept is not None
        return (*results, *(self._column(contract, run.kept, n) for n in contract.columns.values()))

    def reversed(
        self, contract: Contract, tensors: Sequence[Tensor | None], inputs: bool, states: bool
    ) -> Tensors:
        """Return the gradients that are wanted; `tensors` are those of `Contract.split`."""
        sizes = contract.fitted_reverse(tuple([t if t is None else t.shape for t in tensors]))
        (ct_y, *cts), given, _, kept = contract.split(tensors)
        held, starts, parameters = _groups(contract, given)
        y_shape = (sizes["T"], sizes["B"], *(sizes[dim] for dim in contract.layout.output_dims))
        ct_y = given[0].new_zeros(y_shape) if ct_y is None else _plain(ct_y)
        final = {
            name: torch.zeros_like(start) if ct is None else _plain(ct)
            for (name, start), ct in zip(starts.items(), cts, strict=False)
        }
        pairs = zip(contract.every, cts[len(contract.states) :], strict=True)
        every = {name: _plain(ct) for name, ct in pairs if ct is not None}
        for names, whole in zip(contract.columns.values(), kept, strict=True):
            held |= dict(zip(names, _plain(whole).chunk(len(names), -1), strict=True))
        run = TensorRun(ct_y, {}, {}, held, sizes)
        found = self.sequences.backward(run, parameters, ct_y, final, every, inputs)
        gradients = (*found.inputs.values(), *(found.state.values() if states else ()))
        return (*gradients, *found.parameters.values())

    def _column(
        self, contract: Contract, kept: Mapping[str, Tensor], names: tuple[str, ...]
    ) -> Tensor:
        """Return the array that consists of some that are kept, with no numbers left to chance."""
        for name in names:
            # One kernel for all steps stores nothing beside what the reverse reads.
            if name not in contract.layout.reverse:
                kept[name].zero_()
        return _whole([kept[name] for name in names])

    def _tell_tiers(self, H: int, B: int) -> None:
        """Warn if steps are run one by one."""
        reasons: dict[str, list[str]] = {}
        for direction, plan in self.sequences.plans(H, B).items():
            if plan.tier == 1:
                reasons.setdefault(plan.why, []).append(direction)
        for why, directions in reasons.items():
            if why not in self._told:
                self._told.add(why)
                text = (
                    f"the steps of `{self.name}` ({' and '.join(directions)}) run one by one on "
                    f"the GPU: {why}; the layer's `explain` says more"
                )
                warnings.warn(text, UserWarning, stacklevel=3)


@lru_cache(maxsize=64)
def _kernels(
    loaded: LoadedCell, text: str, dtype: str, device: Device, products: str
) -> TensorKernels:
    constants = {constant.name: constant.value for constant in loaded.cell.constants}
    graphs = TorchGraphs() if isinstance(device, Gpu) else None
    own = Sequences(text, dtype, device, constants, graphs=graphs, products=products)
    return TensorKernels(loaded.cell.identifier, own)


def _groups(contract: Contract, given: Sequence[Tensor]) -> tuple[dict[str, Tensor], ...]:
    """Return inputs, states and parameters by name, as the kernels read them."""
    named = dict(zip(contract.dims, map(_plain, given), strict=True))
    layout = contract.layout
    groups = (layout.inputs, layout.states, layout.parameters)
    return tuple({name: named[name] for name in group} for group in groups)


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor whose numbers lie in memory as they are meant, one after another."""
    return tensor.resolve_neg().contiguous()


def _whole(columns: Sequence[Tensor]) -> Tensor:
    """Return the array whose columns stand side by side."""
    first = columns[0]
    if len(columns) == 1:
        return first
    width = sum(each.shape[-1] for each in columns)
    T, B, _ = first.shape
    return first.as_strided((T, B, width), (max(B, 1) * width, width, 1))


def _current(tensor: Tensor) -> AbstractContextManager[Any]:
    """Return a context in which a tensor's GPU is the current one, as launches want it."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
