"""LoadedCell -> what runs CUDA tensors: kernels on their GPU, else plain operations with a reason.

Under autocast to bfloat16 or float16, and where PyTorch's own products may be tf32, the kernels of
all steps multiply such numbers on tensor cores.

Why a warning for each reason and not for each call: a training loop makes thousands of calls, and
its owner should read once why they are slower than they could be.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch import cuda
from gatewright.bridges.torch.cuda import ALLOWED, CudaOperators, TensorKernels, refuse_mixed
from gatewright.bridges.torch.eager import EagerSequence, Result
from gatewright.bridges.torch.guards import refuse_precision, refuse_transforms, wrong_precision
from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.availability import CudaUnavailableError
from gatewright.runtime.cuda.sizes import KINDS
from gatewright.runtime.validate import ArgumentError

GPU_DEVICES = ("cuda",)
HALVES = {torch.bfloat16: KINDS["bfloat16"], torch.float16: KINDS["float16"]}
PLAIN = "plain PyTorch operations, step by step"


def on_gpu(tensor: Tensor) -> bool:
    """Tell whether a tensor is where these kernels run."""
    return tensor.device.type in GPU_DEVICES


def option_of(tensor: Tensor) -> int:
    """Return what a tensor's numbers are multiplied as, as operators are told it.

    Autocast says it here; PyTorch's switch for its own products is looked at when they run.
    """
    kind = tensor.device.type
    if tensor.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return HALVES.get(torch.get_autocast_dtype(kind), KINDS[""])
    return ALLOWED


def _asked_once(function: Any) -> Any:
    """Mark a function that what compiles a model calls instead of following it."""
    # As `torch.compiler.assume_constant_result`, which would first import what compiles models.
    function._dynamo_marked_constant = True
    return function


@_asked_once
def why_not(index: int) -> str:
    """Return why kernels cannot run on a GPU that is there, empty if they can or there is none."""
    if not torch.cuda.is_available():
        return ""
    try:
        cuda.device_of(torch.empty(0, device=f"cuda:{index}"))
    except CudaUnavailableError as error:
        return str(error)
    return ""


class GpuSequences:
    """What runs a cell's CUDA tensors; plain operations only if `fall_back`."""

    def __init__(self, loaded: LoadedCell, fall_back: bool) -> None:
        every = loaded.with_reverse(every_state=True, clip=loaded.reverse.clip)
        told: set[str] = set()
        self._made = {
            (option, states): GpuSequence(cell, option, fall_back, told)
            for option in (ALLOWED, *KINDS.values())
            for states, cell in ((False, loaded), (True, every))
        }

    def sequence(self, x: Tensor, every: bool) -> GpuSequence:
        """Return what runs x, with the states of every step as results if `every`.

        To be called where autocast stands as for the caller: it chooses what kernels multiply.
        """
        return self._made[option_of(x), every]


class GpuSequence:
    """Kernels on a GPU; plain operations, after a warning, where these are allowed and needed.

    `told` are the warnings that were given.
    """

    def __init__(self, loaded: LoadedCell, option: int, fall_back: bool, told: set[str]) -> None:
        self.kernels, self.told = CudaSequence(loaded, option), told
        self.otherwise = EagerSequence(loaded) if fall_back else None

    def __call__(self, tensors: Sequence[Tensor]) -> Result:
        """Run the tensors of `CudaSequence`; warn once of what is slower than it could be."""
        if self.otherwise is None:
            return self.kernels(tensors)
        reason = wrong_precision(tensors[0])
        if torch.compiler.is_compiling():
            reason = reason or why_not(tensors[0].device.index or 0)
            return self.otherwise(tensors) if reason else self.kernels(tensors)
        try:
            found = self.otherwise(tensors) if reason else self.kernels(tensors)
        except CudaUnavailableError as error:
            reason = str(error)
            found = self.otherwise(tensors)
        if reason and reason not in self.told:
            self.told.add(reason)
            text = (
                f"{reason}; plain PyTorch operations run instead, step by step; "
                "backend='eager' chooses them without this warning"
            )
            warnings.warn(text, UserWarning, stacklevel=2)
        return found

    def explained(self, x: Tensor, H: int, B: int) -> str:
        """Return how B rows of H units are run, and why."""
        try:
            refuse_precision(x)
            plans = self.kernels.kernels(x).sequences.plans(H, B)
        except (CudaUnavailableError, ArgumentError) as error:
            return f"nothing: {error}" if self.otherwise is None else f"{PLAIN}: {error}"
        numbers = cuda.numbers_of(self.kernels.option, x.dtype)
        said = f", products in {numbers} at tier 2" if numbers else ""
        parts = [f"{direction}: {plan}" for direction, plan in plans.items()]
        return "\n  ".join((f"kernels on the GPU{said}", *parts))


class CudaSequence:
    """A cell's kernels on a GPU as a function of tensors; `option` is that of the operators.

    They are made when they are first wanted: most layers never see a GPU.
    """

    backend = "kernel"

    def __init__(self, loaded: LoadedCell, option: int) -> None:
        self.loaded, self.option = loaded, option
        self.known: CudaOperators | None = None
        self._prepare: Callable[[], bool] = _asked_once(lambda: self._made())

    def _made(self) -> bool:
        if self.known is None:
            self.known = cuda.cuda_operators(self.loaded)
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return CudaSequence, (self.loaded, self.option)

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
        self._prepare()
        known = self.known
        assert known is not None
        refuse_mixed(known.names, tensors)
        found = known.sequence(self.option, *tensors)
        return found[0], tuple(found[1 : known.final]), tuple(found[known.final :])

    def kernels(self, like: Tensor) -> TensorKernels:
        """Return the kernels for the device and the precision of a tensor."""
        self._prepare()
        assert self.known is not None
        return self.known.kernels(like, self.option)
