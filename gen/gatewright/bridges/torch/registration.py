"""A rule for each of PyTorch's ways to run an operator -> an operator of that name.

PyTorch's dispatcher chooses: on the CPU or a GPU an operator computes, under autograd it saves what
its gradient reads, while traced it says what it would return, under `vmap` it is batched. Where
nobody traces or transforms, the choice is autograd and then the device, and a call goes there by
itself.

Why not `torch.library.custom_op`, which registers the same: for every call it looks at all
arguments of the schema several times, which takes longer than a small sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._dynamo import eval_frame
from torch.autograd import forward_ad

Tensors = tuple[Tensor, ...]
NAMESPACE = "gatewright"
# PyTorch has these without types.
_core: Any = torch._C
_Library: Any = torch.library.Library
_library = _Library(NAMESPACE, "FRAGMENT")
_is_batched: Any = _core._functorch.is_legacy_batchedtensor


@dataclass(frozen=True)
class Derivative:
    """How an operator is differentiated, as in `torch.autograd.Function`.

    `save(ctx, arguments, results)` keeps what `gradient(ctx, *cotangents)` reads, which returns a
    gradient or None for every argument. `through` is an operator that takes the same and returns
    more, all of which `save` is given; by default the operator itself is run.
    """

    save: Callable[..., None]
    gradient: Callable[..., tuple[Tensor | None, ...]]
    through: Operator | None = None


@dataclass(frozen=True)
class Rules:
    """What an operator does: `compute` in some places, `trace` without numbers, `batch` in vmap.

    `places` are PyTorch's names of the devices, `CPU` or `CUDA`.
    """

    compute: Callable[..., Tensors]
    trace: Callable[..., Tensors]
    batch: Callable[..., Any]
    derivative: Derivative | None = None
    places: tuple[str, ...] = ("CPU",)


class Operator:
    """An operator: `overload` is PyTorch's own object, a call chooses the shortest way."""

    def __init__(self, name: str, schema: str, rules: Rules) -> None:
        _library.define(f"{name}{schema}", tags=(torch.Tag.pt2_compliant_tag,))
        self.overload: Any = getattr(getattr(torch.ops, NAMESPACE), name).default
        self._compute = _untraced(rules.compute)
        for place in rules.places:
            _library.impl(name, self._compute, place)
        self._keys = [getattr(_core.DispatchKey, place) for place in rules.places]
        self._ordinary = _on_cpu if rules.places == ("CPU",) else _on_device
        qualified = f"{NAMESPACE}::{name}"
        torch.library.register_fake(qualified, rules.trace, lib=_library)
        torch.library.register_vmap(qualified, rules.batch, lib=_library)
        self._direct: Callable[..., Tensors] = rules.compute
        if rules.derivative is not None:
            rule = _differentiated(name, self, rules.derivative)
            _library.impl(name, rule, "Autograd", with_keyset=True)
            self._direct = lambda *arguments: rule(None, *arguments)

    def __call__(self, *arguments: Any) -> Tensors:
        """Run the operator."""
        if _alone() and all(map(self._ordinary, arguments)):
            return self._direct(*arguments)
        found: Tensors = self.overload(*arguments)
        return found

    def below(self, keys: Any, arguments: Sequence[Any]) -> Tensors:
        """Run the operator where autograd has had its turn; without `keys`, where it computes."""
        if keys is None:
            return self._compute(*arguments)
        rest = keys & _core._after_autograd_keyset
        with _core._AutoDispatchBelowAutograd():
            # Where the device comes next, asking the dispatcher again would lead there.
            if rest.highestPriorityTypeId() in self._keys:
                return self._compute(*arguments)
            found: Tensors = self.overload.redispatch(rest, *arguments)
            return found


def _alone() -> bool:
    """Tell whether nobody traces or transforms what is run: no compiler, no mode of PyTorch's."""
    return not (
        torch.compiler.is_compiling()
        or _core._len_torch_dispatch_stack()
        or _core._len_torch_function_stack()
        or _core._get_tracing_state() is not None
        or _core._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
    )


def _on_cpu(argument: Any) -> bool:
    """Tell whether an argument has numbers on the CPU; a subclass may stand for anything."""
    kind = type(argument)
    if kind is Tensor or kind is nn.Parameter:
        # What `torch.autograd.grad(is_grads_batched=True)` stacks is of no transform's stack.
        return argument.is_cpu and not _is_batched(argument)
    return kind is int or argument is None


def _on_device(argument: Any) -> bool:
    """Tell the same of an argument on a GPU, or on the CPU."""
    kind = type(argument)
    if kind is Tensor or kind is nn.Parameter:
        return (argument.is_cuda or argument.is_cpu) and not _is_batched(argument)
    return kind is int or argument is None


def _untraced(compute: Callable[..., Tensors]) -> Callable[..., Tensors]:
    """Return a function that what compiles a model does not trace, should it see it run."""

    def run(*arguments: Any) -> Tensors:
        if not eval_frame.get_eval_frame_callback():
            return compute(*arguments)
        # Only now, as it takes long to import what compiles models.
        disable: Any = torch.compiler.disable
        found: Tensors = disable(compute)(*arguments)
        return found

    return run


def _differentiated(
    name: str, operator: Operator, derivative: Derivative
) -> Callable[..., Tensors]:
    """Return what runs an operator where PyTorch may want its gradient."""
    save, gradient = derivative.save, derivative.gradient
    through = derivative.through or operator
    count = len(operator.overload._schema.returns)

    def forward(ctx: Any, keys: Any, *arguments: Any) -> Tensors:
        results = through.below(keys, arguments)
        save(ctx, arguments, results)
        return results[:count]

    def backward(ctx: Any, *cotangents: Any) -> Any:
        return (None, *gradient(ctx, *cotangents))

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    made: Any = type(f"{NAMESPACE}_{name}", (torch.autograd.Function,), methods)

    def rule(keys: Any, *arguments: Any) -> Tensors:
        if torch.is_grad_enabled() and _core._any_requires_grad(*arguments):
            found: Tensors = made.apply(keys, *arguments)
            return found
        return operator.below(keys, arguments)

    return rule
