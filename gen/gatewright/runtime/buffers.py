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
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# Smaller arrays are cheap to make; a buffer unused for this many requests is given up.
SMALLEST = 1 << 16
PATIENCE = 400
ALIGNMENT = 64
# Arrays whose sizes are powers of two would all begin in the same set of the first-level cache,
# which a loop over twenty of them then fights for: each begins so many bytes further on.
STAGGER = 5 * ALIGNMENT


def _references(held: tuple[Array]) -> int:
    """Return how many references there are to the array of a tuple."""
    return max(map(sys.getrefcount, held))


# What it returns where nothing but the tuple does: versions of Python count differently.
_ALONE = _references((np.empty(0),))


class Buffers:
    """A pool of byte buffers by size; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, list[tuple[tuple[Array], int]]] = {}
        self._clock = 0

    def arrays(self, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, Array]:
        """Return arrays with unspecified contents in one buffer, each on a cache line's start."""
        kind = np.dtype(dtype)
        starts, end = _placed(tuple(shapes.values()), kind.itemsize)
        if end < SMALLEST:
            return _views(np.empty(end + ALIGNMENT, np.uint8), shapes, starts, kind)
        with self._lock:
            self._clock += 1
            buffer = self._free(end)
            # A view refers to the buffer, which is thereby taken before the lock is released.
            return _views(buffer, shapes, starts, kind)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return one array with unspecified contents, on a cache line's start."""
        return self.arrays({"": shape}, dtype)[""]

    def _free(self, size: int) -> Array:
        found = self._known.setdefault(size, [])
        for index, (held, _) in enumerate(found):
            if _references(held) <= _ALONE:
                found[index] = (held, self._clock)
                return held[0]
        self._forget()
        buffer = np.empty(size + ALIGNMENT, np.uint8)
        self._known.setdefault(size, []).append(((buffer,), self._clock))
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


@lru_cache(1024)
def _placed(shapes: tuple[tuple[int, ...], ...], size: int) -> tuple[tuple[int, ...], int]:
    """Return at which byte each array begins, and where the last one ends."""
    starts, end = [], 0
    for shape in shapes:
        starts.append(end)
        end += -(-prod(shape) * size // ALIGNMENT) * ALIGNMENT + STAGGER
    return tuple(starts), end


def _views(
    buffer: Array,
    shapes: Mapping[str, tuple[int, ...]],
    starts: tuple[int, ...],
    kind: np.dtype[Any],
) -> dict[str, Array]:
    """Return the arrays in a buffer; no vector of an aligned array straddles two cache lines."""
    first = -buffer.ctypes.data % ALIGNMENT
    return {
        name: np.ndarray(shape, kind, buffer, first + start)
        for (name, shape), start in zip(shapes.items(), starts, strict=True)
    }


buffers = Buffers()
