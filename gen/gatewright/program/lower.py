"""Cell -> statements: equations become products and elementwise assignments over named values.

Each `W @ v` becomes a product with a name of its own (`W_i_x`), each function call inside a larger
expression becomes a value (`tanh_c_next`), and a call whose derivative needs its argument gets the
argument named (`a_n`). What remains is sums, differences, products and quotients of names.

Why calls get names: the derivative of `sigmoid` is written in its result. With the result named,
reverse mode needs no second exponential, and the saved values are the activated gates.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewright.language.cell import Cell, Dims, Equation, Variable
from gatewright.language.expression import (
    Binary,
    Call,
    Expr,
    Name,
    Number,
    children,
    names,
    rebuild,
    substitute,
)
from gatewright.program.ir import Assign, Product, Statement
from gatewright.program.rules import needs_arguments

UNROLLED_POWERS = (2.0, 3.0, 4.0)


def python_name(name: str) -> str:
    """Return the name of a value in Programs and generated code: `c'` is `c_next`."""
    return f"{name[:-1]}_next" if name.endswith("'") else name


def lower(cell: Cell) -> tuple[Statement, ...]:
    """Return the statements that compute one step of the cell, each value defined before use."""
    lowering = _Lowering(cell)
    for equation in cell.equations:
        lowering.equation(equation)
    return tuple(lowering.statements)


@dataclass
class _Lowering:
    """The names taken and the statements made so far, while one cell is lowered."""

    cell: Cell
    statements: list[Statement] = field(default_factory=list)
    dims: dict[str, Dims] = field(default_factory=dict)
    scalars: dict[str, Expr] = field(default_factory=dict)
    products: dict[tuple[str, str], str] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        cell = self.cell
        for variable in (*cell.inputs, *cell.states, *cell.parameters):
            self.dims[variable.name] = variable.dims
        for constant in cell.constants:
            self.dims[constant.name] = ()
        self.taken = {python_name(equation.target) for equation in cell.equations} | set(self.dims)
        self.parameters = {variable.name for variable in cell.parameters}

    def equation(self, equation: Equation) -> None:
        self.note = str(equation)
        target = python_name(equation.target)
        expr = substitute(equation.expr, self._read)
        if not equation.dims:
            # A scalar depends on parameters alone: substituted, it needs no stage of its own.
            self.scalars[target] = expr
            return
        self._assign(target, self._flat(expr, target, root=True), equation.dims)

    def _read(self, name: Name) -> Expr | None:
        plain = python_name(name.name)
        return self.scalars.get(plain, Name(plain))

    def _assign(self, target: str, expr: Expr, dims: Dims) -> None:
        self.dims[target] = dims
        self.statements.append(Assign(Variable(target, dims), expr, self.note))

    def _fresh(self, wish: str) -> str:
        name, number = wish, 1
        while name in self.taken:
            number += 1
            name = f"{wish}_{number}"
        self.taken.add(name)
        return name

    def _shape(self, expr: Expr) -> Dims:
        shapes = [self.dims[name] for name in names(expr)]
        return next((dims for dims in shapes if dims), ())

    def _flat(self, expr: Expr, target: str, root: bool = False) -> Expr:
        match expr:
            case Binary("@", Name(weight), operand):
                return Name(self._product(weight, operand, target))
            case Binary("^", base, Number(power)) if power in UNROLLED_POWERS:
                return self._power(self._flat(base, target), int(power), target)
            case Call():
                return self._call(expr, target, root)
            case _:
                return rebuild(expr, tuple(self._flat(part, target) for part in children(expr)))

    def _power(self, base: Expr, power: int, target: str) -> Expr:
        if not isinstance(base, Name):
            base = self._named(base, f"{target}_base")
        product: Expr = base
        for _ in range(power - 1):
            product = Binary("*", product, base)
        return product

    def _named(self, expr: Expr, wish: str) -> Name:
        name = self._fresh(wish)
        self._assign(name, expr, self._shape(expr))
        return Name(name)

    def _call(self, call: Call, target: str, root: bool) -> Expr:
        arguments = [self._flat(argument, target) for argument in call.arguments]
        scalar = not any(self._shape(argument) for argument in arguments)
        if needs_arguments(call.function) and not scalar:
            arguments = [
                argument
                if isinstance(argument, Name | Number)
                else self._named(argument, f"a_{target}" if root else f"a_{call.function}_{target}")
                for argument in arguments
            ]
        flat = Call(call.function, tuple(arguments))
        if root or scalar:
            return flat
        read = names(flat)
        single = read[0] if len(arguments) == 1 and isinstance(arguments[0], Name) else target
        return self._named(flat, f"{call.function}_{single}")

    def _product(self, weight: str, operand: Expr, target: str) -> str:
        flat = self._flat(operand, target)
        if not isinstance(flat, Name) or flat.name in self.parameters:
            flat = self._named(flat, "_".join(names(flat)) or f"{target}_operand")
        key = (weight, flat.name)
        if key not in self.products:
            name = self._fresh(f"{weight}_{flat.name}")
            rows = (self.dims[weight][0],)
            self.dims[name] = rows
            self.statements.append(Product((Variable(name, rows),), (weight,), (flat.name,)))
            self.products[key] = name
        return self.products[key]
