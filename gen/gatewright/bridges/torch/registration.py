"""A rule for each of PyTorch's ways to run an operator -> an operator of that name.

PyTorch's dispatcher chooses: on the CPU or a GPU an operator computes, under autograd it saves what
its gradient reads, while traced it says what it would return, under `vmap` it is batched. Where
nobody traces or transforms, the choice is autograd and then the device, and a call goes there by
itself, by a rule of its own if there is one (`Direct`).

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
_is_wrapped: Any = _core._functorch.is_functorch_wrapped_tensor


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
class Direct:
    """How an operator runs and is differentiated where nobody traces or transforms it.

    `run(ctx, *arguments)` returns the results and keeps what `gradient(ctx, *cotangents)` reads,
    which returns a gradient or None for every argument, and may be called where somebody does.
    """

    run: Callable[..., Tensors]
    gradient: Callable[..., tuple[Tensor | None, ...]]


@dataclass(frozen=True)
class Rules:
    """What an operator does: `compute` in some places, `trace` without numbers, `batch` in vmap.

    `places` are PyTorch's names of the devices, `CPU` or `CUDA`.
    """

    compute: Callable[..., Tensors]
    trace: Callable[..., Tensors]
    batch: Callable[..., Any]
    derivative: Derivative | None = None
    direct: Direct | None = None
    places: tuple[str, ...] = ("CPU",)


class Operator:
    """An operator: `overload` is PyTorch's own object, a call chooses the shortest way."""

    def __init__(self, name: str, schema: str, rules: Rules) -> None:
        _library.define(f"{name}{schema}", tags=(torch.Tag.pt2_compliant_tag,))
        self.overload: Any = getattr(getattr(torch.ops, NAMESPACE), name).default
        self.compute: Callable[..., Tensors] = _untraced(rules.compute)
        for place in rules.places:
            _library.impl(name, self.compute, place)
        self._keys = [getattr(_core.DispatchKey, place) for place in rules.places]
        self._gpu = "CUDA" in rules.places
        qualified = f"{NAMESPACE}::{name}"
        torch.library.register_fake(qualified, rules.trace, lib=_library)
        torch.library.register_vmap(qualified, rules.batch, lib=_library)
        self._direct: Callable[..., Tensors] = self.compute
        if rules.derivative is not None:
            rule = _differentiated(name, self, rules.derivative)
            _library.impl(name, rule, "Autograd", with_keyset=True)
            self._direct = lambda *arguments: rule(None, *arguments)
        if rules.direct is not None:
            self._direct = _directly(name, self.compute, rules.direct)

    def __call__(self, *arguments: Any) -> Tensors:
        """Run the operator."""
        if alone(arguments, self._gpu):
            return self._direct(*arguments)
        found: Tensors = self.overload(*arguments)
        return found

    def below(self, keys: Any, arguments: Sequence[Any]) -> Tensors:
        """Run the operator where autograd has had its turn; without `keys`, where it computes."""
        if keys is None:
            return self.compute(*arguments)
        rest = keys & _core._after_autograd_keyset
        with _core._AutoDispatchBelowAutograd():
            # Where the device comes next, asking the dispatcher again would lead there.
            if rest.highestPriorityTypeId() in self._keys:
                return self.compute(*arguments)
            found: Tensors = self.overload.redispatch(rest, *arguments)
            return found


def alone(arguments: Sequence[Any], gpu: bool = False) -> bool:
    """Tell whether nobody traces or transforms what is run, and all tensors have numbers here.

    With `gpu`, those on a GPU have them too.
    """
    return _unwatched() and _ordinary(arguments, gpu)


def _unwatched() -> bool:
    """Tell whether there is no compiler at work, and no mode of PyTorch's."""
    return not (
        torch.compiler.is_compiling()
        or _core._len_torch_dispatch_stack()
        or _core._len_torch_function_stack()
        or _core._get_tracing_state() is not None
        or _core._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
    )


def _ordinary(arguments: Sequence[Any], gpu: bool) -> bool:
    """Tell whether all tensors have numbers in such a place; a subclass may stand for anything."""
    for argument in arguments:
        kind = type(argument)
        if kind is Tensor or kind is nn.Parameter:
            if not argument.is_cpu and not (gpu and argument.is_cuda):
                return False
            # What `torch.autograd.grad(is_grads_batched=True)` stacks is of no transform's stack,
            # and what a transform has left behind is of one that has ended. A Parameter made of one
            # has no memory, and says so when it is read.
            if kind is Tensor and (_is_batched(argument) or _is_wrapped(argument)):
                return False
        elif kind is not int and kind is not bool and argument is not None:
            return False
    return True


def _untraced(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that what compiles a model does not trace, should it see it run."""

    def run(*arguments: Any) -> Any:
        if not eval_frame.get_eval_frame_callback():
            return compute(*arguments)
        # Only now, as it takes long to import what compiles models.
        disable: Any = torch.compiler.disable
        return disable(compute)(*arguments)

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


def _directly(name: str, compute: Callable[..., Tensors], direct: Direct) -> Callable[..., Tensors]:
    """Return what runs an operator where nobody traces or transforms it."""
    methods = {
        "forward": staticmethod(_untraced(direct.run)),
        "backward": staticmethod(_untraced(direct.gradient)),
    }
    made: Any = type(f"{NAMESPACE}_{name}_direct", (torch.autograd.Function,), methods)
    # Beyond this, `Function.apply` looks at every argument for what transforms have left behind.
    apply: Any = super(torch.autograd.Function, made).apply

    def run(*arguments: Any) -> Tensors:
        if torch.is_grad_enabled() and _core._any_requires_grad(*arguments):
            found: Tensors = apply(*arguments)
            return found
        return compute(*arguments)

    return run
