"""The Program: the form in which the compiler differentiates, splits and prints a cell.

A Program computes one time step for a batch of rows, cut into four sections:

    before   once for all time steps, as it does not depend on what is carried (input projections)
    step     at every time step: matrix products and elementwise stages in turn
    after    once for all time steps, as nothing carried depends on it (input cotangents)
    outers   once, sums over time and batch (weight gradients)

The forward Program and its reverse (`vjp`) are the same type and pass through the same functions.
Every array has one row per batch element and its dimension's size in columns; vector parameters
have no rows, scalars are numbers. Legality is checked on construction, in `legality`.

Why sections and stages are part of the type: they are what a kernel is made of. A template that
had to find them again would have to decide, and decisions belong to passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from gatewright.language.cell import Variable
from gatewright.language.expression import Expr, names, operations, render


class Role(Enum):
    """What an argument of a Program is."""

    INPUT = "input"
    STATE = "state"
    NEXT_STATE = "next state"
    PARAMETER = "parameter"
    CONSTANT = "constant"
    SAVED = "saved"
    COTANGENT = "cotangent"


@dataclass(frozen=True)
class Argument:
    """A value that a Program reads and does not define."""

    variable: Variable
    role: Role

    @property
    def name(self) -> str:
        """The argument's name."""
        return self.variable.name


@dataclass(frozen=True)
class Assign:
    """`target = expr`, elementwise; `note` is the author's equation that it belongs to."""

    target: Variable
    expr: Expr
    note: str = ""

    @property
    def targets(self) -> tuple[Variable, ...]:
        """The variable this statement defines, as a tuple."""
        return (self.target,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names this statement reads."""
        return names(self.expr)

    def __str__(self) -> str:
        return f"{self.target.name} = {render(self.expr)}"


@dataclass(frozen=True)
class Product:
    """Matrices times vectors, for every row.

    Forward (`transposed` false), several weights share one operand: `targets[k] = weights[k] @
    operands[0]`. Reversed, several operands share one target: `targets[0] = sum over k of
    weights[k].T @ operands[k]`.
    """

    targets: tuple[Variable, ...]
    weights: tuple[str, ...]
    operands: tuple[str, ...]
    transposed: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """Names this statement reads."""
        return (*self.weights, *self.operands)

    def __str__(self) -> str:
        if self.transposed:
            pairs = zip(self.weights, self.operands, strict=True)
            return f"{self.targets[0].name} = " + " + ".join(f"{w}.T @ {o}" for w, o in pairs)
        targets = ", ".join(target.name for target in self.targets)
        if len(self.weights) == 1:
            return f"{targets} = {self.weights[0]} @ {self.operands[0]}"
        return f"{targets} = ({', '.join(self.weights)}) @ {self.operands[0]}"


@dataclass(frozen=True)
class Outer:
    """Weight gradients: `targets[k] = sum over rows of lefts[k] (outer product) right`.

    `accumulate` adds to targets that an earlier statement defined.
    """

    targets: tuple[Variable, ...]
    lefts: tuple[str, ...]
    right: str
    accumulate: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """Names this statement reads."""
        return (*self.lefts, self.right)

    def __str__(self) -> str:
        targets = ", ".join(target.name for target in self.targets)
        lefts = self.lefts[0] if len(self.lefts) == 1 else f"({', '.join(self.lefts)})"
        sign = "+=" if self.accumulate else "="
        return f"{targets} {sign} sum over rows of {lefts} outer {self.right}"


@dataclass(frozen=True)
class Reduction:
    """`target` = sum over rows of `expr`, and over units too where `target` is a scalar."""

    target: Variable
    expr: Expr
    dim: str

    @property
    def targets(self) -> tuple[Variable, ...]:
        """The variable this statement defines, as a tuple."""
        return (self.target,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names this statement reads."""
        return names(self.expr)

    def __str__(self) -> str:
        over = "rows" if self.target.dims else "rows and units"
        return f"{self.target.name} = sum over {over} of {render(self.expr)}"


@dataclass(frozen=True)
class Products:
    """A stage of matrix products that do not read one another."""

    items: tuple[Product, ...]


@dataclass(frozen=True)
class Elementwise:
    """A stage of elementwise statements over one dimension, in order of dependence."""

    dim: str
    items: tuple[Assign, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """Names the stage reads and does not define, in order of first use."""
        defined = {item.target.name for item in self.items}
        read = (name for item in self.items for name in item.reads)
        return tuple(dict.fromkeys(name for name in read if name not in defined))

    @property
    def operations(self) -> int:
        """Operations per element."""
        return sum(operations(item.expr) for item in self.items)


Stage = Products | Elementwise
Statement = Assign | Product
SECTIONS = ("before", "step", "after")


@dataclass(frozen=True)
class Program:
    """One direction of a cell. See the module's docstring for its sections.

    `carried` pairs what a step reads with what it hands to the following one: `(h, h_next)`
    forward, `(ct_h_next, d_h)` in reverse. `results` are the names a caller gets, `saved` the
    forward values that the reverse reads. Raises InternalError if it is not legal.
    """

    name: str
    arguments: tuple[Argument, ...]
    before: tuple[Stage, ...]
    step: tuple[Stage, ...]
    after: tuple[Stage, ...]
    outers: tuple[Outer | Reduction, ...]
    carried: tuple[tuple[str, str], ...]
    results: tuple[str, ...]
    saved: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        from gatewright.program.legality import require_legal

        require_legal(self)

    def section(self, name: str) -> tuple[Stage, ...]:
        """Return the stages of `before`, `step` or `after`."""
        stages: tuple[Stage, ...] = getattr(self, name)
        return stages

    def statements(self, *sections: str) -> Iterator[Statement]:
        """Yield the statements of the given sections (of all three, if none is given) in order."""
        for section in sections or SECTIONS:
            for stage in self.section(section):
                yield from stage.items

    def roles(self, *roles: Role) -> tuple[Variable, ...]:
        """Return the arguments that have one of the given roles, in order."""
        return tuple(argument.variable for argument in self.arguments if argument.role in roles)

    @property
    def variables(self) -> dict[str, Variable]:
        """Every argument and every value defined before `outers`, by name."""
        found = {argument.name: argument.variable for argument in self.arguments}
        for statement in self.statements():
            found.update((target.name, target) for target in statement.targets)
        return found

    @property
    def operations(self) -> int:
        """Elementwise operations per element and step."""
        stages = (stage for section in SECTIONS for stage in self.section(section))
        return sum(stage.operations for stage in stages if isinstance(stage, Elementwise))

    def __str__(self) -> str:
        lines = [f"program {self.name}"]
        for argument in self.arguments:
            lines.append(f"  {argument.role.value:<11} {argument.variable}")
        for section in SECTIONS:
            if stages := self.section(section):
                lines.append(f"  {section}")
            for stage in stages:
                kind = "product" if isinstance(stage, Products) else f"elementwise [{stage.dim}]"
                lines.append(f"    {kind}")
                lines.extend(f"      {item}" for item in stage.items)
        if self.outers:
            lines.append("  outers")
            lines.extend(f"      {item}" for item in self.outers)
        carried = ", ".join(f"{start} -> {end}" for start, end in self.carried)
        lines.append(f"  carried     {carried}")
        lines.append(f"  results     {', '.join(self.results)}")
        if self.saved:
            lines.append(f"  saved       {', '.join(self.saved)}")
        return "\n".join(lines)
