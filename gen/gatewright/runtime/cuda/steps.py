"""Module, device -> its `steps` as the planner wants them: one by one, or as one kernel.

What stands here takes the place of a generated driver, `steps` or `steps_vjp`, and is called as it
is, with the number of steps and arrays.

Why in the place of a driver: everything around the steps, products over all of them among it, is
the same for both tiers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from gatewright.runtime.cuda.devices import Code, Device, Launch, Launched
from gatewright.runtime.cuda.inference import TURNS, Unkept, spread, stepped, unkept
from gatewright.runtime.cuda.kernel import Kernel
from gatewright.runtime.cuda.launch import pitches_of, require_strides
from gatewright.runtime.cuda.planner import Numbers, Shape, StepsPlan, plan
from gatewright.runtime.cuda.realms import sized
from gatewright.runtime.cuda.sizes import KINDS
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module
from gatewright.runtime.storage import BACKWARD, FORWARD
from gatewright.runtime.validate import ArgumentError

_ITEMSIZE = {"float32": 4, "float64": 8}
_KINDS = {FORWARD: "steps", BACKWARD: "steps_vjp"}


class Steps:
    """The steps of one direction on a device; `tier` allows only that one.

    With `products` (`tf32`, `bfloat16`, `float16`) the kernel of all steps multiplies such numbers,
    on tensor cores.
    """

    def __init__(
        self,
        text: str,
        module: Module,
        device: Device,
        direction: str,
        tier: int | None = None,
        products: str = "",
    ) -> None:
        self.text, self.device, self.direction, self.tier = text, device, direction, tier
        self.layout: Layout = module.layout
        self.dtype = module.dtype
        self.one_by_one: Callable[..., None] = module.routine(_KINDS[direction])
        self.names = tuple(inspect.signature(self.one_by_one).parameters)[1:]
        self.kernel: Kernel | None = vars(module.namespace).get(f"{_KINDS[direction]}_whole")
        self.planner = plan
        if products and self.dtype != "float32":
            raise ArgumentError(f"`{products}` is multiplied with states of float32 only")
        self.numbers = Numbers(_ITEMSIZE[self.dtype], KINDS[products])
        self.pitches = pitches_of(self.layout, direction == BACKWARD)
        self.stepped = stepped(self.layout) if direction == FORWARD else ()
        self._launches = lru_cache(16)(self._prepared)
        # A search takes as long as a short sequence.
        self._plans = lru_cache(64)(self._planned)

    def plan(self, H: int, B: int) -> StepsPlan:
        """Return how steps of B rows of H units are run."""
        return self._plans(H, B)

    def _planned(self, H: int, B: int) -> StepsPlan:
        needs = self.layout.wholes.get(self.direction, {})
        return self.planner(needs, H, B, self.numbers, self.device.limits, self.tier)

    def code(self, sizes: Mapping[str, int], keep: bool = True) -> Code:
        """Return the kernel of all steps for the sizes of a shape; if `keep`, for a reverse."""
        assert self.kernel is not None
        text = self.text if keep or not self.stepped else self._unkept.text
        return Code(sized(text, sizes), self.dtype, self.kernel, self.kernel.passed(self.layout))

    def __call__(self, T: int, *arrays: Any) -> None:
        """Run T steps; arrays of one slab, as inference has them, are written at every step."""
        given = dict(zip(self.names, arrays, strict=True))
        state = next(iter(self.layout.states))
        B, H = given[state if state in given else f"d_{state}"].shape[1:]
        planned = self.plan(H, B)
        keep = all(given[name].shape[0] == T for name in self.stepped)
        if planned.shape is None:
            if not keep:
                given |= {name: spread(given[name], T) for name in self.stepped}
            self.one_by_one(T, *(given[name] for name in self.names))
        else:
            self._whole(T, B, H, given, planned.shape, keep)

    def _whole(
        self, T: int, B: int, H: int, given: dict[str, Any], shape: Shape, keep: bool
    ) -> None:
        assert self.kernel is not None
        launch = self._launches(tuple(shape.sizes.items()), shape.shared, keep)
        given |= {"T": T, "B": B, "counters": self.device.zeros(shape.groups)}
        for name in () if keep else self._unkept.exchanged:
            given[name] = self.device.empty((TURNS, B, H), self.dtype)
        arguments = [given[name] for name in self.kernel.names]
        for name, value in zip(self.kernel.names, arguments, strict=True):
            if len(getattr(value, "shape", ())) == 3:
                require_strides(name, value, self.pitches.get(name, 1) * H, self.kernel.name)
        blocks = shape.sizes["BLOCKS"]
        meets = self.layout.wholes[self.direction]["meetings"] > 0
        form = Launch(
            (blocks, shape.groups), (shape.threads, 1), shape.shared, meets and blocks > 1
        )
        launch(form, arguments)

    def _prepared(self, sizes: tuple[tuple[str, int], ...], shared: int, keep: bool) -> Launched:
        numbers = dict(sizes)
        return self.device.prepared(self.code(numbers, keep), shared, numbers["THREADS"])

    @property
    def _unkept(self) -> Unkept:
        assert self.kernel is not None
        return unkept(self.text, self.kernel.name, self.stepped)


def with_steps(
    text: str, module: Module, device: Device, tier: int | None = None, products: str = ""
) -> dict[str, Steps]:
    """Put Steps in the places of a module's drivers; return them by direction."""
    found = {each: Steps(text, module, device, each, tier, products) for each in _KINDS}
    for direction, steps in found.items():
        vars(module.namespace)[_KINDS[direction]] = steps
    return found
