"""Tensors -> refusals: what would go wrong silently or far away gets a sentence here.

Why forward mode is looked for and not left to PyTorch: an operator without a rule for it returns
zero tangents, and zero is a number that nobody doubts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gatewright.runtime.validate import ArgumentError

KERNEL_DEVICES = ("cpu", "meta")
KERNEL_DTYPES = (torch.float32, torch.float64)
OTHERWISE = "use backend='eager'"
_core: Any = torch._C
_functorch = _core._functorch


def refuse_transforms(tensors: Sequence[Tensor]) -> None:
    """Raise NotImplementedError where PyTorch differentiates in a way that kernels do not have."""
    if forward_ad._current_level >= 0:
        unpacked: Any = forward_ad.unpack_dual
        for tensor in tensors:
            if unpacked(tensor).tangent is not None:
                raise NotImplementedError(
                    f"the kernels have no forward-mode derivative (jvp, jacfwd): {OTHERWISE}"
                )
    # Outside all transforms there is nothing to look for.
    within = not torch.compiler.is_compiling() and _functorch.peek_interpreter_stack() is not None
    if within and any(map(_of_torch_func, tensors)):
        raise NotImplementedError(
            "torch.func.grad, vjp and jacrev cannot see through the kernels: "
            f"use `backward` or torch.autograd.grad, or {OTHERWISE}"
        )


def _of_torch_func(tensor: Tensor) -> bool:
    while _functorch.is_batchedtensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return bool(_functorch.is_gradtrackingtensor(tensor))


def on_kernel_device(tensor: Tensor) -> bool:
    """Tell whether a tensor is where kernels run."""
    return place(tensor) in KERNEL_DEVICES


def place(tensor: Tensor) -> str:
    """Return the kind of a tensor's device; asking PyTorch for its name takes longer than this."""
    return "cpu" if tensor.is_cpu else tensor.device.type


def refuse_memory() -> None:
    """Raise NotImplementedError where a layer cannot remember: in transforms and when run again.

    Nobody may keep the tensors of a transform. What a backward pass runs once more, as it does with
    checkpoints, would begin where the first run has ended: its gradients are of something else.
    """
    if torch.compiler.is_compiling():
        return
    if _functorch.peek_interpreter_stack() is not None:
        where = "keep its states inside torch.vmap or torch.func"
    elif _core._current_graph_task_id() >= 0:
        where = "be run again in a backward pass, as torch.utils.checkpoint does"
    else:
        return
    raise NotImplementedError(
        f"a stateful layer cannot {where}: pass states as `hx` to a layer that is not stateful"
    )


def wrong_precision(tensor: Tensor) -> str:
    """Return a sentence if kernels do not compute in a tensor's precision, else nothing."""
    if tensor.dtype in KERNEL_DTYPES:
        return ""
    return f"kernels compute in float32 or float64, not {_name(tensor.dtype)}"


def refuse_precision(tensor: Tensor) -> None:
    """Raise ArgumentError unless kernels compute in the tensor's precision."""
    if reason := wrong_precision(tensor):
        raise ArgumentError(f"{reason}: {OTHERWISE}")


def refuse_place(tensor: Tensor) -> None:
    """Raise ArgumentError unless kernels can read the tensor where it is."""
    refuse_precision(tensor)
    if not on_kernel_device(tensor):
        where = tensor.device
        raise ArgumentError(f"these kernels run on the CPU, the layer is on {where}: {OTHERWISE}")


def checked(
    name: str, value: object, shape: tuple[int | str, ...], like: Tensor, hint: str = ""
) -> Tensor:
    """Return `value` if it is a tensor of the given shape, with the dtype and device of `like`.

    A string in `shape` stands for a size that may be anything. Raises ArgumentError.
    """
    if not isinstance(value, Tensor):
        raise ArgumentError(f"`{name}` must be a tensor; got {type(value).__name__}")
    sizes = value.shape
    fits = len(sizes) == len(shape)
    for size, got in zip(shape, sizes, strict=False):
        fits = fits and (isinstance(size, str) or size == got)
    if not fits:
        text = ", ".join(str(size) for size in shape)
        raise ArgumentError(f"`{name}` must have shape [{text}]{hint}; got {list(sizes)}")
    if value.dtype != like.dtype:
        wanted, given = _name(like.dtype), _name(value.dtype)
        raise ArgumentError(f"`{name}` must have dtype {wanted}, as the layer has; got {given}")
    if value.device != like.device:
        raise ArgumentError(f"`{name}` is on {value.device}, but the layer is on {like.device}")
    return value


def checked_states(
    names: Sequence[str], hx: object, shapes: Mapping[str, tuple[int, ...]], like: Tensor
) -> tuple[Tensor, ...]:
    """Return initial states as a tuple: `hx` is a tensor for one state, else a tuple of tensors."""
    given = (hx,) if len(names) == 1 and isinstance(hx, Tensor) else hx
    if not isinstance(given, tuple | list) or len(given) != len(names):
        wanted = f"a tuple ({', '.join(names)})" if len(names) > 1 else f"the tensor {names[0]}"
        raise ArgumentError(f"`hx` must be {wanted}")
    return tuple(
        checked(f"hx: {name}", each, shapes[name], like)
        for name, each in zip(names, given, strict=True)
    )


def as_layer(tensor: Any, like: Tensor) -> Any:
    """Return a tensor in the layer's precision if autocast has lowered it."""
    if not isinstance(tensor, Tensor) or tensor.dtype not in (torch.float16, torch.bfloat16):
        return tensor
    kind = tensor.device.type
    autocast = kind != "meta" and torch.is_autocast_enabled(kind)
    return tensor.to(like.dtype) if autocast else tensor


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
