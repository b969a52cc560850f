"""Name -> Kernels: compile each cell once per session, since a compiler takes seconds."""

from __future__ import annotations

import functools
from typing import Any

import gatewright


@functools.cache
def compiled(name: str, dtype: str, **settings: Any) -> Any:
    """Return the CPU kernels of a cell of the catalogue."""
    return gatewright.load(name, **settings).compile(target="cpu", dtype=dtype)
