"""Expr -> Dims: the shapes of a claim's formulas, and what each of its names is.

A formula of a claim may combine matrices: products, sums, multiples, `diag(v)` and `inv(P)`. A
number stands for a scalar, a vector or (0) a matrix, as it is needed.

Why apart from the shapes of equations: an equation may not multiply matrices, since a step of a
kernel does not; a claim may, since it only speaks of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gatewright.claims.claim import Owned, Side, Symbol
from gatewright.claims.claim_text import Formula
from gatewright.language.cell import Cell, Dims
from gatewright.language.diagnostics import Findings, Span, did_you_mean
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number
from gatewright.language.functions import AUTHOR_FUNCTIONS
from gatewright.language.references import Reference, is_reference, read_reference


@dataclass(frozen=True)
class Known:
    """What the formulas of a claim may read."""

    left: Side
    right: Side
    symbols: Mapping[str, Symbol]

    def side(self, alias: str) -> Side | None:
        """Return the side of an alias, or None."""
        return next((s for s in (self.left, self.right) if s.alias == alias), None)


class _ProblemError(Exception):
    def __init__(self, code: str, message: str, at: Expr, help: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.at, self.help = code, message, at, help


def value_dims(side: Side, name: str) -> Dims | None:
    """Return the shape of an input, equation or state of a cell; None if it has none so named."""
    cell = side.cell
    for variable in (*cell.states, *cell.inputs):
        if variable.name == name:
            return variable.dims
    return next((e.dims for e in cell.equations if e.target == name), None)


def parameter_dims(side: Side, name: str) -> Dims | None:
    """Return the shape of a parameter or constant of a cell; None if it has none so named."""
    dims = next((p.dims for p in side.cell.parameters if p.name == name), None)
    if dims is None and any(c.name == name for c in side.cell.constants):
        return ()
    return dims


class ClaimShapes:
    """The shape checker of one claim; mistakes go to the findings."""

    def __init__(self, known: Known, found: Findings) -> None:
        self.known = known
        self.found = found

    def of(self, formula: Formula, steps: bool = True) -> Dims | None:
        """Return a formula's shape; None after reporting what is wrong with it.

        Without `steps`, values are refused: a parameter does not change from step to step.
        """
        try:
            return self._shape(formula.expr, steps)
        except _ProblemError as problem:
            span = formula.span(problem.at.start, problem.at.end)
            self.found.add(problem.code, problem.message, span, problem.help)
            return None

    def fits(self, expr: Expr, dims: Dims) -> bool:
        """Tell whether an expression means something and has a shape, or none of its own."""
        try:
            found = self._shape(expr, False)
        except _ProblemError:
            return False
        return found in (dims, ())

    def agree(self, owned: Owned, dims: Dims, formula: Formula) -> None:
        """Report a formula whose shape is not that of what it is given for."""
        side = self.known.side(owned[0])
        assert side is not None
        expected = value_dims(side, owned[1])
        if expected is None:
            expected = parameter_dims(side, owned[1])
        if not dims and not (expected and len(expected) == 2 and not _is_zero(formula.expr)):
            return
        if dims != expected:
            message = (
                f"`{owned[0]}.{owned[1]}` is [{', '.join(expected or ())}], "
                f"but this is [{', '.join(dims)}]"
            )
            help = "a number alone stands for a matrix only if it is 0; write diag(k) for k times 1"
            self.found.add("E0608", message, formula.where, "" if dims else help)

    def equation(self, reference: Reference, span: Span) -> Owned | None:
        """Return an equation of a cell; report what is none."""
        return self._listed(reference, span, "E0607", "equation", _targets)

    def state(self, reference: Reference, span: Span) -> Owned | None:
        """Return a state of a cell; report what is none."""
        return self._listed(reference, span, "E0614", "state", _states)

    def parameter(self, reference: Reference, span: Span) -> Owned | None:
        """Return a parameter of a cell; report what is none."""
        return self._listed(reference, span, "E0301", "parameter", _parameters)

    def _listed(
        self,
        reference: Reference,
        span: Span,
        code: str,
        kind: str,
        of: Callable[[Cell], list[str]],
    ) -> Owned | None:
        side = self.known.side(reference.cell)
        if side is None:
            message, help = self._no_cell(reference.cell)
            self.found.add("E0601", message, span, help)
            return None
        found = of(side.cell)
        if reference.name in found:
            return reference.cell, reference.name
        article = "an" if kind == "equation" else "a"
        message = f"`{reference.name}` is not {article} {kind} of `{side.cell.identifier}`"
        help = did_you_mean(reference.name, found, f"{kind}s: {', '.join(found)}")
        self.found.add(code, message, span, help)
        return None

    def matrix(self, reference: Reference, span: Span) -> Owned | None:
        """Return a square matrix of a cell; report what is none."""
        owned = self.parameter(reference, span)
        side = self.known.side(reference.cell)
        dims = parameter_dims(side, reference.name) if side and owned else None
        if dims is None or (len(dims) == 2 and dims[0] == dims[1]):
            return owned
        message = f"`{reference.cell}.{reference.name}` is [{', '.join(dims)}]"
        help = "only a matrix with as many rows as columns can be diagonal"
        self.found.add("E0608", message, span, help)
        return None

    def _no_cell(self, alias: str) -> tuple[str, str]:
        aliases = (self.known.left.alias, self.known.right.alias)
        help = did_you_mean(alias, aliases, f"the cells are {' and '.join(aliases)}")
        return f"`{alias}` is not a cell of the claim", help

    def _shape(self, expr: Expr, steps: bool) -> Dims:
        match expr:
            case Number():
                return ()
            case Name():
                return self._name(expr, steps)
            case Negate(operand):
                return self._shape(operand, steps)
            case Call():
                return self._call(expr, steps)
            case Binary("@", left, right):
                return _product(expr, self._shape(left, steps), self._shape(right, steps))
            case Binary(operator, left, right):
                one, other = self._shape(left, steps), self._shape(right, steps)
                return _elementwise(expr, operator, one, other)

    def _name(self, expr: Name, steps: bool) -> Dims:
        if not is_reference(expr.name):
            symbol = self.known.symbols.get(expr.name)
            if symbol is not None and symbol.kind != "function":
                return symbol.dims
            listed = f"write `{self.known.left.alias}.{expr.name}`, or declare it under `for_all:`"
            help = did_you_mean(expr.name, self.known.symbols, listed)
            raise _ProblemError("E0601", f"unknown name `{expr.name}`", expr, help)
        reference = read_reference(expr.name)
        assert isinstance(reference, Reference)
        side = self.known.side(reference.cell) if reference.cell else None
        if reference.cell and side is None:
            message, help = self._no_cell(reference.cell)
            raise _ProblemError("E0601", message, expr, help)
        if side is None:
            dims = next(
                (v.dims for v in self.known.left.cell.inputs if v.name == reference.name), None
            )
            if dims is None:
                help = f"write the cell, as in `{self.known.left.alias}.{reference}`"
                raise _ProblemError("E0601", f"`{reference.name}` is no input", expr, help)
        else:
            dims = value_dims(side, reference.name)
        return self._checked(expr, reference, side, dims, steps)

    def _checked(
        self, expr: Name, reference: Reference, side: Side | None, dims: Dims | None, steps: bool
    ) -> Dims:
        parameter = parameter_dims(side, reference.name) if side else None
        if dims is None and parameter is None:
            assert side is not None
            cell = side.cell
            known = [each.name for each in (*cell.states, *cell.parameters)]
            known += [each.name for each in cell.constants]
            known += [each.target for each in cell.equations if not each.target.endswith("'")]
            help = did_you_mean(reference.name, known, f"names: {', '.join(known)}")
            message = f"`{cell.identifier}` has no `{reference.name}`"
            raise _ProblemError("E0301", message, expr, help)
        if dims is None:
            assert parameter is not None
            if reference.shift is not None:
                message = f"`{reference.cell}.{reference.name}` is a parameter and has no step"
                raise _ProblemError("E0603", message, expr, "leave out the time index")
            return parameter
        if not steps:
            message = f"`{expr.name}` changes from step to step, a parameter does not"
            raise _ProblemError("E0603", message, expr, "give a gate under `ties:` instead")
        if reference.shift is None:
            message = f"`{expr.name}` has no time index"
            help = f"write `{expr.name}[t]`, or `{expr.name}[t-1]` for the step before"
            raise _ProblemError("E0602", message, expr, help)
        return dims

    def _call(self, expr: Call, steps: bool) -> Dims:
        shapes = [self._shape(argument, steps) for argument in expr.arguments]
        row = AUTHOR_FUNCTIONS.get(expr.function)
        symbol = self.known.symbols.get(expr.function)
        arity = len(row.arguments) if row else 1
        if (
            row is None
            and expr.function not in ("diag", "inv")
            and not (symbol is not None and symbol.kind == "function")
        ):
            known = [*AUTHOR_FUNCTIONS, *self.known.symbols, "diag", "inv"]
            help = did_you_mean(expr.function, known, f"the functions are {', '.join(known)}")
            raise _ProblemError("E0305", f"unknown function `{expr.function}`", expr, help)
        if len(shapes) != arity:
            message = f"`{expr.function}` takes {arity}, {len(shapes)} given"
            raise _ProblemError("E0306", message, expr)
        if expr.function == "diag":
            if len(shapes[0]) == 2:
                raise _ProblemError("E0608", "`diag` takes a vector", expr)
            return (shapes[0] or ("hidden",)) * 2
        if expr.function == "inv":
            return self._inverse(expr, shapes[0])
        if any(len(dims) == 2 for dims in shapes):
            raise _ProblemError("E0608", f"`{expr.function}` takes no matrix", expr)
        return max(shapes, key=len)

    def _inverse(self, expr: Call, dims: Dims) -> Dims:
        argument = expr.arguments[0]
        symbol = self.known.symbols.get(argument.name) if isinstance(argument, Name) else None
        if symbol is None or symbol.kind not in ("permutation", "invertible matrix"):
            help = "declare it under `for_all:` as `invertible matrix` or `permutation`"
            raise _ProblemError("E0608", "`inv` takes an invertible matrix by name", expr, help)
        return dims


def _states(cell: Cell) -> list[str]:
    return [each.name for each in cell.states]


def _parameters(cell: Cell) -> list[str]:
    return [each.name for each in cell.parameters]


def _targets(cell: Cell) -> list[str]:
    return [each.target.removesuffix("'") for each in cell.equations]


def _is_zero(expr: Expr) -> bool:
    return isinstance(expr, Number) and expr.value == 0


def _product(expr: Expr, left: Dims, right: Dims) -> Dims:
    if len(left) == 2 and (not right or right == left[1:]):
        return left[:1]
    if len(left) == 2 and len(right) == 2 and left[1] == right[0]:
        return (left[0], right[1])
    message = f"`@` does not take [{', '.join(left)}] and [{', '.join(right)}]"
    raise _ProblemError("E0608", message, expr, "use `*` for an elementwise product")


def _elementwise(expr: Binary, operator: str, left: Dims, right: Dims) -> Dims:
    if operator == "^":
        if len(left) == 2:
            raise _ProblemError("E0608", "a matrix has no power", expr, "multiply with `@`")
        return left
    if operator == "/" and _is_zero(expr.right):
        raise _ProblemError("E0407", "division by zero", expr.right, "there is no such number")
    if operator in ("+", "-") and {len(left), len(right)} == {0, 2}:
        one, other = expr.left, expr.right
        if not _is_zero(one if not left else other):
            help = "write diag(k) for k times the matrix 1"
            raise _ProblemError("E0608", "a number is added to a matrix", expr, help)
    if left == right or not right:
        if len(left) == 2 and operator in ("*", "/") and right:
            raise _ProblemError("E0608", "matrices are multiplied with `@`", expr)
        return left
    if not left and operator != "/":
        return right
    if not left and len(right) == 1:
        return right
    message = f"shapes [{', '.join(left)}] and [{', '.join(right)}] do not match for `{operator}`"
    raise _ProblemError("E0608", message, expr)
