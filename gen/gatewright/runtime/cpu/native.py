"""What compiled code asks of the processor and the operating system: atomic numbers, sleep, places.

Functions of the operating system are called by names of ours. Numba would write their addresses
into the code, which are others in every process, and machine code is kept on disk.

Where a system has no such function, `SLEEP` or `SEATS` is false, and nothing here may be called
that needs it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_build: Any = cgutils
_WORD, _INT = ir.IntType(64), ir.IntType(32)
_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")
_libc: Any = None if os.name == "nt" else ctypes.CDLL(None)
# The number of the system call that sleeps on a word of memory; no library gives it a name.
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0)
_WAIT, _WAKE = 128, 129

SLEEP = sys.platform == "linux" and sys.byteorder == "little" and bool(_FUTEX)
SEATS = SLEEP and all(
    hasattr(_libc, name) for name in ("sched_getcpu", "sched_getaffinity", "sched_setaffinity")
)


def _named(name: str, function: Any) -> str:
    """Return the name by which compiled code finds a function of the operating system."""
    symbol = f"gatewright_{name}"
    llvm.add_symbol(symbol, ctypes.cast(function, ctypes.c_void_p).value)
    return symbol


if os.name == "nt":
    _YIELD = _named("yield", ctypes.windll.kernel32.SwitchToThread)  # type: ignore[attr-defined,unused-ignore]
else:
    _YIELD = _named("yield", _libc.sched_yield)
if SLEEP:
    _named("syscall", _libc.syscall)
if SEATS:
    for _name in ("sched_getcpu", "sched_getaffinity", "sched_setaffinity"):
        _named(_name, getattr(_libc, _name))


def _call(builder: Any, symbol: str, arguments: list[Any], kind: Any = _INT) -> Any:
    shape = ir.FunctionType(kind, [argument.type for argument in arguments])
    return builder.call(_build.get_or_insert_function(builder.module, shape, symbol), arguments)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Return a pointer to a number of an array of int64."""
    data = _build.create_struct_proxy(kind)(context, builder, array).data
    return builder.gep(data, [index])


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.ptrtoint(_place(context, builder, kind, array, index), _WORD)


@intrinsic
def _yield_processor(typing: Any) -> Any:
    """Let the operating system run another thread."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, _YIELD, [])

    return types.int32(), codegen


@intrinsic
def _pause(typing: Any) -> Any:
    """Tell the processor that this thread waits for another."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _X86:
            _call(builder, "llvm.x86.sse2.pause", [], ir.VoidType())
        return _INT(0)

    return types.int32(), codegen


@intrinsic
def _add_one(typing: Any, array: Any, index: Any) -> Any:
    """Add 1 to a number that several threads add to."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], *arguments)
        return builder.atomic_rmw("add", place, _WORD(1), "acq_rel")

    return types.int64(array, types.intp), codegen


@intrinsic
def _set_bits(typing: Any, array: Any, index: Any, bits: Any) -> Any:
    """Set bits of a number and return what it was."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], *arguments[:2])
        return builder.atomic_rmw("or", place, arguments[2], "acq_rel")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def _exchange(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a number, after all that was written before it, and return what it was."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], *arguments[:2])
        return builder.atomic_rmw("xchg", place, arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def _replace(typing: Any, array: Any, index: Any, expected: Any, value: Any) -> Any:
    """Write a number where the expected one stands; return whether it stood there."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], *arguments[:2])
        found = builder.cmpxchg(place, *arguments[2:], "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(array, types.intp, types.int64, types.int64), codegen


@intrinsic
def _read(typing: Any, array: Any, index: Any) -> Any:
    """Read a number so that what others wrote before writing it is seen."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(array, types.intp), codegen


@intrinsic
def _sleep(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Sleep until woken, unless the number, which fits 32 bits, is another than `value`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _address(context, builder, signature.args[0], *arguments[:2])
        call = [_WORD(_FUTEX), word, _WORD(_WAIT), arguments[2], _WORD(0)]
        _call(builder, "gatewright_syscall", call, _WORD)
        return _INT(0)

    return types.int32(array, types.intp, types.int64), codegen


@intrinsic
def _wake(typing: Any, array: Any, index: Any) -> Any:
    """Wake the thread that sleeps on a number."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _address(context, builder, signature.args[0], *arguments)
        call = [_WORD(_FUTEX), word, _WORD(_WAKE), _WORD(1)]
        _call(builder, "gatewright_syscall", call, _WORD)
        return _INT(0)

    return types.int32(array, types.intp), codegen


@intrinsic
def _processor(typing: Any) -> Any:
    """Return the number of the processor that this thread is on."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(_call(builder, "gatewright_sched_getcpu", []), _WORD)

    return types.int64(), codegen


def _affinity(symbol: str) -> Any:
    def typed(typing: Any, array: Any, index: Any, size: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            mask = _address(context, builder, signature.args[0], *arguments[:2])
            found = _call(builder, symbol, [_INT(0), arguments[2], mask])
            return builder.sext(found, _WORD)

        return types.int64(array, types.intp, types.intp), codegen

    return typed


@intrinsic
def _allowed(typing: Any, array: Any, index: Any, size: Any) -> Any:
    """Write the `size` bytes that say on which processors this thread may be; below 0: unknown."""
    return _affinity("gatewright_sched_getaffinity")(typing, array, index, size)


@intrinsic
def _allow(typing: Any, array: Any, index: Any, size: Any) -> Any:
    """Say in `size` bytes on which processors this thread may be; below 0: refused."""
    return _affinity("gatewright_sched_setaffinity")(typing, array, index, size)


def wake_from_python(array: Any, index: int) -> None:
    """Wake the thread that sleeps on a number."""
    _libc.syscall(_FUTEX, ctypes.c_void_p(array.ctypes.data + 8 * index), _WAKE, 1)


# Numba's types know intrinsics only as they were before it replaced them.
add_one: Any = _add_one
allow: Any = _allow
allowed: Any = _allowed
exchange: Any = _exchange
pause: Any = _pause
processor: Any = _processor
read: Any = _read
replace: Any = _replace
set_bits: Any = _set_bits
sleep: Any = _sleep
wake: Any = _wake
yield_processor: Any = _yield_processor
