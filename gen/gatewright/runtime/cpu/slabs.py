"""Views of arrays [slabs, B, dim] as rows, for generated CPU files.

Why a view and not an index: sections that run for a whole chunk of time steps see rows, and need
not know that some of them are time and some are the batch.
"""

from __future__ import annotations

from typing import Any

from gatewright.runtime.cpu.compiled import device


@device
def flat(array: Any, first: int, last: int) -> Any:
    """Return slabs `first` to `last` (not with it) of [slabs, B, dim] as [rows, dim]."""
    return array[first:last].reshape(((last - first) * array.shape[1], array.shape[2]))
