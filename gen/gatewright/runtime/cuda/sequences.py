"""Text, precision, device -> Sequences: a cell on tensors, nothing contiguous copied.

`forward` and `backward` take PyTorch tensors on the device and run on its current stream. This is
what a layer of PyTorch calls for CUDA tensors; it knows no autograd.

Why beside the kernels for NumPy arrays: those copy to the device and back, check what NumPy's
arrays can have wrong, and keep results on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from gatewright.runtime.cotangents import EVERY
from gatewright.runtime.cuda.devices import Device
from gatewright.runtime.cuda.graphs import GraphedSteps, Graphs
from gatewright.runtime.cuda.launch import bound
from gatewright.runtime.cuda.memory import DeviceMemory
from gatewright.runtime.cuda.planner import StepsPlan
from gatewright.runtime.cuda.steps import with_steps
from gatewright.runtime.cuda.tensors import dtype_of, is_tensor, tf32
from gatewright.runtime.storage import BACKWARD, FORWARD, storage
from gatewright.runtime.validate import ArgumentError, checked_dict

Tensor = Any
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class TensorRun:
    """A sequence: outputs [T, B, dim], final states [B, dim], and what `backward` needs.

    `states` [T, B, dim] are those in which every step ended: views of what is kept, if it is.
    """

    y: Tensor
    state: Tensors
    states: Tensors = field(repr=False)
    kept: Tensors | None = field(repr=False)
    sizes: Mapping[str, int] = field(repr=False)


@dataclass(frozen=True)
class TensorGradients:
    """Gradients of inputs [T, B, dim], initial states [B, dim] and parameters, by name."""

    inputs: Tensors
    state: Tensors
    parameters: Tensors


class Sequences:
    """A cell's kernels as functions of tensors; `tier` allows only that one.

    With `products` (`tf32`, `bfloat16` or `float16`), the kernel of all steps multiplies such
    numbers, on tensor cores; products over all steps at once are then of tf32. What is beyond 65504
    is infinite in `float16`, and what is below 3e-8 is zero: scale the loss of a small gradient, as
    for PyTorch's own products. With `graphs`, steps that run one by one are recorded and replayed
    as one CUDA graph.
    """

    def __init__(
        self,
        text: str,
        dtype: str,
        device: Device,
        constants: Mapping[str, float] | None = None,
        tier: int | None = None,
        graphs: Graphs | None = None,
        products: str = "",
    ) -> None:
        module = bound(text, dtype, device)
        self.module, self.layout, self.dtype, self.device = module, module.layout, dtype, device
        self.products = products
        self.constants = {**module.layout.constants, **(constants or {})}
        self._memory = DeviceMemory(module.layout, device)
        self._stacked = {n for stack in module.layout.stacks.get(BACKWARD, ()) for n in stack}
        self.steps = with_steps(text, module, device, tier, products)
        # Whether gradients of inputs are all that a routine computes, which then may be left out.
        self._optional = "inputs" in module.arguments(BACKWARD)
        self.graphed: dict[str, GraphedSteps] = {}
        for direction, steps in self.steps.items() if graphs else ():
            assert graphs
            self.graphed[direction] = GraphedSteps(steps.one_by_one, graphs)
            steps.one_by_one = self.graphed[direction]

    def plans(self, H: int, B: int) -> dict[str, StepsPlan]:
        """Return how the steps of B rows of H units are run, and why, by direction."""
        return {direction: steps.plan(H, B) for direction, steps in self.steps.items()}

    def forward(
        self, parameters: Tensors, inputs: Tensors, state: Tensors, keep: bool = True
    ) -> TensorRun:
        """Run inputs [T, B, dim] from initial states [B, dim].

        With `keep=False` nothing is kept for `backward`. Raises ArgumentError if a tensor does not
        fit the cell.
        """
        sizes = self.sizes(parameters, inputs, state)
        shapes = storage(self.layout, FORWARD, sizes, keep, max(sizes["T"], 1))
        values: dict[str, Any] = dict(inputs)
        values |= self._memory.arrays({**shapes.lasting, **shapes.passing}, self.dtype)
        for name, tensor in state.items():
            values[name][0] = tensor
        self._run(FORWARD, sizes, {**self._parameters(parameters, FORWARD), **values})
        name, slab = self.layout.output
        y = values[name][slab : slab + sizes["T"]]
        states = {name: values[name][1:] for name in self.layout.states}
        final = {name: values[name][sizes["T"]].clone() for name in states}
        kept = {n: values[n] for n in (*inputs, *shapes.lasting)} if keep else None
        # What stands in the kept array stays as it is; a caller may write to what it is given.
        return TensorRun(y.clone() if keep else y, final, states, kept, sizes)

    def backward(
        self,
        run: TensorRun,
        parameters: Tensors,
        ct_y: Tensor,
        ct_state: Tensors,
        ct_states: Tensors | None = None,
        inputs: bool = True,
    ) -> TensorGradients:
        """Return all gradients, given cotangents of the outputs and of the final states.

        `ct_states` maps states to cotangents [T, B, dim] of what each step ends with, for kernels
        of a cell with `every_state`; those that are left out are zeros. Without
        `inputs`, there are no gradients of inputs: a product over all steps and an array less.
        """
        if run.kept is None:
            raise ArgumentError("this run kept nothing: call `forward` with `keep=True`")
        sizes = run.sizes
        # Who kept them may have moved them, to the host and back for example.
        kept = self._memory.side_by_side(run.kept, self.dtype)
        every = self._cotangents(sizes, ct_y, ct_states or {})
        checked_dict("cotangents of states", ct_state, tuple(self.layout.states))
        for name, tensor in ct_state.items():
            self._check(name, tensor, ("B", *self.layout.states[name]), dict(sizes))
        shapes = storage(self.layout, BACKWARD, sizes, True, max(sizes["T"], 1))
        gradients = {name: f"d_{name}" for name in self.layout.inputs}
        new = {**shapes.lasting, **shapes.passing}
        # What a step computes as well has to be there all the same.
        late = self._optional and not inputs
        unwanted = set(gradients.values()) - {*self.steps[BACKWARD].names} if late else set()
        found = self._memory.arrays({n: new[n] for n in new if n not in unwanted}, self.dtype)
        for name, tensor in ct_state.items():
            carried = found[f"d_{name}"]
            carried[sizes["T"] % carried.shape[0]] = tensor
        values = {**self._parameters(parameters, BACKWARD), **kept, **found, **every}
        if not sizes["T"] * sizes["B"]:
            for name in self.layout.sums:
                found[name].zero_()
        flags = {"more": False, "inputs": inputs, **dict.fromkeys(unwanted)}
        self._run(BACKWARD, sizes, {**values, **flags})
        return TensorGradients(
            {name: found[each] for name, each in gradients.items()} if inputs else {},
            {name: found[f"d_{name}"][0].clone() for name in self.layout.states},
            {name: self._gradient(name, found[f"d_{name}"]) for name in self.layout.parameters},
        )

    def _gradient(self, name: str, sums: Tensor) -> Tensor:
        """Return the gradient of a parameter, in memory of its own."""
        if not self.layout.parameters[name]:
            return sums.sum()
        # Members of a stack are rows of one matrix, all of which each of them would keep alive.
        return sums.clone() if f"d_{name}" in self._stacked else sums

    def _cotangents(
        self, sizes: Mapping[str, int], ct_y: Tensor, ct_states: Tensors
    ) -> dict[str, Tensor]:
        """Return what the reverse is given for every step, by name."""
        dims = {"ct_y": self.layout.output_dims}
        dims |= {f"{EVERY}{state}": d for state, d in self.layout.states.items()}
        found = {"ct_y": ct_y, **{f"{EVERY}{state}": each for state, each in ct_states.items()}}
        for name in found:
            if name not in self.layout.cotangents:
                state = name.removeprefix(EVERY)
                raise ArgumentError(f"these kernels take no cotangent of `{state}` at every step")
        for name in self.layout.cotangents:
            shape = ("T", "B", *dims[name])
            if name not in found:
                found[name] = ct_y.new_zeros(tuple(sizes[dim] for dim in shape))
            self._check(name, found[name], shape, dict(sizes))
        return found

    def _run(self, direction: str, sizes: Mapping[str, int], values: Mapping[str, Any]) -> None:
        if sizes["T"] * sizes["B"]:
            given = {"T": sizes["T"], **values}
            names = self.module.arguments(direction)
            # Products over all steps need not be finer than those of the steps.
            with tf32() if self.products else nullcontext():
                self.module.routine(direction)(*(given[name] for name in names))

    def _parameters(self, given: Tensors, direction: str) -> dict[str, Any]:
        return {**self._memory.matrices(given, direction, self.dtype), **self.constants}

    def sizes(self, parameters: Tensors, inputs: Tensors, state: Tensors) -> dict[str, int]:
        """Check every tensor; return T, B and the cell's dimensions."""
        sizes: dict[str, int] = {}
        groups = (
            ("parameters", parameters, self.layout.parameters, ()),
            ("inputs", inputs, self.layout.inputs, ("T", "B")),
            ("states", state, self.layout.states, ("B",)),
        )
        for kind, given, wanted, leading in groups:
            checked_dict(kind, given, tuple(wanted))
            for name, dims in wanted.items():
                self._check(name, given[name], (*leading, *dims), sizes)
        return sizes

    def _check(self, name: str, tensor: Any, dims: tuple[str, ...], sizes: dict[str, int]) -> None:
        """Raise ArgumentError unless a tensor has the sizes known so far; note its own."""
        if not is_tensor(tensor):
            raise ArgumentError(f"`{name}` must be a tensor; got {type(tensor).__name__}")
        if tensor.dtype != dtype_of(self.dtype):
            raise ArgumentError(f"`{name}` must be {self.dtype}; got {tensor.dtype}")
        known = [sizes.get(dim, dim) for dim in dims]
        shape = list(tensor.shape)
        fits = len(shape) == len(known) and all(
            isinstance(size, str) or size == got for size, got in zip(known, shape, strict=True)
        )
        if not fits:
            wanted = ", ".join(map(str, known))
            raise ArgumentError(f"`{name}` must have shape [{wanted}]; got {shape}")
        if not tensor.is_contiguous():
            raise ArgumentError(f"`{name}` must be contiguous: call `.contiguous()`")
        sizes.update(zip(dims, shape, strict=True))
