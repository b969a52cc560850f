"""Arrays -> what emulated kernels see of them: pointers that check bounds, alignment and races.

Every access is held against the last ones to the same place. Two accesses, one of them a write, of
different threads are in order only if a barrier stands between them: within a block a
`syncthreads`, between blocks what one released and the other acquired. Time is counted per block,
in `syncthreads`; `seen` of a block says up to which time of every other block it has acquired.

Why races are looked for and not only wrong numbers: a missing barrier gives a wrong number under
few schedules, and a race under every one.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
WORD = 4
# The longest vector that a thread moves at once, in bytes.
VECTOR = 16
_WHOLE = (int, np.integer)


class EmulationError(AssertionError):
    """A kernel did what it must not do; the message says what and which thread."""


class Actor:
    """Who accesses memory: the block and thread that run now, and what the block has seen."""

    def __init__(self, blocks: int) -> None:
        self.block = 0
        self.thread = 0
        self.times = [1] * blocks
        self.seen = [[0] * blocks for _ in range(blocks)]
        self.acquired = [[0] * blocks for _ in range(blocks)]

    def __str__(self) -> str:
        return f"block {self.block} thread {self.thread}"

    @property
    def number(self) -> tuple[int, int]:
        """Which thread runs now."""
        return self.block, self.thread

    def synchronised(self, block: int) -> None:
        """Count a `syncthreads` of a block: all of it now knows what its threads acquired."""
        self.times[block] += 1
        self.seen[block] = list(map(max, self.seen[block], self.acquired[block]))

    def published(self) -> list[int]:
        """Return what a release of the current block tells: all before its last `syncthreads`."""
        told = list(self.seen[self.block])
        told[self.block] = self.times[self.block] - 1
        return told

    def acquire(self, told: list[int]) -> None:
        """Note what the current block learned; its threads know it after their `syncthreads`."""
        at = self.block
        self.acquired[at] = list(map(max, self.acquired[at], told))


class Memory(Protocol):
    """Something whose places have names, which only a fault asks for."""

    def named(self, index: int) -> str:
        """Return what a message calls the place of an index."""


class Accesses:
    """The last write and the reads since, of every place."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.writes: dict[int, tuple[int, int, int]] = {}
        self.reads: dict[int, dict[int, tuple[int, int]]] = {}

    def read(self, place: int, of: Memory, index: int) -> None:
        """Note a read. Raises EmulationError if nothing orders it after the last write."""
        actor = self.actor
        write = self.writes.get(place)
        if write is not None and not self._ordered(*write):
            found = f"race: {actor} reads {of.named(index)} that block {write[0]} wrote"
            raise EmulationError(found)
        block, thread = actor.block, actor.thread
        time = actor.times[block]
        reads = self.reads.get(place)
        if reads is None:
            self.reads[place] = {block: (time, thread)}
            return
        known = reads.get(block)
        several = known is not None and known[0] == time and known[1] != thread
        reads[block] = (time, -1 if several else thread)

    def write(self, place: int, of: Memory, index: int) -> None:
        """Note a write. Raises EmulationError if nothing orders it after earlier accesses."""
        actor = self.actor
        write = self.writes.get(place)
        if write is not None and not self._ordered(*write):
            found = f"race: {actor} writes {of.named(index)} that block {write[0]} wrote"
            raise EmulationError(found)
        for block, (time, thread) in self.reads.pop(place, {}).items():
            if not self._ordered(block, time, thread):
                found = f"race: {actor} writes {of.named(index)} that block {block} reads"
                raise EmulationError(found)
        self.writes[place] = (actor.block, actor.times[actor.block], actor.thread)

    def _ordered(self, block: int, time: int, thread: int) -> bool:
        actor = self.actor
        if block == actor.block:
            return thread == actor.thread or time < actor.times[block]
        return time <= actor.seen[actor.block][block]


class Pointer:
    """A pointer to an array in global memory: rows of `width` elements, `pitch` apart."""

    def __init__(self, flat: Array, name: str, width: int, pitch: int, known: Accesses) -> None:
        self.flat = flat
        self.name = name
        self.width = width
        self.pitch = pitch
        self.known = known
        self.count = len(flat)
        self.base = flat.ctypes.data
        self.size = flat.itemsize

    def __getitem__(self, index: int) -> Any:
        self.known.read(self._place(index), self, index)
        return self.flat[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self.known.write(self._place(index), self, index)
        self.flat[index] = value

    def named(self, index: int) -> str:
        """Return what a message calls an element."""
        return f"{self.name}[{index}]"

    def _place(self, index: int) -> int:
        if not isinstance(index, _WHOLE):
            raise EmulationError(f"{self.name}[{index!r}] is indexed with no whole number")
        if not 0 <= index < self.count or index % self.pitch >= self.width:
            raise EmulationError(f"{self.known.actor} leaves {self.name} with index {index}")
        return self.base + int(index) * self.size

    def several(self, index: int, count: int) -> list[Any]:
        """Return `count` elements, as one aligned load does."""
        if (self.base + int(index) * self.size) % min(VECTOR, count * self.size):
            raise EmulationError(f"{self.known.actor}: {self.name}[{index}] is not aligned")
        return [self[int(index) + k] for k in range(count)]


class Shared:
    """The shared memory of a block as an array; what nobody wrote must not be read."""

    def __init__(self, memory: SharedMemory, dtype: Any) -> None:
        self.memory = memory
        self.size = np.dtype(dtype).itemsize
        whole = len(memory.bytes) // self.size * self.size
        self.values = memory.bytes[:whole].view(dtype)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Any:
        self.memory.touch(int(index), self.size, 1, write=False)
        return self.values[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self.memory.touch(int(index), self.size, 1, write=True)
        self.values[index] = value

    def several(self, index: int, count: int) -> list[Any]:
        """Return `count` elements, as one aligned load does."""
        self.memory.touch(int(index), self.size, count, write=False)
        return list(self.values[int(index) : int(index) + count])

    def copy(self, index: int, source: Pointer, first: int, count: int) -> None:
        """Copy elements of an array, as one aligned copy does: bytes, whatever they stand for."""
        source.several(first, count)
        size = self.size
        self.memory.awaited(int(index) * size, count * size, False)
        self.memory.touch(int(index), size, count, write=True)
        given = source.flat[int(first) : int(first) + count]
        self.values[int(index) : int(index) + count].view(np.uint8)[:] = given.view(np.uint8)


class SharedMemory:
    """The bytes of shared memory of one block."""

    def __init__(self, size: int, known: Accesses) -> None:
        self.bytes = np.zeros(size, np.uint8)
        # Not an array: a few bytes of it are asked for at every access.
        self.written = bytearray(size)
        self.coming: set[int] = set()
        self.known = known
        self._arrays: dict[Any, Shared] = {}

    def array(self, dtype: Any) -> Shared:
        """Return the memory as an array of numbers of one kind."""
        found = self._arrays.get(dtype)
        if found is None:
            found = self._arrays[dtype] = Shared(self, dtype)
        return found

    def named(self, index: int) -> str:
        """Return what a message calls a byte."""
        return f"shared memory at byte {index}"

    def touch(self, index: int, size: int, count: int, write: bool) -> None:
        """Note an aligned access. Raises EmulationError outside, if unaligned, or at a race."""
        first, length = index * size, size * count
        last = first + length
        if index < 0 or last > len(self.written):
            raise EmulationError(f"{self.known.actor} leaves {self.named(first)}")
        if first % min(VECTOR, length):
            where = self.named(first)
            raise EmulationError(f"{self.known.actor}: {where} is not aligned to {length}")
        words = range(first // WORD, (last - 1) // WORD + 1)
        if self.coming and not self.coming.isdisjoint(words):
            where = self.named(first)
            raise EmulationError(f"{self.known.actor} takes {where} before a copy to it is done")
        if write:
            self.written[first:last] = b"\1" * length
        elif 0 in self.written[first:last]:
            where = self.named(first)
            raise EmulationError(f"{self.known.actor} reads {where} before anything is written")
        note = self.known.write if write else self.known.read
        for word in words:
            note(word, self, first)

    def awaited(self, first: int, length: int, begun: bool) -> None:
        """Note that a copy to so many bytes is begun, or done."""
        words = range(first // WORD, (first + length) // WORD)
        (self.coming.update if begun else self.coming.difference_update)(words)
