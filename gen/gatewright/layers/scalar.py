"""LoadedCell -> Unit: one scalar cell, plain numbers in and out.

    unit = gatewright.unit("lstm")
    run = unit.forward(unit.init(seed=0), [0.5, -1.0, 2.0])
    gradients = unit.backward(run, [0.0, 0.0, 1.0])

Why interpreted and in double precision: a unit is for looking at a cell, and a single number has
nothing to gain from compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np

from gatewright.layers.network import with_settings
from gatewright.loaded import LoadedCell
from gatewright.runtime.kernels import Kernels, Run
from gatewright.runtime.validate import ArgumentError, Array, checked_dict

Numbers = dict[str, float]


@dataclass(frozen=True)
class UnitRun:
    """A unit that has run: its output at every step, and its states before the first and after."""

    y: list[float]
    states: dict[str, list[float]]
    run: Run = field(repr=False)


@dataclass(frozen=True)
class UnitGradients:
    """Gradients of the inputs at every step, of the states at the start and of the parameters."""

    x: Any
    state: Numbers
    parameters: Numbers


class Unit:
    """A cell whose dimensions all have size 1."""

    def __init__(self, cell: str | PathLike[str] | LoadedCell, **settings: Any) -> None:
        self.loaded = with_settings(cell, settings)
        self._kernels: Kernels = self.loaded.compile("reference", "float64")
        self._names = tuple(each.name for each in self.loaded.cell.parameters)

    def __repr__(self) -> str:
        return f"Unit({self.loaded.cell.identifier!r})"

    def init(self, *, seed: int = 0) -> Numbers:
        """Return new parameters, drawn evenly from -1 to 1."""
        sizes = dict.fromkeys(self.loaded.cell.dims, 1)
        drawn = self.loaded.init(seed=seed, dtype="float64", **sizes)
        return {name: array.item() for name, array in drawn.items()}

    def forward(
        self,
        parameters: Mapping[str, float],
        x: Sequence[float] | Mapping[str, Sequence[float]],
        state: Mapping[str, float] | None = None,
    ) -> UnitRun:
        """Run numbers, a dict of them by name if the cell has several inputs, from states or zero.

        Raises ArgumentError for what is not a number or does not fit the cell.
        """
        cell = self.loaded.cell
        given = checked_dict("parameters", parameters, self._names)
        shapes = {each.name: (1,) * len(each.dims) for each in cell.parameters}
        arrays = {name: _array(name, given[name], shapes[name]) for name in shapes}
        inputs = x if isinstance(x, Mapping) else {cell.inputs[0].name: x}
        columns = {name: _array(name, each, (-1, 1, 1)) for name, each in inputs.items()}
        start = None
        if state is not None:
            start = {name: _array(name, each, (1, 1)) for name, each in state.items()}
        run = self._kernels.forward(arrays, columns, start)
        states = {name: array.ravel().tolist() for name, array in run.states.items()}
        return UnitRun(run.y.ravel().tolist(), states, run)

    def backward(self, run: UnitRun, ct_y: Sequence[float]) -> UnitGradients:
        """Return all gradients, given the cotangent of the output at every step."""
        found = self._kernels.backward(run.run, _array("ct_y", ct_y, (-1, 1, 1)))
        if isinstance(found.x, Mapping):
            x: Any = {name: array.ravel().tolist() for name, array in found.x.items()}
        else:
            x = found.x.ravel().tolist()
        return UnitGradients(
            x,
            {name: array.item() for name, array in found.state.items()},
            {name: array.item() for name, array in found.parameters.items()},
        )


def _array(name: str, value: object, shape: tuple[int, ...]) -> Array:
    """Return numbers as an array. Raises ArgumentError if they are none, or too many."""
    try:
        return np.asarray(value, np.float64).reshape(shape)
    except (TypeError, ValueError):
        wanted = "a list of numbers" if -1 in shape else "a number"
        raise ArgumentError(f"`{name}` must be {wanted}; got {value!r}") from None
