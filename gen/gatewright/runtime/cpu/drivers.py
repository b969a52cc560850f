"""Drivers: compiled functions that begin with a part, and run that part or, handing out, all parts.

Between Python and a driver's machine code stands a wrapper that unpacks arguments. A driver's
wrapper calls code that puts the arguments into a frame, and gives the addresses of the frame and of
a function that runs one part to `hand_out` (`team.py`). So one compiled form serves any number of
threads, and arguments are unpacked once.

Arrays are lent to the parts: nobody counts references to them. Counters that all threads write to
cost more than a product, and on one thread a step of a small cell spent a sixth of its time on
them.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import callconv, callwrapper, cgutils

from gatewright.runtime.cpu import native
from gatewright.runtime.cpu.compiled import decorator
from gatewright.runtime.cpu.routine import Routine
from gatewright.runtime.cpu.team import hand_out

_build: Any = cgutils
_types: Any = types
_calls: Any = callconv
_wrapper: Any = callwrapper.PyCallWrapper
_WORD, _STATUS = ir.IntType(64), ir.IntType(32)
_NUMBERS = _types.Array(_types.int64, 1, "C")
_PART = (_types.int64, _types.int64, _types.int64, _NUMBERS)
_HANDED = (*[_types.int64] * 4, _NUMBERS)
_SYMBOL = "gatewright_hand_out"


@cache
def publish() -> None:
    """Let compiled code find `hand_out` by name, so that not every driver takes it in."""
    hand_out.compile(_HANDED)
    compiled = hand_out.overloads[_HANDED]
    name = compiled.fndesc.llvm_func_name
    llvm.add_symbol(_SYMBOL, compiled.library.get_pointer_to_function(name))


def _borrowed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return a value whose arrays nobody counts references to: Python holds them meanwhile."""
    if isinstance(kind, _types.Array):
        array = _build.create_struct_proxy(kind)(context, builder, value)
        array.meminfo = _build.get_null_value(array.meminfo.type)
        array.parent = _build.get_null_value(array.parent.type)
        return array._getvalue()
    if isinstance(kind, _types.BaseTuple):
        for number, inner in enumerate(kind):
            within = builder.extract_value(value, number)
            within = _borrowed(context, builder, inner, within)
            value = builder.insert_value(value, within, number)
    return value


def _one_part(context: Any, module: Any, descriptor: Any, inner: Any, frame: Any) -> Any:
    """Return a function of a pointer to a frame and a part's index that returns 0 for success."""
    shape = ir.FunctionType(_STATUS, [frame.as_pointer(), _WORD])
    code = ir.Function(module, shape, module.get_unique_name("part"))
    code.linkage = "internal"
    builder = ir.IRBuilder(code.append_basic_block())
    place, index = code.args
    raw = [
        builder.load(_build.gep_inbounds(builder, place, 0, number))
        for number in range(len(frame.elements))
    ]
    packer = context.get_arg_packer(descriptor.argtypes)
    values = [
        _borrowed(context, builder, kind, value)
        for kind, value in zip(
            descriptor.argtypes, packer.from_arguments(builder, tuple(raw)), strict=True
        )
    ]
    values[0] = builder.insert_value(values[0], index, 0)
    status, _ = context.call_conv.call_function(
        builder, inner, descriptor.restype, descriptor.argtypes, values
    )
    builder.ret(builder.select(status.is_error, _STATUS(1), _STATUS(0)))
    return code


def _handing(context: Any, module: Any, descriptor: Any, inner: Any) -> Any:
    """Return a function like `inner` that runs one part, or hands out all of them.

    Its arguments lie in its own frame, one number or pointer each, for all parts to read.
    """
    found = ir.Function(module, inner.function_type, f"{descriptor.llvm_func_name}.parts")
    builder = ir.IRBuilder(found.append_basic_block())
    raw = context.call_conv.get_arguments(found)
    frame = ir.LiteralStructType([argument.type for argument in raw])
    data = _build.alloca_once(builder, frame)
    for number, argument in enumerate(raw):
        builder.store(argument, _build.gep_inbounds(builder, data, 0, number))
    code = _one_part(context, module, descriptor, inner, frame)
    packer = context.get_arg_packer(descriptor.argtypes)
    part = packer.from_arguments(builder, tuple(raw))[0]
    index, count, _, shared = [builder.extract_value(part, number) for number in range(4)]
    handing = hand_out.overloads[_HANDED]
    kind = context.call_conv.get_function_type(handing.fndesc.restype, handing.fndesc.argtypes)
    called = _build.get_or_insert_function(module, kind, _SYMBOL)
    addresses = [builder.ptrtoint(each, _WORD) for each in (code, data)]
    status, failed = context.call_conv.call_function(
        builder, called, handing.fndesc.restype, _HANDED, [*addresses, index, count, shared]
    )
    wrong = builder.or_(status.is_error, builder.icmp_signed("!=", failed, failed.type(0)))
    with builder.if_then(wrong, likely=False):
        message = ("a part of this run failed, most likely for want of memory",)
        context.call_conv.return_user_exc(builder, MemoryError, message)
    builder.store(_build.get_null_value(found.args[0].type.pointee), found.args[0])
    context.call_conv._return_errcode_raw(builder, _calls.RETCODE_NONE)
    return found


def _is_part(kind: Any) -> bool:
    return isinstance(kind, _types.BaseTuple) and kind.types == _PART


@cache
def _handing_context(context: Any) -> Any:
    """Return a target context whose wrappers for Python call what hands out parts."""

    def create_wrapper(
        library: Any, descriptor: Any, environment: Any, helper: Any, release_gil: bool = False
    ) -> None:
        module = context.create_module("wrapper")
        kind = context.call_conv.get_function_type(descriptor.restype, descriptor.argtypes)
        inner = ir.Function(module, kind, descriptor.llvm_func_name)
        begins_with_part = descriptor.argtypes[:1] and _is_part(descriptor.argtypes[0])
        called = _handing(context, module, descriptor, inner) if begins_with_part else inner
        _wrapper(
            context, module, called, descriptor, environment, helper, release_gil=release_gil
        ).build()
        library.add_ir_module(module)

    found = copy.copy(context)
    found.create_cpython_wrapper = create_wrapper
    return found


class _PartRoutine(Routine):
    """A routine that begins with a part, and can hand out all parts of a run."""

    def outer_context(self, context: Any) -> Any:
        """Return the target context whose wrapper hands out parts."""
        return _handing_context(context)

    def compile(self, signature: Any) -> Any:
        """Compile for argument types, or find what was compiled, and return its entry point."""
        publish()
        return super().compile(signature)


driver = decorator(kind=_PartRoutine if native.SLEEP else Routine)
