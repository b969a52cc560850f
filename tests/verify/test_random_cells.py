"""Random cells, right by construction, through the compiler: gradients against a complex step."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from gatewright.claims.translation import reverse_identities
from gatewright.language.cell import Cell
from gatewright.language.functions import FUNCTIONS
from gatewright.program.compile import Programs, compile_cell
from gatewright.verify.complex_step import exact_gradients
from gatewright.verify.reference import ReferenceKernels
from gatewright.verify.sampling import Case, gradients, sample
from gatewright.verify.verdict import UndecidedError, deviation
from tests.verify.cells import HIDDEN, make, plain, source

UNARY = (
    "sigmoid",
    "tanh",
    "relu",
    "softplus",
    "silu",
    "softsign",
    "hard_tanh",
    "abs",
    "sin",
    "cos",
)
WEIGHTS = {"W": "input", "V": "input", "U": "hidden", "R": "hidden"}


@st.composite
def expressions(draw: st.DrawFn, names: tuple[str, ...], depth: int) -> str:
    """Return an equation's right-hand side over the names given, every value of order one."""
    if depth == 0:
        return draw(st.sampled_from(names))
    inner = expressions(names, depth - 1)
    kind = draw(st.integers(0, 9))
    if kind <= 1:
        return f"({draw(inner)} + {draw(inner)})"
    if kind == 2:
        return f"({draw(inner)} - {draw(inner)})"
    if kind == 3:
        return f"(tanh({draw(inner)}) * {draw(inner)})"
    if kind == 4:
        return f"({draw(inner)} / (1 + abs({draw(inner)})))"
    if kind == 5:
        return f"{draw(st.sampled_from(('max', 'min')))}({draw(inner)}, {draw(inner)})"
    if kind == 6:
        return f"tanh({draw(inner)})^{draw(st.sampled_from((2, 3, 5)))}"
    if kind == 7:
        weight = draw(st.sampled_from(tuple(WEIGHTS)))
        return f"({weight} @ {'x' if WEIGHTS[weight] == 'input' else f'tanh({draw(inner)})'})"
    return f"{draw(st.sampled_from(UNARY))}({draw(inner)})"


def _live(lines: list[str]) -> list[str]:
    """Return the equations that a next state depends on: the reader refuses the others."""
    kept: list[str] = []
    for line in reversed(lines):
        target = line.split(" = ")[0]
        if target.endswith("'") or any(re.search(rf"\b{target}\b", other) for other in kept):
            kept.insert(0, line)
    return kept


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """Return a cell of one or two states and up to three named values on the way."""
    states = ("h", "c")[: draw(st.integers(1, 2))]
    names: tuple[str, ...] = (*states, "b", "p")
    lines = []
    for number in range(draw(st.integers(0, 3))):
        lines.append(f"v{number} = {draw(expressions(names, draw(st.integers(1, 3))))}")
        names = (*names, f"v{number}")
    for state in states:
        lines.append(f"{state}' = tanh({draw(expressions(names, 2))} + W @ x) + 0.1 * b * p")
        names = (*names, f"{state}'")
    lines = _live(lines)
    used = set(" ".join(lines).replace("(", " ").split())
    return make(
        "random_cell",
        *lines,
        states=[(state, HIDDEN) for state in states],
        parameters=[
            *((name, ("hidden", dim)) for name, dim in WEIGHTS.items() if name in used),
            ("b", HIDDEN),
            ("p", HIDDEN),
        ],
        output=draw(st.sampled_from([f"{state}'" for state in states])),
    )


def run(cell: Cell, examine: Callable[[Case, Programs, Any], None]) -> None:
    try:
        case = sample(cell, "random", margin=1e-6)
    except UndecidedError:
        reject()
    programs = compile_cell(cell)
    examine(case, programs, gradients(ReferenceKernels(programs), case))


def least(exact: dict[str, Any]) -> float:
    """Return the least scale of a tensor: next to nothing may be all that cancellation left."""
    return 1e-4 * max(float(np.abs(array).max()) for array in exact.values())


BOUNDED = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@settings(BOUNDED, max_examples=200)
@given(cells())
def test_gradients_of_random_cells(cell: Cell) -> None:
    def examine(case: Case, _: Programs, found: Any) -> None:
        exact = exact_gradients(cell, case)
        worst = deviation(found, exact, floor=least(exact))
        assert worst.error <= 1e-10, (worst, str(cell))

    run(cell, examine)


@settings(BOUNDED, max_examples=60)
@given(cells())
def test_emitted_text_of_random_cells(cell: Cell) -> None:
    def examine(case: Case, programs: Programs, found: Any) -> None:
        emitted = gradients(plain(source(programs))("float64"), case)
        worst = deviation(emitted, found, floor=least(found))
        assert worst.error <= 1e-11, (worst, str(cell))

    run(cell, examine)


@settings(BOUNDED, max_examples=60)
@given(cells())
def test_reverse_of_random_cells_is_proved(cell: Cell) -> None:
    try:
        assert reverse_identities(compile_cell(cell), FUNCTIONS).broken == []
    except UndecidedError:
        reject()
