"""Cell, Programs, kernels -> Subject: what a gradient certificate is about.

Why both precisions are at hand: single precision has no derivative worth taking by differences, so
its kernels are held against those in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gatewright.language.cell import Cell
from gatewright.program.compile import Programs
from gatewright.runtime.kernels import Kernels, Memory
from gatewright.verify.interpret import Array
from gatewright.verify.reference import ReferenceKernels

KernelsFactory = Callable[[str], Kernels]


@dataclass(frozen=True)
class Subject:
    """A cell under certification; `factory` makes its kernels for a dtype."""

    cell: Cell
    programs: Programs
    factory: KernelsFactory
    target: str
    dtype: str

    @cached_property
    def kernels(self) -> Kernels:
        """The kernels that are certified."""
        return self.factory(self.dtype)

    def kernels_for(self, dtype: str) -> Kernels:
        """Return the kernels of a precision; those that are certified are not made twice."""
        return self.kernels if dtype == self.dtype else self.factory(dtype)

    @cached_property
    def reference(self) -> Kernels:
        """The interpreted Programs, in double precision."""
        return ReferenceKernels(self.programs)

    @property
    def reduced(self) -> bool:
        """Whether the target is simulated, and so slow that the larger steps take fewer sizes."""
        if self.target != "cuda":
            return False
        from gatewright.runtime.cuda import simulated

        return simulated()

    def note(self, text: str) -> str:
        """Return what a step leaves out for a slow target, for its detail."""
        return f"; reduced ({text})" if self.reduced else ""


class Filled:
    """A target's memory whose new arrays start with the given contents, to find what is unwritten.

    `fill` is called with a shape.
    """

    def __init__(self, memory: Memory, fill: Callable[[tuple[int, ...]], Array]) -> None:
        self.memory = memory
        self.fill = fill

    def arrays(self, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, Any]:
        """Return new arrays with the chosen contents."""
        found = self.memory.arrays(shapes, dtype)
        for name, array in found.items():
            self.memory.write(array, np.asarray(self.fill(shapes[name]), dtype))
        return found

    def upload(self, array: Array) -> Any:
        """Return the target's copy of an array."""
        return self.memory.upload(array)

    def write(self, target: Any, array: Array) -> None:
        """Copy an array into a target's array."""
        self.memory.write(target, array)

    def download(self, array: Any) -> Array:
        """Return a NumPy array with the contents of a target's array."""
        return self.memory.download(array)


def refilled(kernels: Kernels, fill: Callable[[tuple[int, ...]], Array]) -> Kernels:
    """Return the same kernels with memory whose new arrays start with the given contents."""
    return kernels.with_memory(Filled(kernels.memory, fill))
