"""A team of threads that compiled code hands its parts to, and that sleep in between.

`entry(routine)` is a routine that Python calls once for all parts: it hands the address of
the routine and of the arguments to every worker and runs part 0 itself. A worker takes a place on
a processor of its own, runs its part, and waits for the next: it spins for a while, as a training
loop comes back soon, and then asks the operating system to wake it.

Why not threads that Python hands jobs to (`threads.py`, which serves where this cannot): each would
need the interpreter lock and unpack all arguments for itself, one after the other. That took as
long as dozens of time steps.

Why places: an operating system likes to wake a thread on the processor of the one that woke it,
which is about to wait, it thinks. Ours is not: two threads that share a processor take turns at
every barrier of every step, while other processors idle. A worker moves only where two have met,
and the caller stays where it is only while the run lasts.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gatewright.runtime.cpu import native
from gatewright.runtime.cpu.compiled import OPTIONS, device, driver
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
from gatewright.runtime.cpu.parts import SPINS
from gatewright.runtime.cpu.routine import Routine
from gatewright.runtime.engine import Plan

_build: Any = cgutils
_types: Any = types
_WORD, _STATUS = ir.IntType(64), ir.IntType(32)
_SEATS = native.SEATS

# The numbers of a team, in rows of two cache lines. The first rows are sets of processors, a bit
# each: those taken by the run, and those allowed. Then every thread has a row for a set it moves
# to, and one for its state and its job.
_ROW = 16
_BYTES = 8 * _ROW
_TAKEN, _ALLOWED, _FIRST = 0, _ROW, 2 * _ROW
_STATE, _CODE, _DATA, _FAILED = range(4)
_IDLE, _BUSY, _ASLEEP, _STOP = range(4)
# How often a worker looks for its next job before it sleeps: about half a millisecond.
_LINGER = 20_000


@device
def _mask(index: int) -> int:
    """Return where the row of a thread's set of processors begins."""
    return _FIRST + 2 * index * _ROW


@device
def _slot(index: int) -> int:
    """Return where the row of a thread's state begins."""
    return _FIRST + (2 * index + 1) * _ROW


@device
def _move(team: Any, index: int, place: int) -> None:
    """Let the calling thread run on one processor alone, or on all free ones if there is none."""
    mask = _mask(index)
    for word in range(_ROW):
        team[mask + word] = team[_ALLOWED + word] & ~read(team, word)
    if place >= 0:
        for word in range(_ROW):
            team[mask + word] = 0
        team[mask + place // 64] = np.int64(1) << np.int64(place % 64)
    allow(team, mask, _BYTES)


@device
def _take(team: Any) -> bool:
    """Take the processor that the calling thread is on; return whether it was free."""
    place = processor()
    bit = np.int64(1) << np.int64(place % 64)
    return not set_bits(team, place // 64, bit) & bit


@device
def _sit_first(team: Any) -> None:
    """Give the calling thread of a run its processor, before all others."""
    for word in range(_ROW):
        team[_TAKEN + word] = 0
        team[_ALLOWED + word] = 0
    if allowed(team, _ALLOWED, _BYTES) >= 0:
        _take(team)
        _move(team, 0, processor())


@device
def _sit(team: Any, index: int) -> None:
    """Give a worker a processor that no other thread of the run is on, if there is one."""
    if not _take(team):
        free = 0
        for word in range(_ROW):
            free |= team[_ALLOWED + word] & ~read(team, word)
        if free:
            _move(team, index, -1)
            _take(team)


def _outlined(routine: Routine) -> Any:
    """Return what gives the addresses of code that runs one part of a routine, and its arguments.

    The arguments lie in the frame of the function that calls it.
    """

    @intrinsic
    def addresses(typing: Any, part: Any, arguments: Any) -> Any:
        called: Any = _types.Dispatcher(routine).get_call_type(typing, (part, *arguments.types), {})

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            compiled = routine.overloads[called.args]
            context.add_linking_libs([compiled.library])
            given = [values[0], *_build.unpack_tuple(builder, values[1])]
            frame = ir.LiteralStructType([value.type for value in given])
            data = _build.alloca_once(builder, frame)
            for number, value in enumerate(given):
                builder.store(value, _build.gep_inbounds(builder, data, 0, number))
            code = _code(context, builder.module, compiled.fndesc, called, frame)
            found = [builder.ptrtoint(each, _WORD) for each in (code, data)]
            return _build.pack_array(builder, found)

        return _types.UniTuple(types.int64, 2)(part, arguments), codegen

    return addresses


def _borrowed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return a value whose arrays nobody counts references to.

    The caller holds them while the run lasts, and counters that all threads write to would cost
    more than a product.
    """
    if isinstance(kind, types.Array):
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


def _code(context: Any, module: Any, descriptor: Any, inner: Any, frame: Any) -> Any:
    """Return a function of a pointer to a frame and a part's index that returns 0 for success."""
    shape = ir.FunctionType(_STATUS, [frame.as_pointer(), _WORD])
    code = ir.Function(module, shape, module.get_unique_name("part"))
    code.linkage = "internal"
    builder = ir.IRBuilder(code.append_basic_block())
    place, index = code.args
    values = []
    for number, kind in enumerate(inner.args):
        value = builder.load(_build.gep_inbounds(builder, place, 0, number))
        values.append(_borrowed(context, builder, kind, value))
    values[0] = builder.insert_value(values[0], index, 0)
    status, _ = context.call_internal_no_propagate(builder, descriptor, inner, values)
    builder.ret(builder.select(status.is_error, _STATUS(1), _STATUS(0)))
    return code


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


@driver
def _hand_out(team: Any, threads: int, code: int, data: int) -> Any:
    """Run all parts, by the addresses of their code and its arguments; return how many failed."""
    if _SEATS and threads > 1:
        _sit_first(team)
    for index in range(1, threads):
        slot = _slot(index)
        team[slot + _CODE], team[slot + _DATA], team[slot + _FAILED] = code, data, 0
        if exchange(team, slot, _BUSY) == _ASLEEP:
            wake(team, slot)
    failed = _run(code, data, 0)
    for index in range(1, threads):
        slot = _slot(index)
        spins = 0
        while read(team, slot) == _BUSY:
            spins += 1
            if spins > SPINS:
                yield_processor()
        failed += team[slot + _FAILED]
    if _SEATS and threads > 1:
        allow(team, _ALLOWED, _BYTES)
    return failed


@driver
def _serve(team: Any, index: int) -> None:
    """Run the parts that are handed to a worker until it is told to stop."""
    slot = _slot(index)
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


@lru_cache(1024)
def entry(routine: Routine) -> Any:
    """Return the routine that runs all parts of one: `(team, part 0, *arguments)` -> failures."""

    addresses = _outlined(routine)

    def everyone(team, part, *arguments):  # type: ignore[no-untyped-def]
        code, data = addresses(part, arguments)
        return _hand_out(team, part[1], code, data)

    return Routine(everyone, targetoptions=OPTIONS, owner=routine)


class Team:
    """So many threads: the calling one, and workers that end with `stop`."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._numbers = np.zeros(_FIRST + 2 * threads * _ROW, np.int64)
        self._workers = [
            threading.Thread(
                target=_serve, args=(self._numbers, index), daemon=True, name="gatewright"
            )
            for index in range(1, threads)
        ]
        for worker in self._workers:
            worker.start()

    def run(self, routine: Routine, plan: Plan, shared: Any, arguments: Any) -> None:
        """Run all parts of a plan with at most this many threads.

        Raises MemoryError if a part failed: compiled code fails for nothing else.
        """
        part = (0, plan.threads, int(plan.by_units), shared)
        if entry(routine)(self._numbers, part, *arguments):
            raise MemoryError("a thread of this run could not get the memory it needed")

    def stop(self) -> None:
        """Let all workers end."""
        for index in range(1, self.threads):
            place = _FIRST + (2 * index + 1) * _ROW + _STATE
            self._numbers[place] = _STOP
            native.wake_from_python(self._numbers, place)
        for worker in self._workers:
            worker.join()
