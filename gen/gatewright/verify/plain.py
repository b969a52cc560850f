"""Emitted text, run as plain Python: what a generated CPU file imports, without compiling anything.

`interpreted(text)` returns the text of a generated CPU file with its import turned to this module.
Loops then run row by row in Python, on NumPy scalars, which round and overflow as the kernels do.

Why plain Python: a fault seeded in a generated file is found in a second and without a compiler,
and a disagreement between this and the compiled file would be the compiler's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy import cos, exp, log, log1p, sin, sqrt, tanh

from gatewright.runtime.engine import PlainEngine, Work

__all__ = [
    "by_units",
    "cos",
    "device",
    "driver",
    "engine",
    "exp",
    "interpreted",
    "log",
    "log1p",
    "outer",
    "outer_more",
    "product",
    "product_transposed",
    "rows",
    "rows_of",
    "sin",
    "sqrt",
    "tanh",
    "units",
    "units_of",
    "wait",
]

Array = Any
_IMPORT, _PLAIN = "from gatewright.runtime.cpu import", "from gatewright.verify.plain import"


def interpreted(text: str) -> str:
    """Return a generated CPU file's text so that it runs as plain Python.

    Raises ValueError if the text imports no CPU runtime.
    """
    if _IMPORT not in text:
        raise ValueError("this is not a generated CPU file")
    return text.replace(_IMPORT, _PLAIN)


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as it is."""
    return function


rows = units = driver = device


class _OnePart(PlainEngine):
    """Calls every routine with the only part there is."""

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], work: Work) -> None:
        """Call the routine."""
        routine((), *arguments)

    run_steps = run


engine = _OnePart()


def wait(part: Array) -> None:
    """Wait for nobody: there is one thread."""


def by_units(part: Array) -> Array:
    """Return the part itself."""
    return part


def rows_of(part: Array, array: Array) -> range:
    """Return all rows of an array."""
    return range(array.shape[0])


def units_of(part: Array, array: Array) -> range:
    """Return all units of an array."""
    return range(array.shape[1])


def product(
    part: Array, operand: Array, weights: tuple[Array, ...], targets: tuple[Array, ...]
) -> None:
    """Compute `targets[k][row] = weights[k] @ operand[row]` for every row and every k."""
    for weight, target in zip(weights, targets, strict=True):
        target[...] = operand @ weight.T


def product_transposed(
    part: Array, operands: tuple[Array, ...], weights: tuple[Array, ...], target: Array
) -> None:
    """Compute `target[row] = sum over k of weights[k].T @ operands[k][row]` for every row."""
    target[...] = sum(o @ w for o, w in zip(operands, weights, strict=True))


def outer(part: Array, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]) -> None:
    """Compute `targets[k] = sum over rows of lefts[k][row] outer right[row]`."""
    for left, target in zip(lefts, targets, strict=True):
        target[...] = left.T @ right


def outer_more(
    part: Array, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]
) -> None:
    """Add to `targets[k]` the sum over rows of `lefts[k][row] outer right[row]`."""
    for left, target in zip(lefts, targets, strict=True):
        target += left.T @ right
