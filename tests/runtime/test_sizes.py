"""Shapes fit together exactly where the checked kernels take arrays of these shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.runtime.kernels import Kernels
from gatewright.runtime.sizes import checked_sizes
from gatewright.runtime.validate import ArgumentError

CELLS = ("lstm", "gru", "fast_grnn", "indrnn")
SIZES = {"T": 3, "B": 2, "input": 4, "hidden": 5}


def shapes_of(kernels: Kernels) -> dict[str, tuple[int, ...]]:
    layout = kernels.layout
    wanted = {
        **{name: ("T", "B", *dims) for name, dims in layout.inputs.items()},
        **{name: ("B", *dims) for name, dims in layout.states.items()},
        **layout.parameters,
    }
    return {name: tuple(SIZES[dim] for dim in dims) for name, dims in wanted.items()}


def accepted(function: Callable[..., Any], *arguments: Any) -> bool:
    try:
        function(*arguments)
    except ArgumentError:
        return False
    return True


def run(kernels: Kernels, shapes: dict[str, tuple[int, ...]]) -> None:
    arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    inputs, state, parameters = (
        {name: arrays[name] for name in group}
        for group in (kernels.layout.inputs, kernels.layout.states, kernels.layout.parameters)
    )
    kernels.forward(parameters, inputs, state, keep=False)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_shapes_fit_where_the_kernels_take_such_arrays(
    cell: str, kernels_of: Callable[..., Kernels], data: st.DataObject
) -> None:
    kernels = kernels_of(cell)
    shapes = shapes_of(kernels)
    for _ in range(data.draw(st.integers(0, 2))):
        name = data.draw(st.sampled_from(sorted(shapes)))
        shape = list(shapes[name])
        change = data.draw(st.sampled_from(["size", "fewer", "more"])) if shape else "more"
        if change == "size":
            shape[data.draw(st.integers(0, len(shape) - 1))] = data.draw(st.integers(0, 6))
        elif change == "fewer":
            shape.pop()
        else:
            shape.append(data.draw(st.integers(1, 3)))
        shapes[name] = tuple(shape)
    fits = accepted(checked_sizes, kernels.layout, list(shapes.values()))
    assert fits == accepted(run, kernels, shapes)


def test_sizes_are_those_of_the_shapes(kernels_of: Callable[..., Kernels]) -> None:
    for cell in CELLS:
        kernels = kernels_of(cell)
        found = checked_sizes(kernels.layout, list(shapes_of(kernels).values()))
        assert {name: SIZES[name] for name in found} == found


def test_what_a_32_bit_index_could_not_reach_is_refused(
    kernels_of: Callable[..., Kernels],
) -> None:
    layout = kernels_of("lstm").layout
    shapes = shapes_of(kernels_of("lstm")) | {"x": (2**29, 2, 4)}
    with pytest.raises(ArgumentError, match="must be below 2"):
        checked_sizes(layout, list(shapes.values()))
