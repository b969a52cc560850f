"""Text, precision, device -> Kernels: a cell on a device for callers who have NumPy arrays.

Why a class of its own beside the CPU's: what a run keeps for `backward` has to stand where the
kernels of the reverse look for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from gatewright.runtime.cuda.devices import Device, default_device
from gatewright.runtime.cuda.launch import bound
from gatewright.runtime.cuda.memory import DeviceMemory, StackingEngine
from gatewright.runtime.cuda.steps import with_steps
from gatewright.runtime.kernels import Kernels, Run
from gatewright.runtime.parameters import Parameters
from gatewright.runtime.validate import Array


class CudaKernels(Kernels):
    """The kernels of one cell on a device; arrays are NumPy.

    `device` is the GPU, or the emulator if that was asked for, where none is given; `fill` is what
    new arrays start with, `tier` the only one allowed, `products` what the kernel of all steps
    multiplies. Raises CudaUnavailableError where there is neither.
    """

    def __init__(
        self,
        text: str,
        dtype: str,
        constants: Mapping[str, float] | None = None,
        device: Device | None = None,
        fill: float | None = None,
        tier: int | None = None,
        products: str = "",
    ) -> None:
        self.device = device or default_device()
        module = bound(text, dtype, self.device)
        self.steps = with_steps(text, module, self.device, tier, products)
        self._own = DeviceMemory(module.layout, self.device, fill)
        super().__init__(module, self._own, constants, StackingEngine(self._own, dtype))

    def revived(
        self, parameters: Mapping[str, Array] | Parameters, kept: Mapping[str, Array]
    ) -> Run:
        """Return a run for `backward` alone, from arrays that another one kept, and its inputs."""
        run = super().revived(parameters, kept)
        assert run.kept is not None
        values = dict(run.kept)
        for stack in self.layout.stacks.get("forward", ()):
            if members := [name for name in stack if name in values]:
                # Those that the reverse does not read are columns of the same memory all the same.
                shape = tuple(values[members[0]].shape)
                beside = self._own.arrays(dict.fromkeys(stack, shape), self.dtype)
                for name in members:
                    beside[name][...] = values[name]
                    values[name] = beside[name]
        return Run(run.y, {}, {}, values, run.sizes, run.parameters)
