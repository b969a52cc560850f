"""Cells for the tests of the verify stage: small ones that no catalogue has a reason to hold."""

from __future__ import annotations

from collections.abc import Sequence

from gatewright.emit.source import TARGETS, emit
from gatewright.language.cell import Cell, Constant, Dims, Equation, Variable
from gatewright.language.equation import parse
from gatewright.program.compile import Programs, compile_cell
from gatewright.runtime.kernels import HostMemory, Kernels
from gatewright.runtime.load import load_module
from gatewright.verify.plain import interpreted
from gatewright.verify.reference import ReferenceKernels
from gatewright.verify.subject import KernelsFactory, Subject

HIDDEN: Dims = ("hidden",)
AFFINE = (("W", ("hidden", "input")), ("U", ("hidden", "hidden")), ("b", HIDDEN))


def make(
    name: str,
    *equations: str,
    states: Sequence[tuple[str, Dims]] = (("h", HIDDEN),),
    parameters: Sequence[tuple[str, Dims]] = AFFINE,
    inputs: Sequence[tuple[str, Dims]] = (("x", ("input",)),),
    constants: Sequence[tuple[str, float]] = (),
    shapes: dict[str, Dims] | None = None,
    output: str = "h'",
) -> Cell:
    """Return a cell from equations such as `h' = tanh(W @ x)`; [hidden] unless `shapes` says."""

    def declared(pairs: Sequence[tuple[str, Dims]]) -> tuple[Variable, ...]:
        return tuple(Variable(variable, dims) for variable, dims in pairs)

    lines = []
    for equation in equations:
        target, text = (part.strip() for part in equation.split("=", 1))
        dims = (shapes or {}).get(target, HIDDEN)
        lines.append(Equation(target, dims, parse(text), text))
    return Cell(
        name=name,
        title=name,
        cite=(),
        inputs=declared(inputs),
        states=declared(states),
        parameters=declared(parameters),
        constants=tuple(Constant(constant, value) for constant, value in constants),
        choices=(),
        equations=tuple(lines),
        output=output,
        gates=(),
    )


PRE = "a = W @ x + U @ h + b"
ELMAN = make("elman_test", "h' = tanh(W @ x + U @ h + b)")
ODD_CELLS = (
    make("relu_rnn", "h' = relu(W @ x + U @ h + b)"),
    make("abs_rnn", "h' = tanh(abs(W @ x + U @ h + b))"),
    make("hard_rnn", "h' = hard_tanh(W @ x + U @ h + b)"),
    make("min_rnn", "a = W @ x + b", "h' = min(a, U @ h) * 0.5"),
    make(
        "stabilised",
        PRE,
        "c' = max(p + c, a)",
        "h' = exp(p + c - c') * h + exp(a - c') * tanh(a)",
        states=(("h", HIDDEN), ("c", HIDDEN)),
        parameters=(*AFFINE, ("p", HIDDEN)),
    ),
    make("smooth", PRE, "h' = softplus(a) * silu(a) / (1 + softplus(b)) - softsign(a)"),
    make("roots", PRE, "h' = log(1 + a^2) + sqrt(1 + h * h) - 0.3 * a^3 / (2 + cos(b)) + sin(a)"),
    make("powers", PRE, "h' = (tanh(a) + 2)^5 * 0.01 + (1 + h * h)^-2 + (2 + b * b)^0.5"),
    make(
        "projected",
        PRE,
        "z = sigmoid(a)",
        "c' = z * c + (1 - z) * tanh(W @ x)",
        "h' = V @ c'",
        states=(("h", ("rank",)), ("c", HIDDEN)),
        parameters=(*AFFINE[::2], ("U", ("hidden", "rank")), ("V", ("rank", "hidden"))),
        shapes={"h'": ("rank",)},
    ),
    make(
        "two_inputs",
        "k = sigmoid(alpha) * beta",
        "h' = tanh(W @ x + V @ s + U @ h + b) * k + (1 - k) * h",
        parameters=(*AFFINE, ("V", ("hidden", "second")), ("alpha", ())),
        inputs=(("x", ("input",)), ("s", ("second",))),
        constants=(("beta", 0.7),),
        shapes={"k": ()},
    ),
    make(
        "read_out",
        "h' = tanh(W @ x + U @ h + b)",
        "y = sigmoid(V @ h')",
        parameters=(*AFFINE, ("V", ("rank", "hidden"))),
        shapes={"y": ("rank",)},
        output="y",
    ),
    make(
        "counter",
        "n' = n + 1",
        "h' = tanh(W @ x + b) / n'",
        states=(("h", HIDDEN), ("n", HIDDEN)),
        parameters=AFFINE[::2],
    ),
)


def reference(programs: Programs) -> KernelsFactory:
    """Return a factory of interpreted Programs."""
    return lambda dtype: ReferenceKernels(programs, dtype)


def plain(text: str) -> KernelsFactory:
    """Return a factory of an emitted CPU text run as plain Python."""
    return lambda dtype: Kernels(load_module(interpreted(text), "cpu", dtype), HostMemory())


def subject(cell: Cell, dtype: str = "float64", factory: KernelsFactory | None = None) -> Subject:
    """Return a cell under certification, interpreted unless a factory is given."""
    programs = compile_cell(cell)
    return Subject(cell, programs, factory or reference(programs), "reference", dtype)


def source(programs: Programs) -> str:
    """Return the emitted CPU text of a cell."""
    return emit(programs, TARGETS["cpu"]).text
