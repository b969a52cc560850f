"""Spec -> Cell: a recurrent cell whose names, shapes and order of evaluation are all settled.

A Cell is what the rest of the compiler trusts: every name is declared once, every equation reads
only what stands above it, every shape agrees, `extends:` is resolved and choices are made.

Why a type of its own and not the Spec: a Spec keeps what the author typed and where; a Cell keeps
what it means. Nothing after this stage can be the author's mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.language.expression import Expr

Dims = tuple[str, ...]


@dataclass(frozen=True)
class Variable:
    """A declared array: its name and its dimensions, `()` for a scalar."""

    name: str
    dims: Dims

    def __str__(self) -> str:
        return f"{self.name}: [{', '.join(self.dims)}]"


def declared(variables: tuple[Variable, ...]) -> str:
    """Write variables as a spec would, those of one shape together."""
    shapes: dict[Dims, list[str]] = {}
    for variable in variables:
        shapes.setdefault(variable.dims, []).append(variable.name)
    return "; ".join(f"{', '.join(names)}: [{', '.join(dims)}]" for dims, names in shapes.items())


@dataclass(frozen=True)
class Constant:
    """A named number that may be given another value when a cell is loaded."""

    name: str
    value: float


@dataclass(frozen=True)
class Choice:
    """A named function that is chosen, among `options`, when a cell is loaded."""

    name: str
    options: tuple[str, ...]
    chosen: str


@dataclass(frozen=True)
class Equation:
    """One line of the cell: `target` is a plain name or the next value of a state (`c'`).

    `text` is the author's right-hand side in house style, with choices by their own name;
    `expr` has them replaced by the chosen function.
    """

    target: str
    dims: Dims
    expr: Expr
    text: str
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.target} = {self.text}"


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: declarations, equations in order, the output and which values are gates.

    `variant` is what a non-default choice adds to the cell's name: `relu` in `elman_relu`.
    """

    name: str
    title: str
    cite: tuple[str, ...]
    inputs: tuple[Variable, ...]
    states: tuple[Variable, ...]
    parameters: tuple[Variable, ...]
    constants: tuple[Constant, ...]
    choices: tuple[Choice, ...]
    equations: tuple[Equation, ...]
    output: str
    gates: tuple[str, ...]
    variant: str = ""

    @property
    def identifier(self) -> str:
        """The name of the files and kernels of this cell: its name, and its variant if any."""
        return f"{self.name}_{self.variant}" if self.variant else self.name

    @property
    def dims(self) -> Dims:
        """Every dimension the cell mentions, in order of first appearance."""
        declared = (*self.inputs, *self.states, *self.parameters)
        return tuple(dict.fromkeys(dim for variable in declared for dim in variable.dims))

    def shape_of(self, name: str) -> Dims:
        """Return the dimensions of a declared or computed name; a primed name is its equation."""
        for variable in (*self.inputs, *self.states, *self.parameters):
            if variable.name == name:
                return variable.dims
        for equation in self.equations:
            if equation.target == name:
                return equation.dims
        return ()

    def __str__(self) -> str:
        lines = [f"{self.identifier}: {self.title}"]
        for heading, variables in (
            ("inputs", self.inputs),
            ("states", self.states),
            ("parameters", self.parameters),
        ):
            lines.append(f"  {heading:<11}{declared(variables)}")
        for constant in self.constants:
            lines.append(f"  {'constant':<11}{constant.name} = {constant.value!r}")
        for choice in self.choices:
            lines.append(
                f"  {'choice':<11}{choice.name} = {choice.chosen} of {', '.join(choice.options)}"
            )
        width = max(len(equation.target) for equation in self.equations)
        for equation in self.equations:
            shape = f"[{', '.join(equation.dims)}]"
            lines.append(f"  {equation.target:<{width}} = {equation.text}    {shape}")
        lines.append(f"  output     {self.output}")
        return "\n".join(lines)
