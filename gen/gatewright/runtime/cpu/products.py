"""Matrix products of generated CPU files: plain loops that LLVM vectorises.

Operands and results are [rows, columns] arrays, row-major and contiguous; weights are [M, K]. Every
function writes its targets and never reads them, except `outer_more`, which adds.

Why tuples: the gates of a cell share their operand, so one call sees all of them and can keep the
operand in registers for all gates.
"""

from __future__ import annotations

from typing import Any

from gatewright.runtime.cpu.compiled import dot

Array = Any


@dot
def product(operand: Array, weights: tuple[Array, ...], targets: tuple[Array, ...]) -> None:
    """Compute `targets[k][row] = weights[k] @ operand[row]` for every row and every k."""
    for k in range(len(weights)):
        weight, target = weights[k], targets[k]
        for row in range(operand.shape[0]):
            for m in range(weight.shape[0]):
                target[row, m] = 0
                total = target[row, m]
                for n in range(weight.shape[1]):
                    total += weight[m, n] * operand[row, n]
                target[row, m] = total


@dot
def product_transposed(
    operands: tuple[Array, ...], weights: tuple[Array, ...], target: Array
) -> None:
    """Compute `target[row] = sum over k of weights[k].T @ operands[k][row]` for every row."""
    target[:] = 0
    for k in range(len(weights)):
        weight, operand = weights[k], operands[k]
        for row in range(operand.shape[0]):
            for m in range(weight.shape[0]):
                factor = operand[row, m]
                for n in range(weight.shape[1]):
                    target[row, n] += weight[m, n] * factor


@dot
def outer(lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]) -> None:
    """Compute `targets[k] = sum over rows of lefts[k][row] outer right[row]`."""
    for k in range(len(targets)):
        targets[k][:] = 0
    outer_more(lefts, right, targets)


@dot
def outer_more(lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]) -> None:
    """Add to `targets[k]` the sum over rows of `lefts[k][row] outer right[row]`."""
    for k in range(len(targets)):
        left, target = lefts[k], targets[k]
        for row in range(right.shape[0]):
            for m in range(target.shape[0]):
                factor = left[row, m]
                for n in range(target.shape[1]):
                    target[m, n] += factor * right[row, n]
