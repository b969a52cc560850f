"""Module, device -> the module with launchers in place of its kernels.

A `rows` kernel takes its grid from the shape of its last argument [rows, units], one thread for
each element: threads of a block lie along units and then rows, blocks along rows and then units. A
`units` kernel leaves one sum per lane, and the sums of lanes are added here. An empty result
launches nothing.

Why every argument's strides are checked: a kernel knows how many arrays stand side by side from the
text, and reads foreign memory where an array stands alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cuda.devices import Code, Device, Launch
from gatewright.runtime.cuda.emulator import Size
from gatewright.runtime.cuda.inference import with_stepped
from gatewright.runtime.cuda.kernel import Kernel, Kind, Passed
from gatewright.runtime.cuda.matrices import matrices_of
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module, load_module

# A lane of a sum should have so many rows at least.
_ROWS_PER_LANE, _MOST_LANE_BLOCKS = 16, 32


def bound(text: str, dtype: str, device: Device) -> Module:
    """Return a generated CUDA file as a module whose kernels run on a device."""
    module = with_stepped(load_module(text, "cuda", dtype))
    names = vars(module.namespace)
    for name, kernel in list(names.items()):
        if isinstance(kernel, Kernel) and kernel.kind is not Kind.WHOLE:
            code = Code(text, dtype, kernel, kernel.passed(module.layout))
            names[name] = Launcher(code, module.layout, device)
    return module


class Launcher:
    """A kernel on a device; a call with arrays and scalars launches it."""

    def __init__(self, code: Code, layout: Layout, device: Device) -> None:
        self.code = code
        self.device = device
        self.kernel = code.kernel
        backwards = "_vjp" in self.kernel.name or self.kernel.kind is Kind.UNITS
        self.pitches = pitches_of(layout, backwards)
        self._launch: Any = None

    def __repr__(self) -> str:
        return f"Launcher({self.kernel.name!r})"

    def __call__(self, *arguments: Any) -> None:
        """Launch the kernel, or do nothing if its last argument is empty."""
        if self.kernel.kind is Kind.UNITS:
            self._sum(bool(arguments[0]), arguments[1:])
            return
        down, across = arguments[-1].shape
        if down and across:
            self._start(geometry(down, across, self.device), (down, across, *arguments))

    def _start(self, shape: Launch, arguments: tuple[Any, ...]) -> None:
        if self._launch is None:
            self._launch = self.device.prepared(self.code)
        units = arguments[1]
        given = [
            self._checked(name, value, passed, units)
            for name, value, passed in zip(
                self.kernel.names, arguments, self.code.passed, strict=True
            )
        ]
        self._launch(shape, given)

    def _sum(self, more: bool, arguments: tuple[Any, ...]) -> None:
        """Launch a kernel that leaves a sum per lane; add the lanes into its targets."""
        names = self.kernel.names[2:]
        targets = [n for n, name in enumerate(names) if _is_vector(arguments[n]) and _is_sum(name)]
        first = next(value for value in arguments if len(value.shape) == 2)
        rows, units = first.shape
        if not units:
            return
        shape = sum_geometry(rows, units, self.device)
        lanes = shape.grid[0] * shape.block[1]
        given = list(arguments)
        for n in targets:
            given[n] = matrices_of(first).empty((lanes, units), first)
        self._start(shape, (rows, units, *given))
        for n in targets:
            matrices_of(first).add_rows(given[n], arguments[n], more)

    def _checked(self, name: str, value: Any, passed: Passed, units: int) -> Any:
        if passed is not Passed.POINTER:
            return value
        if isinstance(value, float | np.floating):
            # A scalar parameter of a NumPy caller: the kernel reads all parameters from memory.
            return self.device.array(np.full(1, value, self.code.dtype))
        if len(value.shape) == 2:
            require_strides(name, value, self.pitches.get(name, 1) * units, self.kernel.name)
        return value


def pitches_of(layout: Layout, backwards: bool) -> dict[str, int]:
    """Return how many columns lie side by side in every array that does not stand alone."""
    stacks = [*layout.stacks.get("forward", ())]
    stacks += layout.stacks.get("backward", ()) if backwards else ()
    return {name: len(stack) for stack in stacks for name in stack}


def require_strides(name: str, value: Any, pitch: int, kernel: str) -> None:
    """Raise ValueError unless the rows of an array are as far apart as a kernel takes them."""
    strides = matrices_of(value).strides(value)
    # A dimension of size one may have any stride.
    rows, columns = (size > 1 for size in value.shape[-2:])
    whole = len(value.shape) < 3 or value.shape[0] < 2 or strides[0] == pitch * value.shape[1]
    if not whole or (rows and strides[-2] != pitch) or (columns and strides[-1] != 1):
        raise ValueError(f"`{name}` of {kernel} has strides {strides}")


def geometry(rows: int, units: int, device: Device) -> Launch:
    """Return the shape of a launch that has a thread for each row and unit."""
    most = device.limits.row_threads
    across = min(most, _power_of_two(units))
    down = min(most // across, _power_of_two(rows))
    return Launch((-(-rows // down), -(-units // across)), (across, down))


def sum_geometry(rows: int, units: int, device: Device) -> Launch:
    """Return the shape of a launch that sums so many rows of so many units in lanes."""
    limits = device.limits
    down = max(1, min(-(-rows // (limits.lanes * _ROWS_PER_LANE)), _MOST_LANE_BLOCKS))
    block: Size = limits.unit_threads, limits.lanes
    return Launch((down, -(-units // limits.unit_threads)), block)


def _power_of_two(size: int) -> int:
    """Return the smallest power of two that is not below a size."""
    return 1 << (size - 1).bit_length()


def _is_vector(value: Any) -> bool:
    return len(getattr(value, "shape", ())) == 1


def _is_sum(name: str) -> bool:
    return name.startswith("d_")
