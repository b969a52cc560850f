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

from gatewright.language.cell import Variable
from gatewright.program.legality import require_legal
from gatewright.program.statements import (
    SECTIONS,
    Argument,
    Assign,
    Elementwise,
    Outer,
    Product,
    Products,
    Reduction,
    Role,
    Stage,
    Statement,
)

__all__ = [
    "SECTIONS",
    "Argument",
    "Assign",
    "Elementwise",
    "Outer",
    "Product",
    "Products",
    "Program",
    "Reduction",
    "Role",
    "Stage",
    "Statement",
]


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
