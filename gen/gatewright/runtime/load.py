"""Source text -> Module: execute a generated file for one precision.

A generated file says `from numpy import float64 as real`; single precision is the same text with
that one import changed. The module is executed from memory and registered with `linecache`, so a
traceback or a debugger shows its lines.

Why text and not a class per precision: what runs is exactly what a reader sees in `generated/`.
"""

from __future__ import annotations

import hashlib
import inspect
import linecache
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gatewright.runtime.layout import Layout

_REAL = "from numpy import float64 as real\n"
DTYPES = ("float32", "float64")
# Under this name a module knows its own text, by which a target may recognise it later.
TEXT = "__generated_text__"


@dataclass(frozen=True)
class Module:
    """An executed generated file: its layout, its routines by name, and the target's memory."""

    layout: Layout
    dtype: str
    target: str
    namespace: ModuleType

    def routine(self, name: str) -> Any:
        """Return `forward` or `backward`."""
        return getattr(self.namespace, name)

    def arguments(self, name: str) -> tuple[str, ...]:
        """Return the names of what a routine takes, its part left out."""
        routine = self.routine(name)
        names = tuple(inspect.signature(getattr(routine, "py_func", routine)).parameters)
        return names[1:] if names[:1] == ("part",) else names


def load_module(text: str, target: str, dtype: str) -> Module:
    """Execute the text of a generated file in the given precision.

    Raises ValueError for a dtype other than float32 and float64, or a text that is not a generated
    file.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be float32 or float64; got {dtype!r}")
    if text.count(_REAL) != 1:
        raise ValueError("this is not a generated file: it does not import `real` once")
    text = text.replace(_REAL, _REAL.replace("float64", dtype))
    name = f"<generated {target} {dtype} {hashlib.sha256(text.encode()).hexdigest()[:12]}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = ModuleType(name)
    namespace.__dict__[TEXT] = text
    code = compile(text, name, "exec")
    exec(code, namespace.__dict__)  # noqa: S102  generated and held against the allow-list
    layout = namespace.__dict__["LAYOUT"]
    return Module(layout, dtype, target, namespace)
