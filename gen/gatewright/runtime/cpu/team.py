"""A team of threads that compiled code hands its parts to, and that sleep in between.

A `driver` is a routine that begins with a part. Called by Python for one part, it runs that; for
the part with index `EVERYONE`, it hands the addresses of its code and of its arguments to every
worker of a team and runs part 0 itself. A worker takes a place on a processor of its own, runs its
part, and waits for the next: it spins for a while, as a training loop comes back soon, and then
asks the operating system to wake it.

Why not threads that Python hands jobs to (`threads.py`, which serves where this cannot): each would
need the interpreter lock and unpack all arguments for itself, one after the other. That took as
long as dozens of time steps.

Why places: an operating system likes to wake a thread on the processor of the one that woke it,
which is about to wait, it thinks. Ours is not: two threads that share a processor take turns at
every barrier of every step, while other processors idle. A worker moves only where two have met,
and the caller stays where it is only while the run lasts.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import callconv, callwrapper, cgutils
from numba.extending import intrinsic

from gatewright.runtime.cpu import native
from gatewright.runtime.cpu.compiled import decorator, device, plain
from gatewright.runtime.cpu.native import (
    allow,
    allowed,
    exchange,
    pause,
    processor,
    read,
    replace,
    set_bits,
    sleep,
    wake,
    yield_processor,
)
from gatewright.runtime.cpu.parts import LINE, SPINS
from gatewright.runtime.cpu.routine import Routine
from gatewright.runtime.engine import Plan

_build: Any = cgutils
_types: Any = types
_calls: Any = callconv
_wrapper: Any = callwrapper.PyCallWrapper
_WORD, _STATUS = ir.IntType(64), ir.IntType(32)
_SEATS = native.SEATS

# The index of a part that stands for all parts.
EVERYONE = -1
# The numbers of a team, in rows of two cache lines: first the counters of `meet`, among them where
# the other rows begin. Those are sets of processors, a bit each, taken by the run and allowed, and
# for every thread a set that it moves to, and its state and job.
_ROW = LINE
_BYTES = 8 * _ROW
_BEGIN, _STATE, _CODE, _DATA, _FAILED = 1, 0, 1, 2, 3
_IDLE, _BUSY, _ASLEEP, _STOP = range(4)
# How often a worker looks for its next job before it sleeps: about half a millisecond.
_LINGER = 20_000


@device
def _taken(team: Any) -> int:
    """Return where the row of the processors begins that are taken."""
    return team[_BEGIN]  # type: ignore[no-any-return]


@device
def _allowed(team: Any) -> int:
    """Return where the row of the processors begins that are allowed."""
    return team[_BEGIN] + _ROW  # type: ignore[no-any-return]


@device
def _mask(team: Any, index: int) -> int:
    """Return where the row of a thread's set of processors begins."""
    return team[_BEGIN] + (2 + 2 * index) * _ROW  # type: ignore[no-any-return]


@device
def _slot(team: Any, index: int) -> int:
    """Return where the row of a thread's state begins."""
    return team[_BEGIN] + (3 + 2 * index) * _ROW  # type: ignore[no-any-return]


@device
def _free(team: Any, word: int) -> int:
    """Return the processors of a word of bits that are allowed and not taken."""
    return team[_allowed(team) + word] & ~read(team, _taken(team) + word)  # type: ignore[no-any-return]


@device
def _take(team: Any) -> bool:
    """Take the processor that the calling thread is on; return whether it was free."""
    place = processor()
    bit = np.int64(1) << np.int64(place % 64)
    return not set_bits(team, _taken(team) + place // 64, bit) & bit


@device
def _sit_first(team: Any) -> None:
    """Give the calling thread of a run its processor, before all others."""
    for word in range(_ROW):
        team[_taken(team) + word] = team[_allowed(team) + word] = 0
    if allowed(team, _allowed(team), _BYTES) >= 0:
        place, mask = processor(), _mask(team, 0)
        for word in range(_ROW):
            team[mask + word] = 0
        team[mask + place // 64] = np.int64(1) << np.int64(place % 64)
        allow(team, mask, _BYTES)
        _take(team)


@device
def _sit(team: Any, index: int) -> None:
    """Give a worker a processor that no other thread of the run is on, if there is one."""
    if not _take(team):
        mask, found = _mask(team, index), 0
        for word in range(_ROW):
            team[mask + word] = _free(team, word)
            found |= team[mask + word]
        if found:
            allow(team, mask, _BYTES)
            _take(team)


@intrinsic
def _run_part(typing: Any, code: Any, data: Any, index: Any) -> Any:
    """Run one part, by the addresses of its code and arguments; return 0 for success."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shape = ir.FunctionType(_STATUS, [_WORD.as_pointer(), _WORD])
        place = builder.inttoptr(arguments[0], shape.as_pointer())
        frame = builder.inttoptr(arguments[1], _WORD.as_pointer())
        return builder.call(place, [frame, arguments[2]])

    return types.int32(types.int64, types.int64, types.int64), codegen


_run: Any = _run_part


@plain
def _hand_out(code: int, data: int, index: int, threads: int, team: Any) -> Any:
    """Run one part or all, by the addresses of code and arguments; return how many failed."""
    if index != EVERYONE or threads == 1:
        return _run(code, data, max(index, 0))
    for thread in range(threads + 1):
        team[thread * LINE] = 0
    if _SEATS:
        _sit_first(team)
    for index in range(1, threads):
        slot = _slot(team, index)
        team[slot + _CODE], team[slot + _DATA], team[slot + _FAILED] = code, data, 0
        if exchange(team, slot, _BUSY) == _ASLEEP:
            wake(team, slot)
    failed = _run(code, data, 0)
    for index in range(1, threads):
        slot = _slot(team, index)
        spins = 0
        while read(team, slot) == _BUSY:
            spins += 1
            if spins > SPINS:
                yield_processor()
        failed += team[slot + _FAILED]
    if _SEATS:
        allow(team, _allowed(team), _BYTES)
    return failed


@plain
def _serve(team: Any, index: int) -> None:
    """Run the parts that are handed to a worker until it is told to stop."""
    slot = _slot(team, index)
    while True:
        spins = 0
        while read(team, slot) == _IDLE:
            pause()
            spins += 1
            if spins > _LINGER and replace(team, slot, _IDLE, _ASLEEP):
                while read(team, slot) == _ASLEEP:
                    sleep(team, slot, _ASLEEP)
        if read(team, slot) == _STOP:
            return
        if _SEATS:
            _sit(team, index)
        team[slot + _FAILED] = _run(team[slot + _CODE], team[slot + _DATA], index)
        exchange(team, slot, _IDLE)


_NUMBERS = _types.Array(_types.int64, 1, "C")
_PART = (_types.int64, _types.int64, _types.int64, _NUMBERS)
_HANDED = (*[_types.int64] * 4, _NUMBERS)
_SYMBOL = "gatewright_hand_out"


@cache
def _publish() -> None:
    """Let compiled code find `_hand_out` by name, so that not every driver takes it in."""
    _hand_out.compile(_HANDED)
    compiled = _hand_out.overloads[_HANDED]
    name = compiled.fndesc.llvm_func_name
    llvm.add_symbol(_SYMBOL, compiled.library.get_pointer_to_function(name))


def _borrowed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return a value whose arrays nobody counts references to.

    Python holds them while the call lasts, and counters that all threads write to would cost more
    than a product.
    """
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
    handing = _hand_out.overloads[_HANDED]
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
        _publish()
        return super().compile(signature)


driver = decorator(kind=_PartRoutine if native.SLEEP else Routine)


class Team:
    """So many threads: the calling one, and workers that end with `stop`."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._begin = (threads + 1) * LINE
        self._numbers = np.zeros(self._begin + (2 + 2 * threads) * _ROW, np.int64)
        self._numbers[_BEGIN] = self._begin
        self._workers = [
            threading.Thread(
                target=_serve, args=(self._numbers, index), daemon=True, name="gatewright"
            )
            for index in range(1, threads)
        ]
        for worker in self._workers:
            worker.start()

    def run(self, driver: Callable[..., Any], plan: Plan, arguments: Sequence[Any]) -> None:
        """Run all parts of a plan with at most this many threads.

        Raises MemoryError if a part failed: compiled code fails for nothing else.
        """
        driver((EVERYONE, plan.threads, int(plan.by_units), self._numbers), *arguments)

    def stop(self) -> None:
        """Let all workers end."""
        for index in range(1, self.threads):
            place = self._begin + (3 + 2 * index) * _ROW + _STATE
            self._numbers[place] = _STOP
            native.wake_from_python(self._numbers, place)
        for worker in self._workers:
            worker.join()
