"""Matrix products of generated CUDA files: as few as the arrays' places in memory allow.

Operands and results are [rows, columns] arrays; weights are [M, K]. Every function writes its
targets; only `outer` with `more` reads what they held, and adds. Arrays that are neighbouring
columns of one, with matrices that are neighbouring rows of one, are multiplied as one.

Why neighbours are found by their addresses: the drivers then say what is multiplied in the words of
the cell, and a caller who gives matrices of his own, not stacked, gets the same numbers.
"""

from __future__ import annotations

from typing import Any

from gatewright.runtime.cuda.matrices import matrices_of

Array = Any


def product(operand: Array, weights: tuple[Array, ...], targets: tuple[Array, ...]) -> None:
    """Compute `targets[k][row] = weights[k] @ operand[row]` for every row and every k."""
    library = matrices_of(operand)
    for target, weight in side_by_side(targets, weights):
        library.multiply(operand, weight.T, target, False)


def product_transposed(
    operands: tuple[Array, ...], weights: tuple[Array, ...], target: Array
) -> None:
    """Compute `target[row] = sum over k of weights[k].T @ operands[k][row]` for every row."""
    library = matrices_of(target)
    for number, (operand, weight) in enumerate(side_by_side(operands, weights)):
        library.multiply(operand, weight, target, number > 0)


def outer(more: bool, lefts: tuple[Array, ...], right: Array, targets: tuple[Array, ...]) -> None:
    """Compute `targets[k] = sum over rows of lefts[k][row] outer right[row]`, or add it."""
    library = matrices_of(right)
    for left, target in side_by_side(lefts, targets):
        library.multiply(left.T, right, target, more)


def flat(array: Array, first: int, last: int) -> Array:
    """Return slabs `first` to `last` (not with it) of [slabs, B, dim] as [rows, dim]."""
    part = array[first:last]
    return part.reshape(part.shape[0] * part.shape[1], part.shape[2])


def side_by_side(
    arrays: tuple[Array, ...], matrices: tuple[Array, ...]
) -> list[tuple[Array, Array]]:
    """Return pairs of an array and a matrix, where neighbours in memory have become one.

    Array [rows, M_k] and matrix [M_k, K] of a pair belong together; the order of pairs is free.
    """
    library = matrices_of(arrays[0])
    pairs = sorted(zip(arrays, matrices, strict=True), key=lambda pair: library.address(pair[0]))
    found: list[list[tuple[Array, Array]]] = []
    for pair in pairs:
        if found and _follows(found[-1][-1], pair):
            found[-1].append(pair)
        else:
            found.append([pair])
    return [_joined(run) for run in found]


def _follows(before: tuple[Array, Array], after: tuple[Array, Array]) -> bool:
    """Tell whether an array's columns follow another's, and its matrix's rows the other's."""
    (array, matrix), (next_array, next_matrix) = before, after
    library = matrices_of(array)
    size = array.itemsize if hasattr(array, "itemsize") else array.element_size()
    stride = library.strides(array)[0]
    columns = library.address(array) + array.shape[1] * size == library.address(next_array)
    both = array.shape[1] + next_array.shape[1]
    inside = stride == library.strides(next_array)[0] and stride >= both
    rows = library.address(matrix) + matrix.shape[0] * matrix.shape[1] * size
    return columns and inside and rows == library.address(next_matrix)


def _joined(run: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    array, matrix = run[0]
    if len(run) == 1:
        return array, matrix
    library = matrices_of(array)
    width = sum(each.shape[1] for each, _ in run)
    height = sum(each.shape[0] for _, each in run)
    # A dimension of size one may have any stride, so the strides of columns are not asked for.
    wide = library.strided(array, (array.shape[0], width), (library.strides(array)[0], 1))
    high = library.strided(matrix, (height, matrix.shape[1]), (matrix.shape[1], 1))
    return wide, high
