"""Arrays for sequences, taken from memory that earlier runs have given back.

A sequence needs hundreds of megabytes, and fresh memory costs a page fault and a zeroed page per
4 KiB: as much time as the products. A small one needs dozens of arrays, and making them costs as
much time as a few of its steps. Arrays are used again once nothing refers to any array of their
set, not even through a view that a caller kept.

Why by reference counts and not by an explicit release: a caller may keep `run.y` for as long as it
likes, and must never find other numbers in it.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shapes = tuple[tuple[int, ...], ...]
# A set unused for this many requests is given up, and of so many of the same shapes the oldest.
PATIENCE, MOST = 1000, 16
ALIGNMENT = 64
# Arrays whose sizes are powers of two would all begin in the same set of the first-level cache,
# which a loop over twenty of them then fights for: each begins so many bytes further on.
STAGGER = 5 * ALIGNMENT


def _references(held: tuple[Array, ...]) -> int:
    """Return how many references there are to that array of a tuple which has the most."""
    return max(map(sys.getrefcount, held), default=0)


# What it returns where nothing but the tuple does: versions of Python count differently.
_ALONE = _references((np.empty(0),))


class _Set:
    """Arrays that live and die together, in one buffer."""

    def __init__(self, shapes: Shapes, dtype: str) -> None:
        kind = np.dtype(dtype)
        starts, end = [], 0
        for shape in shapes:
            starts.append(end)
            end += -(-prod(shape) * kind.itemsize // ALIGNMENT) * ALIGNMENT + STAGGER
        buffer = np.empty(end + ALIGNMENT, np.uint8)
        # No vector of an aligned array straddles two cache lines.
        first = -buffer.ctypes.data % ALIGNMENT
        self.arrays = tuple(
            np.ndarray(shape, kind, buffer, first + start)
            for shape, start in zip(shapes, starts, strict=True)
        )
        self.used = 0
        self._buffer = (buffer,)
        del buffer
        # Each array refers to the buffer, and so does each view of an array, and not to that.
        self._viewed = _references(self._buffer)

    def free(self) -> bool:
        """Tell whether nothing refers to the arrays any more."""
        return _references(self.arrays) <= _ALONE and _references(self._buffer) <= self._viewed


class Buffers:
    """A pool of sets of arrays by their shapes; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[Shapes, str], deque[_Set]] = {}
        self._clock = self._looked = 0

    def arrays(self, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, Array]:
        """Return arrays with unspecified contents in one buffer, each on a cache line's start."""
        key = (tuple(shapes.values()), dtype)
        with self._lock:
            self._clock += 1
            # The result refers to arrays, which are thereby taken before the lock is released.
            return dict(zip(shapes, self._set(key).arrays, strict=True))

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return one array with unspecified contents, on a cache line's start."""
        return self.arrays({"": shape}, dtype)[""]

    def _set(self, key: tuple[Shapes, str]) -> _Set:
        """Return a set of arrays that nobody uses."""
        for found in self._known.get(key, ()):
            if found.free():
                found.used = self._clock
                return found
        self._forget()
        found = _Set(*key)
        found.used = self._clock
        self._known.setdefault(key, deque(maxlen=MOST)).append(found)
        return found

    def _forget(self) -> None:
        """Give up what has not been asked for lately; views keep what they refer to."""
        if self._clock < self._looked + PATIENCE // 10:
            return
        self._looked, oldest = self._clock, self._clock - PATIENCE
        for key, sets in list(self._known.items()):
            kept = [each for each in sets if each.used >= oldest]
            if not kept:
                del self._known[key]
            elif len(kept) < len(sets):
                self._known[key] = deque(kept, MOST)


buffers = Buffers()
