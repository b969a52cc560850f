"""Matrix products of generated CUDA files: one launch per weight, one thread per result.

Operands and results are [rows, columns] arrays, row-major and contiguous; weights are [M, K]. Every
function writes its targets; only `outer` with `more` reads what they held, and adds.

Why each sum starts by storing a zero: the accumulator then has the type of the array, where a
literal would be float64 and slow; the compiler removes the store and the load.
"""

from __future__ import annotations

from typing import Any

from gatewright.runtime.cuda.launch import all_rows, all_units, first_row, first_unit, rows

Array = Any


def product(operand: Array, weights: tuple[Array, ...], targets: tuple[Array, ...]) -> None:
    """Compute `targets[k][row] = weights[k] @ operand[row]` for every row and every k."""
    for weight, target in zip(weights, targets, strict=True):
        product_rows(operand, weight, target)


def product_transposed(
    operands: tuple[Array, ...], weights: tuple[Array, ...], target: Array
) -> None:
    """Compute `target[row] = sum over k of weights[k].T @ operands[k][row]` for every row."""
    launch = transposed_rows
    for operand, weight in zip(operands, weights, strict=True):
        launch(operand, weight, target)
        launch = transposed_more_rows


def outer(more: bool, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]) -> None:
    """Compute `targets[k] = sum over rows of lefts[k][row] outer right[row]`, or add it."""
    launch = outer_more_rows if more else outer_rows
    for left, target in zip(lefts, targets, strict=True):
        launch(left, right, target)


def flat(array: Array, first: int, last: int) -> Array:
    """Return slabs `first` to `last` (not with it) of [slabs, B, dim] as [rows, dim]."""
    return array[first:last].reshape((last - first) * array.shape[1], array.shape[2])


@rows
def product_rows(operand: Array, weight: Array, target: Array) -> None:
    """Compute `target[row] = weight @ operand[row]`."""
    for row in range(first_row(), target.shape[0], all_rows()):
        for unit in range(first_unit(), target.shape[1], all_units()):
            target[row, unit] = 0
            total = target[row, unit]
            for n in range(weight.shape[1]):
                total += weight[unit, n] * operand[row, n]
            target[row, unit] = total


@rows
def transposed_rows(operand: Array, weight: Array, target: Array) -> None:
    """Compute `target[row] = weight.T @ operand[row]`."""
    for row in range(first_row(), target.shape[0], all_rows()):
        for unit in range(first_unit(), target.shape[1], all_units()):
            target[row, unit] = 0
            total = target[row, unit]
            for m in range(weight.shape[0]):
                total += weight[m, unit] * operand[row, m]
            target[row, unit] = total


@rows
def transposed_more_rows(operand: Array, weight: Array, target: Array) -> None:
    """Add `weight.T @ operand[row]` to `target[row]`."""
    for row in range(first_row(), target.shape[0], all_rows()):
        for unit in range(first_unit(), target.shape[1], all_units()):
            total = target[row, unit]
            for m in range(weight.shape[0]):
                total += weight[m, unit] * operand[row, m]
            target[row, unit] = total


@rows
def outer_rows(left: Array, right: Array, target: Array) -> None:
    """Compute `target = sum over rows of left[row] outer right[row]`."""
    for m in range(first_row(), target.shape[0], all_rows()):
        for n in range(first_unit(), target.shape[1], all_units()):
            target[m, n] = 0
            total = target[m, n]
            for row in range(right.shape[0]):
                total += left[row, m] * right[row, n]
            target[m, n] = total


@rows
def outer_more_rows(left: Array, right: Array, target: Array) -> None:
    """Add the sum over rows of `left[row] outer right[row]` to `target`."""
    for m in range(first_row(), target.shape[0], all_rows()):
        for n in range(first_unit(), target.shape[1], all_units()):
            total = target[m, n]
            for row in range(right.shape[0]):
                total += left[row, m] * right[row, n]
            target[m, n] = total


KERNELS = (product_rows, transposed_rows, transposed_more_rows, outer_rows, outer_more_rows)
