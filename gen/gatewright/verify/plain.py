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

from gatewright.runtime.engine import PlainEngine, Plan, Work

__all__ = [
    "by_units",
    "cos",
    "device",
    "driver",
    "engine",
    "exp",
    "flat",
    "interpreted",
    "log",
    "log1p",
    "meet",
    "outer",
    "product",
    "product_transposed",
    "rows",
    "rows_of",
    "sigmoid",
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


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x)."""
    return 1 / (1 + exp(-x))


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as it is."""
    return function


rows = units = driver = device


class _OnePart(PlainEngine):
    """Calls every routine with the only part there is."""

    def plan(self, work: Work) -> Plan:
        """Return a plan with chunks of two steps, so that even a short sequence has several."""
        return Plan(1, False, 2, "the plain text")

    def run(self, routine: Callable[..., Any], arguments: Sequence[Any], plan: Plan) -> None:
        """Call the routine."""
        routine((), *arguments)


engine = _OnePart()


def wait(part: Array) -> None:
    """Wait for nobody: there is one thread."""


def meet(part: Array) -> None:
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


def outer(
    part: Array, more: bool, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]
) -> None:
    """Compute `targets[k] = sum over rows of lefts[k][row] outer right[row]`, or add it."""
    for left, target in zip(lefts, targets, strict=True):
        target[...] = target + left.T @ right if more else left.T @ right


def flat(array: Array, first: int, last: int) -> Array:
    """Return slabs `first` to `last` (not with it) of [slabs, B, dim] as [rows, dim]."""
    return array[first:last].reshape((last - first) * array.shape[1], array.shape[2])
