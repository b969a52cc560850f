"""LoadedCell, choice -> what runs a sequence: kernels where a tensor is, or plain operations.

Why `auto` warns and does not raise: a model that is moved to another device should go on, and its
owner should know that it does so without the kernels.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.gpu import PLAIN, GpuSequences, on_gpu
from gatewright.bridges.torch.guards import on_kernel_device, wrong_precision
from gatewright.bridges.torch.kernel import KernelSequence
from gatewright.bridges.torch.scanned import ScannedSequence, becomes_onnx
from gatewright.loaded import LoadedCell
from gatewright.runtime.validate import ArgumentError, checked_size

BACKENDS = ("auto", "kernel", "eager")
PLACES = "the kernels run on the CPU and on CUDA devices"


class Backend:
    """What runs a cell's sequences; `name` is one of `BACKENDS`."""

    def __init__(self, loaded: LoadedCell, name: str, threads: int | None) -> None:
        if name not in BACKENDS:
            raise ArgumentError(f"`backend` must be one of {', '.join(BACKENDS)}; got {name!r}")
        self.name = name
        self._told: set[str] = set()
        count = checked_size("threads", threads) if threads is not None else 0
        every = loaded.with_reverse(every_state=True, clip=loaded.reverse.clip)
        # All of them now: what traces a layer could not follow their making.
        self._sequences: dict[tuple[bool, bool], Any] = {}
        for states, cell in ((False, loaded), (True, every)):
            if name != "kernel":
                self._sequences[True, states] = EagerSequence(cell)
            if name != "eager":
                self._sequences[False, states] = KernelSequence(cell, count)
        self._scanned = {s: ScannedSequence(cell) for s, cell in ((False, loaded), (True, every))}
        self._gpu = None if name == "eager" else GpuSequences(loaded, name == "auto")

    def sequence(self, x: Tensor, every: bool) -> Any:
        """Return what runs x, with the states of every step as results if `every`.

        To be called where autocast stands as for the caller. A sequence of kernels raises
        ArgumentError where it cannot run x.
        """
        if becomes_onnx():
            return self._scanned[every]
        if self._gpu is not None and on_gpu(x):
            return self._gpu.sequence(x, every)
        eager = self.name == "eager"
        if self.name == "auto" and (reason := _why_not(x)):
            eager = True
            self._tell(reason)
        return self._sequences[eager, every]

    def explained(self, x: Tensor, H: int, B: int) -> str:
        """Return what would run B rows of H units where x is, and why, in a line or several."""
        if self._gpu is None:
            return f"{x.device}: {PLAIN}: backend='eager' was asked for"
        if on_gpu(x):
            return f"{x.device}: {self._gpu.sequence(x, False).explained(x, H, B)}"
        if reason := _why_not(x):
            return f"{x.device}: {PLAIN if self.name == 'auto' else 'nothing'}: {reason}"
        return f"{x.device}: compiled kernels for the CPU"

    def _tell(self, reason: str) -> None:
        """Warn, once, that the kernels are not what runs."""
        if reason in self._told or torch.compiler.is_compiling():
            return
        self._told.add(reason)
        text = (
            f"{reason}: plain PyTorch operations run instead, step by step; "
            "backend='eager' chooses them without this warning"
        )
        warnings.warn(text, UserWarning, stacklevel=5)


def _why_not(x: Tensor) -> str:
    """Return why kernels cannot run x, nothing if they can or if plain operations cannot either."""
    if not on_kernel_device(x):
        return f"{PLACES}, the layer is on {x.device}"
    return wrong_precision(x) if x.dtype.is_floating_point else ""
