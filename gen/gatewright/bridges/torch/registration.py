"""A rule for each of PyTorch's ways to run an operator -> an operator of that name.

PyTorch's dispatcher chooses: on the CPU an operator computes, under autograd it saves what its
gradient reads, while traced it says what it would return, under `vmap` it is batched.

Why not `torch.library.custom_op`, which registers the same: for every call it looks at all
arguments of the schema several times, which takes longer than a small sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._C._dynamo import eval_frame

Tensors = tuple[Tensor, ...]
NAMESPACE = "gatewright"
# PyTorch has these without types.
_core: Any = torch._C
_CPU = _core.DispatchKey.CPU
_Library: Any = torch.library.Library
_library = _Library(NAMESPACE, "FRAGMENT")


@dataclass(frozen=True)
class Derivative:
    """How an operator is differentiated, as in `torch.autograd.Function`.

    `save(ctx, arguments, results)` keeps what `gradient(ctx, *cotangents)` reads, which returns a
    gradient or None for every argument.
    """

    save: Callable[..., None]
    gradient: Callable[..., tuple[Tensor | None, ...]]


@dataclass(frozen=True)
class Rules:
    """What an operator does: `compute` on the CPU, `trace` without numbers, `batch` under vmap."""

    compute: Callable[..., Tensors]
    trace: Callable[..., Tensors]
    batch: Callable[..., Any]
    derivative: Derivative | None = None


def register(name: str, schema: str, rules: Rules) -> Any:
    """Register an operator and return it."""
    _library.define(f"{name}{schema}", tags=(torch.Tag.pt2_compliant_tag,))
    operator = getattr(getattr(torch.ops, NAMESPACE), name).default
    compute = _untraced(rules.compute)
    _library.impl(name, compute, "CPU")
    qualified = f"{NAMESPACE}::{name}"
    torch.library.register_fake(qualified, rules.trace, lib=_library)
    torch.library.register_vmap(qualified, rules.batch, lib=_library)
    if rules.derivative is not None:
        rule = _differentiated(name, operator, compute, rules.derivative)
        _library.impl(name, rule, "Autograd", with_keyset=True)
    return operator


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
    name: str, operator: Any, compute: Callable[..., Tensors], derivative: Derivative
) -> Callable[..., Tensors]:
    """Return what runs an operator where PyTorch may want its gradient."""
    save, gradient = derivative.save, derivative.gradient

    def below(keys: Any, *arguments: Any) -> Tensors:
        rest = keys & _core._after_autograd_keyset
        with _core._AutoDispatchBelowAutograd():
            # Where the CPU comes next, asking the dispatcher again would lead there.
            if rest.highestPriorityTypeId() == _CPU:
                return compute(*arguments)
            found: Tensors = operator.redispatch(rest, *arguments)
            return found

    def forward(ctx: Any, keys: Any, *arguments: Any) -> Tensors:
        results = below(keys, *arguments)
        save(ctx, arguments, results)
        return results

    def backward(ctx: Any, *cotangents: Any) -> Any:
        return (None, *gradient(ctx, *cotangents))

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    made: Any = type(f"{NAMESPACE}_{name}", (torch.autograd.Function,), methods)

    def rule(keys: Any, *arguments: Any) -> Tensors:
        if torch.is_grad_enabled() and _core._any_requires_grad(*arguments):
            found: Tensors = made.apply(keys, *arguments)
            return found
        return below(keys, *arguments)

    return rule
