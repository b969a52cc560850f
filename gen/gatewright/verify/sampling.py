"""Cell -> Case: the sizes, values and cotangents at which a cell is checked.

Dimensions get different primes, so that a transposition is a shape error or a wrong number. Three
regimes: `ordinary`, `saturated` (parameters four times as large, so that gates reach their ends)
and `tiny` (everything a ten-thousandth). Samples keep away from kinks by a margin that the step
chooses. All numbers follow from the cell's name and the step's.

Why resampling and not clipping: moving single values off a kink would correlate them; a fresh draw
keeps every sample a plain random one, and the number of draws is bounded.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewright.language.cell import Cell
from gatewright.language.equation import parse
from gatewright.language.expression import Call, Expr, Name, substitute, walk
from gatewright.language.functions import FUNCTIONS
from gatewright.runtime.kernels import Gradients, Kernels, Run
from gatewright.verify.interpret import Array, evaluate
from gatewright.verify.reference import cell_values, evaluate_cell
from gatewright.verify.verdict import UndecidedError

Arrays = dict[str, Array]
REGIMES: dict[str, float] = {"ordinary": 1.0, "saturated": 4.0, "tiny": 1e-4}
KNOWN_PRIMES = {"hidden": 3, "input": 5}
FURTHER_PRIMES = (7, 11, 13, 17, 19, 23)
BATCH, STEPS, TRIES = 2, 3, 200
# After so many draws without success, parameters are drawn smaller: some cells grow without bound.
PATIENCE, SHRINK, LARGEST = 25, 0.7, 1e6


@dataclass(frozen=True)
class Case:
    """Arguments of one run and the cotangents of its outputs."""

    inputs: Arrays
    states: Arrays
    parameters: Arrays
    ct_y: Array
    ct_state: Arrays

    @property
    def tensors(self) -> Arrays:
        """Every array that has a gradient, by name."""
        return {**self.inputs, **self.states, **self.parameters}

    def moved(self, tensors: Mapping[str, Array]) -> Case:
        """Return the case with some of its tensors replaced."""

        def new(arrays: Arrays) -> Arrays:
            return {name: tensors.get(name, array) for name, array in arrays.items()}

        return replace(
            self,
            inputs=new(self.inputs),
            states=new(self.states),
            parameters=new(self.parameters),
        )

    def only(self, output: str) -> Case:
        """Return the case with the cotangent of one output (`y` or a state), zeros elsewhere."""
        ct_state = {
            name: array if name == output else np.zeros_like(array)
            for name, array in self.ct_state.items()
        }
        ct_y = self.ct_y if output == "y" else np.zeros_like(self.ct_y)
        return replace(self, ct_y=ct_y, ct_state=ct_state)

    def cast(self, dtype: str) -> Case:
        """Return the case in another precision."""

        def new(arrays: Arrays) -> Arrays:
            return {name: np.asarray(array, dtype) for name, array in arrays.items()}

        return Case(
            new(self.inputs),
            new(self.states),
            new(self.parameters),
            np.asarray(self.ct_y, dtype),
            new(self.ct_state),
        )


def prime_sizes(cell: Cell) -> dict[str, int]:
    """Return a different small prime for every dimension of a cell."""
    further = iter(FURTHER_PRIMES)
    return {dim: KNOWN_PRIMES.get(dim) or next(further) for dim in cell.dims}


def sample(
    cell: Cell,
    step: str,
    *,
    regime: str = "ordinary",
    batch: int = BATCH,
    steps: int = STEPS,
    sizes: Mapping[str, int] | None = None,
    margin: float = 1e-7,
    contraction: float = 1.0,
) -> Case:
    """Return a float64 case whose values are finite and whose kinks are further than `margin`.

    `contraction` scales the parameters of long sequences. Raises UndecidedError if no draw will do.
    """
    words = [zlib.crc32(text.encode()) for text in (cell.identifier, step, regime)]
    known = dict(sizes or prime_sizes(cell))
    for attempt in range(TRIES):
        rng = np.random.default_rng([*words, batch, steps, attempt])
        smaller = contraction * SHRINK ** (attempt // PATIENCE)
        case = _draw(cell, rng, known, batch, steps, REGIMES[regime], smaller)
        if _distance(cell, case) > margin * min(REGIMES[regime], 1.0) ** 2:
            return case
    raise UndecidedError(
        f"no sample in {TRIES} draws is finite and further than {margin:g} from kinks"
    )


def _draw(
    cell: Cell,
    rng: np.random.Generator,
    sizes: Mapping[str, int],
    batch: int,
    steps: int,
    scale: float,
    contraction: float,
) -> Case:
    values = min(scale, 1.0)

    def normal(*shape: int) -> Array:
        return np.asarray(rng.standard_normal(shape))

    parameters = {}
    for variable in cell.parameters:
        shape = tuple(sizes[dim] for dim in variable.dims)
        spread = 1.1 / np.sqrt(shape[-1]) if len(shape) == 2 else 0.6
        parameters[variable.name] = np.asarray(normal(*shape) * spread * scale * contraction)
    inputs = {
        variable.name: normal(steps, batch, *(sizes[dim] for dim in variable.dims)) * values
        for variable in cell.inputs
    }
    shapes = {variable.name: (batch, sizes[variable.dims[0]]) for variable in cell.states}
    states = {name: normal(*shape) * values * 0.8 for name, shape in shapes.items()}
    width = sizes[output_dim(cell)]
    ct_state = {name: normal(*shape) * values for name, shape in shapes.items()}
    return Case(inputs, states, parameters, normal(steps, batch, width) * values, ct_state)


def output_dim(cell: Cell) -> str:
    """Return the dimension of the cell's output."""
    name = cell.output
    dims = cell.shape_of(name) or cell.shape_of(name.removesuffix("'"))
    return dims[0]


def kink_arguments(cell: Cell) -> tuple[tuple[str, Expr], ...]:
    """Return what must not be zero for the cell to have a derivative, with the function's name."""
    found = []
    for equation in cell.equations:
        for node in walk(equation.expr):
            if isinstance(node, Call) and FUNCTIONS[node.function].kink:
                found.append((node.function, _kink(node)))
    return tuple(found)


def _kink(call: Call) -> Expr:
    row = FUNCTIONS[call.function]
    known = dict(zip(row.arguments, call.arguments, strict=True))

    def replace_name(name: Name) -> Expr | None:
        return known.get(name.name)

    return substitute(parse(row.kink), replace_name)


def _distance(cell: Cell, case: Case) -> float:
    """Return the smallest magnitude of any kink argument; 0 if a value of the run is not
    finite or very large."""
    closest, state = np.inf, case.states
    kinks = kink_arguments(cell)
    for t in range(case.ct_y.shape[0]):
        now = {name: array[t] for name, array in case.inputs.items()}
        values = cell_values(cell, now, state, case.parameters)
        for _, argument in kinks:
            size = np.abs(evaluate(argument, values))
            closest = min(closest, float(size.min(initial=np.inf)))
        output, state = evaluate_cell(cell, now, state, case.parameters)
        if not all((np.abs(a) < LARGEST).all() for a in (output, *state.values())):
            return 0.0
    return closest


def run_forward(kernels: Kernels, case: Case) -> Run:
    """Run a case forward."""
    x: Any = case.inputs if len(case.inputs) > 1 else next(iter(case.inputs.values()))
    return kernels.forward(case.parameters, x, case.states)


def outputs(run: Run) -> Arrays:
    """Return the outputs and the final states of a run by name: `y`, `h'`."""
    return {"y": run.y, **{f"{name}'": array for name, array in run.state.items()}}


def run_backward(kernels: Kernels, run: Run, case: Case) -> Arrays:
    """Return every gradient of a case by the name of its tensor."""
    gradients: Gradients = kernels.backward(run, case.ct_y, case.ct_state)
    names = tuple(case.inputs)
    inputs = dict(gradients.x) if len(names) > 1 else {names[0]: gradients.x}
    return {**inputs, **gradients.state, **gradients.parameters}


def gradients(kernels: Kernels, case: Case) -> Arrays:
    """Return every gradient of a case by the name of its tensor."""
    return run_backward(kernels, run_forward(kernels, case), case)
