"""The statements and stages that a Program is made of.

Elementwise assignments, matrix products, and, for gradients, outer products and sums; stages group
those that run together.

Why products carry several weights: gates that share an operand are one product to a kernel, and
what is summed into one adjoint is one product in reverse. A statement per weight would leave it to
templates to find that out.
"""

from __future__ import annotations

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
