"""Program -> a sequence in plain PyTorch operations.

Every device, precision and transform of PyTorch works on them: derivatives of any order, forward
mode, `torch.func`. Products that no state reaches are done once for all time steps, and gates that
share an operand are one product, as in the kernels.

Why from the forward Program alone: the reverse is PyTorch's own, so the gradients of the kernels
can be held against derivatives that gatewright had no part in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gatewright.bridges.torch.functions import LIBRARY
from gatewright.language.closures import Values, closure
from gatewright.loaded import LoadedCell
from gatewright.program.ir import Assign, Product, Role, Statement

# Outputs [T, B, dim], final states [B, dim], and the `every_state` [T, B, dim].
Result = tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]
Run = Callable[[Values], None]


class EagerSequence:
    """A cell's forward Program as a function of tensors."""

    backend = "eager"

    def __init__(self, loaded: LoadedCell) -> None:
        self.loaded = loaded
        cell, forward = loaded.cell, loaded.programs.forward
        self.names = tuple(v.name for v in (*cell.inputs, *cell.states, *cell.parameters))
        self.inputs = tuple(variable.name for variable in cell.inputs)
        self.constants = {constant.name: constant.value for constant in cell.constants}
        self.carried = forward.carried
        self.output = forward.results[0]
        self.parameters = {v.name: v.dims for v in forward.roles(Role.PARAMETER)}
        self.output_dims = forward.variables[self.output].dims
        products = [item for item in forward.statements() if isinstance(item, Product)]
        self.stacks = [item.weights for item in products if len(item.weights) > 1]
        self.sections = {
            name: tuple(_statement(item) for item in forward.statements(name))
            for name in ("before", "step", "after")
        }
        read = {name for item in forward.statements("step", "after") for name in item.reads}
        late = {name for item in forward.statements("after") for name in item.reads}
        early = {target.name for item in forward.statements("before") for target in item.targets}
        last = {target.name for item in forward.statements("after") for target in item.targets}
        states = {name for name, _ in forward.carried}
        self.every = every_state(loaded)
        ends = dict(forward.carried)
        self.every_end = tuple(ends[state] for state in self.every)
        stepped = {target.name for item in forward.statements("step") for target in item.targets}
        self.spread = tuple(n for n in (*self.inputs, *sorted(early)) if n in read)
        wanted = late | ({self.output} - last - early) | set(self.every_end)
        self.collected = tuple(sorted(wanted & (stepped | states | set(self.every_end))))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.loaded,)

    def __deepcopy__(self, memo: object) -> EagerSequence:
        return self

    def __call__(self, tensors: Sequence[Tensor]) -> Result:
        """Return outputs [T, B, dim], final states [B, dim] and, if asked for, those of every step.

        `tensors` are inputs [T, B, dim], initial states [B, dim] and parameters, as declared.
        """
        values: Values = {**self.constants, **dict(zip(self.names, tensors, strict=True))}
        for weights in self.stacks:
            values[_stack_name(weights)] = torch.cat([values[name] for name in weights])
        first = tensors[0]
        T, B = first.shape[0], first.shape[1]
        for statement in self.sections["before"]:
            statement(values)
        found = self._steps(dict(values), T, B)
        state = found.pop("")
        if not T:
            sizes = {d: n for k, ds in self.parameters.items() for d, n in zip(ds, values[k].shape)}  # noqa: B905
            y = first.new_zeros((0, B, *(sizes[dim] for dim in self.output_dims)))
            return (
                y,
                state,
                tuple(values[name].new_zeros(0, *values[name].shape) for name in self.every),
            )
        values |= found
        for statement in self.sections["after"]:
            statement(values)
        y = values[self.output]
        y = y if y.dim() == 3 else y.expand(T, B, y.shape[-1])
        return y, state, tuple(values[name] for name in self.every_end)

    def _steps(self, values: Values, T: int, B: int) -> dict[str, Any]:
        """Return what steps leave, [T, B, dim] by name, and under no name the final states."""
        # What only parameters reach has neither time nor rows.
        slabs = [(n, values[n].unbind(0)) for n in self.spread if values[n].dim() == 3]
        found: dict[str, list[Tensor]] = {name: [] for name in self.collected}
        clip = self.loaded.reverse.clip
        if clip is not None:
            values.update((name, clipped(values[name], clip)) for name, _ in self.carried)
        for t in range(T):
            for name, slab in slabs:
                values[name] = slab[t]
            for statement in self.sections["step"]:
                statement(values)
            for name, each in found.items():
                each.append(_rows(values[name], B))
            following = [_rows(values[end], B) for _, end in self.carried]
            if clip is not None and t + 1 < T:
                following = [clipped(each, clip) for each in following]
            values.update(zip((start for start, _ in self.carried), following, strict=True))
        final = tuple(values[start] for start, _ in self.carried)
        return {"": final, **{n: torch.stack(each) for n, each in found.items() if each}}


def clipped(value: Tensor, clip: float) -> Tensor:
    """Return the value; every entry of its cotangent is kept within plus or minus `clip`."""
    apply: Any = Clipped.apply
    found: Tensor = apply(value, clip)
    return found


class Clipped(torch.autograd.Function):
    """The identity, whose reverse bounds every entry of the cotangent."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, clip: float) -> Tensor:
        """Return the value itself."""
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Remember the bound."""
        ctx.clip = inputs[1]

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        """Return the cotangent within the bound."""
        return cotangents[0].clamp(-ctx.clip, ctx.clip), None


def every_state(loaded: LoadedCell) -> tuple[str, ...]:
    """Return the states whose values of every step are results: those that are not the output."""
    if not loaded.reverse.every_state:
        return ()
    output = loaded.cell.output
    return tuple(each.name for each in loaded.cell.states if f"{each.name}'" != output)


def _rows(value: Tensor, B: int) -> Tensor:
    return value if value.dim() == 2 else value.expand(B, value.shape[-1])


def _stack_name(weights: tuple[str, ...]) -> str:
    return ", ".join(weights)


def _statement(item: Statement) -> Run:
    if isinstance(item, Assign):
        return _assignment(item)
    return _product(item)


def _assignment(item: Assign) -> Run:
    evaluate, target = closure(item.expr, LIBRARY), item.target.name

    def run(values: Values) -> None:
        values[target] = evaluate(values)

    return run


def _product(item: Product) -> Run:
    operand, weights = item.operands[0], item.weights
    targets = [target.name for target in item.targets]
    stack = _stack_name(weights)

    def run(values: Values) -> None:
        product = functional.linear(values[operand], values[stack])
        if len(weights) == 1:
            values[targets[0]] = product
            return
        parts = torch.split(product, [values[name].shape[0] for name in weights], -1)
        values.update(zip(targets, parts, strict=True))

    return run
