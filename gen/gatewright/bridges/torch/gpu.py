"""LoadedCell -> what runs CUDA tensors: kernels on their GPU, else plain operations with a reason.

Why a warning for each reason and not for each call: a training loop makes thousands of calls, and
its owner should read once why they are slower than they could be.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.cuda import CudaSequence
from gatewright.bridges.torch.eager import EagerSequence, Result
from gatewright.bridges.torch.guards import refuse_precision, wrong_precision
from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.availability import CudaUnavailableError
from gatewright.runtime.cuda.sizes import KINDS
from gatewright.runtime.validate import ArgumentError

GPU_DEVICES = ("cuda",)
HALVES = {torch.bfloat16: "bfloat16", torch.float16: "float16"}
PLAIN = "plain PyTorch operations, step by step"


def on_gpu(tensor: Tensor) -> bool:
    """Tell whether a tensor is where these kernels run."""
    return tensor.device.type in GPU_DEVICES


def products_of(tensor: Tensor) -> str:
    """Return what a tensor's numbers are multiplied as, empty if as they are.

    Autocast says it, and PyTorch's switch for its own products of float32 on a GPU.
    """
    kind = tensor.device.type
    if tensor.dtype != torch.float32:
        return ""
    if torch.is_autocast_enabled(kind):
        return HALVES.get(torch.get_autocast_dtype(kind), "")
    return "tf32" if _tf32_allowed() else ""


def _tf32_allowed() -> bool:
    switch: Any = torch.backends.cuda.matmul
    # The older name of the switch raises where the newer one was set.
    newer = getattr(switch, "fp32_precision", None)
    return bool(switch.allow_tf32 if newer is None else newer == "tf32")


class GpuSequences:
    """What runs a cell's CUDA tensors; plain operations only if `fall_back`."""

    def __init__(self, loaded: LoadedCell, fall_back: bool) -> None:
        every = loaded.with_reverse(every_state=True, clip=loaded.reverse.clip)
        told: set[str] = set()
        self._made = {
            (products, states): GpuSequence(cell, products, fall_back, told)
            for products in KINDS
            for states, cell in ((False, loaded), (True, every))
        }

    def sequence(self, x: Tensor, every: bool) -> GpuSequence:
        """Return what runs x, with the states of every step as results if `every`.

        To be called where autocast stands as for the caller: it chooses what kernels multiply.
        """
        return self._made[products_of(x), every]


class GpuSequence:
    """Kernels on a GPU; plain operations, after a warning, where these are allowed and needed.

    `told` are the warnings that were given.
    """

    def __init__(self, loaded: LoadedCell, products: str, fall_back: bool, told: set[str]) -> None:
        self.kernels, self.told = CudaSequence(loaded, products), told
        self.otherwise = EagerSequence(loaded) if fall_back else None

    def __call__(self, tensors: Sequence[Tensor]) -> Result:
        """Run the tensors of `CudaSequence`; warn once of what is slower than it could be."""
        found: Result = _untraced(self, tensors)
        return found

    def _run(self, tensors: Sequence[Tensor]) -> Result:
        if self.otherwise is None:
            found = self.kernels(tensors)
        else:
            reason = wrong_precision(tensors[0])
            try:
                found = self.otherwise(tensors) if reason else self.kernels(tensors)
            except CudaUnavailableError as error:
                reason = str(error)
                found = self.otherwise(tensors)
            if reason:
                self._tell(
                    f"{reason}; plain PyTorch operations run instead, step by step; "
                    "backend='eager' chooses them without this warning"
                )
                return found
        self._tell_tiers(tensors)
        return found

    def explained(self, x: Tensor, H: int, B: int) -> str:
        """Return how B rows of H units are run, and why."""
        try:
            refuse_precision(x)
            plans = self.kernels.plans(x, H, B)
        except (CudaUnavailableError, ArgumentError) as error:
            return f"nothing: {error}" if self.otherwise is None else f"{PLAIN}: {error}"
        numbers = self.kernels.products
        said = f", products in {numbers} at tier 2" if numbers else ""
        parts = [f"{direction}: {plan}" for direction, plan in plans.items()]
        return "\n  ".join((f"kernels on the GPU{said}", *parts))

    def _tell_tiers(self, tensors: Sequence[Tensor]) -> None:
        """Warn if steps are run one by one."""
        reasons: dict[str, list[str]] = {}
        for direction, plan in self.kernels.plans_of(tensors).items():
            if plan.tier == 1:
                reasons.setdefault(plan.why, []).append(direction)
        for why, directions in reasons.items():
            name = self.kernels.loaded.cell.identifier
            which = " and ".join(directions)
            self._tell(
                f"the steps of `{name}` ({which}) run one by one on the GPU: {why}; "
                "the layer's `explain` says more"
            )

    def _tell(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            warnings.warn(text, UserWarning, stacklevel=3)


# PyTorch has this without types. Loading and launching kernels is not for it to trace.
_compiler: Any = torch.compiler
_untraced = _compiler.disable(GpuSequence._run)
