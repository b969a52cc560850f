"""Arrays for sequences, taken from memory that earlier runs have given back.

A sequence needs hundreds of megabytes, and fresh memory costs a page fault and a zeroed page per
4 KiB: as much time as the products. A buffer is used again once nothing refers to it any more, not
even a view that a caller kept.

Why by reference counts and not by an explicit release: a caller may keep `run.y` for as long as it
likes, and must never find other numbers in it.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# Smaller arrays are cheap to make; a buffer unused for this many requests is given up.
SMALLEST = 1 << 16
PATIENCE = 400
ALIGNMENT = 64
# A buffer that only the pool and the two names of the search refer to is free.
_FREE = 3


class Buffers:
    """A pool of byte buffers by size; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, list[tuple[Array, int]]] = {}
        self._clock = 0

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return an array with unspecified contents, aligned to a cache line."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        if size < SMALLEST:
            return _aligned(np.empty(size + ALIGNMENT, np.uint8), size, kind).reshape(shape)
        with self._lock:
            self._clock += 1
            buffer = self._free(size)
            # The view refers to the buffer, which is thereby taken before the lock is released.
            return _aligned(buffer, size, kind).reshape(shape)

    def _free(self, size: int) -> Array:
        found = self._known.setdefault(size, [])
        for index in range(len(found)):
            buffer, _ = found[index]
            if sys.getrefcount(buffer) <= _FREE:
                found[index] = (buffer, self._clock)
                return buffer
        self._forget()
        buffer = np.empty(size + ALIGNMENT, np.uint8)
        self._known.setdefault(size, []).append((buffer, self._clock))
        return buffer

    def _forget(self) -> None:
        """Give up what has not been asked for lately; views keep what they refer to."""
        oldest = self._clock - PATIENCE
        for size, entries in list(self._known.items()):
            kept = [entry for entry in entries if entry[1] >= oldest]
            if kept:
                self._known[size] = kept
            else:
                del self._known[size]


def _aligned(buffer: Array, size: int, kind: np.dtype[Any]) -> Array:
    """Return the part of a buffer that starts on a cache line: no vector straddles two of them."""
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(kind)


buffers = Buffers()
