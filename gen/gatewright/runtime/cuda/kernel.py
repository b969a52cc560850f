"""What a generated CUDA file is on the host: kernels as marks, drivers as they are.

`rows` and `units` turn a function into a Kernel, which holds its name and the names it takes;
`bound` puts launchers for a device in their places. Words of kernels are placeholders here.

Why marks: the same text is executed three times, for the host, for the compiler (`compiled.py`) and
for the emulator (`emulated.py`), and the host's copy must need neither a compiler nor a device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from gatewright.runtime.layout import Layout

Function = TypeVar("Function", bound=Callable[..., Any])


class Kind(Enum):
    """How a kernel is launched."""

    ROWS = "every row and unit of its last argument"
    UNITS = "sums over rows, in parts"
    WHOLE = "a whole sequence"


class Passed(Enum):
    """How an argument is passed to a kernel."""

    SIZE = "int64"
    CONSTANT = "a number of the kernel's precision"
    POINTER = "a pointer to numbers of the kernel's precision"
    COUNTER = "a pointer to uint32"


_SIZES = ("row_count", "unit_count", "T", "B")
_COUNTERS = ("counters",)


@dataclass(frozen=True)
class Kernel:
    """A kernel of a generated file; `names` are what it takes."""

    name: str
    kind: Kind
    names: tuple[str, ...]

    def __call__(self, *arguments: Any) -> None:
        """Refuse: only a kernel that is bound to a device can be launched."""
        raise RuntimeError(f"kernel `{self.name}` is not bound to a device")

    def passed(self, layout: Layout) -> tuple[Passed, ...]:
        """Return how each argument is passed."""
        return tuple(_passed(name, layout) for name in self.names)


def _passed(name: str, layout: Layout) -> Passed:
    if name in _SIZES:
        return Passed.SIZE
    if name in _COUNTERS:
        return Passed.COUNTER
    return Passed.CONSTANT if name in layout.constants else Passed.POINTER


def _marked(kind: Kind) -> Callable[[Callable[..., Any]], Kernel]:
    def mark(function: Callable[..., Any]) -> Kernel:
        return Kernel(function.__name__, kind, tuple(inspect.signature(function).parameters))

    return mark


rows = _marked(Kind.ROWS)
units = _marked(Kind.UNITS)
whole = _marked(Kind.WHOLE)


def device(function: Function) -> Function:
    """Return a function of kernels as it is: the host does not call it."""
    return function


def driver(function: Function) -> Function:
    """Return a host function that launches kernels as it is."""
    return function


def only_in_kernels(name: str) -> Callable[..., Any]:
    """Return what stands for a word of kernels on the host."""

    def refuse(*arguments: Any) -> Any:
        raise RuntimeError(f"`{name}` is a word of kernels")

    return refuse
