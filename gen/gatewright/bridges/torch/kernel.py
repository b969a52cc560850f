"""LoadedCell -> a sequence by compiled kernels, behind the interface of the eager one.

Why it is pickled as its cell: machine code and operators belong to a process; the cell says all
that is needed to make them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gatewright.bridges.torch.eager import Result
from gatewright.bridges.torch.guards import refuse_place, refuse_transforms
from gatewright.bridges.torch.operators import operators
from gatewright.loaded import LoadedCell


class KernelSequence:
    """A cell's kernels as a function of tensors, on up to `threads` threads (all if 0)."""

    backend = "kernel"

    def __init__(self, loaded: LoadedCell, threads: int = 0) -> None:
        self.loaded, self.threads = loaded, threads
        known = operators(loaded)
        self.final, self.sequence = known.contract.final, known.sequence

    def __reduce__(self) -> tuple[Any, ...]:
        return KernelSequence, (self.loaded, self.threads)

    def __deepcopy__(self, memo: object) -> KernelSequence:
        return self

    def __call__(self, tensors: Sequence[Tensor]) -> Result:
        """Return outputs [T, B, dim], final states [B, dim] and, if asked for, those of every step.

        `tensors` are inputs [T, B, dim], initial states [B, dim] and parameters, as declared.
        Raises ArgumentError for a device or dtype that the kernels do not have, and
        NotImplementedError in forward mode and inside torch.func.grad.
        """
        refuse_place(tensors[0])
        refuse_transforms(tensors)
        found = self.sequence(self.threads, *tensors)
        return found[0], tuple(found[1 : self.final]), tuple(found[self.final :])
