"""Program -> nothing, or InternalError: what every Program must satisfy.

Every name is defined once and before it is read, stages alternate, dimensions agree, what is
carried and returned exists. It runs whenever a Program is constructed, so no pass can hand an
illegal one to the next.

Why as code and not as prose: a pass that breaks a rule fails where it broke it, with the rule's
words, and not as a wrong number three stages later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gatewright.language.cell import Dims, Variable
from gatewright.language.diagnostics import InternalError
from gatewright.language.expression import Binary, Call, walk
from gatewright.language.functions import FUNCTIONS
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


class Checked(Protocol):
    """What legality reads of a Program."""

    @property
    def name(self) -> str:
        """The Program's name."""

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """What it reads."""

    @property
    def outers(self) -> tuple[Outer | Reduction, ...]:
        """Its sums over time and batch."""

    @property
    def carried(self) -> tuple[tuple[str, str], ...]:
        """What one step hands to the next."""

    @property
    def results(self) -> tuple[str, ...]:
        """What a caller gets."""

    @property
    def saved(self) -> tuple[str, ...]:
        """What the reverse reads."""

    def section(self, name: str) -> tuple[Stage, ...]:
        """Return the stages of a section."""

    def statements(self, *sections: str) -> Iterator[Statement]:
        """Yield the statements of sections."""


def require_legal(program: Checked) -> None:
    """Raise InternalError naming the Program and the first rule it breaks."""
    try:
        defined = _check_arguments(program)
        for section in SECTIONS:
            _check_stages(program.section(section), defined)
        for outer in program.outers:
            _check_outer(outer, defined)
        _check_ends(program, defined)
    except _BrokenRuleError as broken:
        raise InternalError(f"program `{program.name}`: {broken}") from None


class _BrokenRuleError(Exception):
    """A rule that does not hold."""


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise _BrokenRuleError(rule)


def _check_arguments(program: Checked) -> dict[str, Variable]:
    defined: dict[str, Variable] = {}
    for argument in program.arguments:
        _define(argument.variable, defined)
        rank = len(argument.variable.dims)
        _require(rank <= 2, f"`{argument.name}` has more than two dimensions")
        matrix_allowed = argument.role is Role.PARAMETER
        _require(rank < 2 or matrix_allowed, f"`{argument.name}` is a matrix, not a parameter")
    return defined


def _define(variable: Variable, defined: dict[str, Variable]) -> None:
    _require(variable.name not in defined, f"`{variable.name}` is defined twice")
    defined[variable.name] = variable


def _read(name: str, defined: dict[str, Variable]) -> Dims:
    _require(name in defined, f"`{name}` is read before it is defined")
    return defined[name].dims


def _check_stages(stages: tuple[Stage, ...], defined: dict[str, Variable]) -> None:
    for previous, stage in zip((None, *stages), stages, strict=False):
        _require(bool(stage.items), "a stage is empty")
        if isinstance(stage, Products):
            _require(not isinstance(previous, Products), "two product stages follow each other")
            for product in stage.items:
                _check_product(product, defined)
            for product in stage.items:
                for target in product.targets:
                    _define(target, defined)
        else:
            alternates = not isinstance(previous, Elementwise) or previous.dim != stage.dim
            _require(alternates, f"two stages over `{stage.dim}` follow each other")
            for assign in stage.items:
                _check_assign(assign, stage.dim, defined)


def _check_product(product: Product, defined: dict[str, Variable]) -> None:
    count = len(product.weights)
    one, many = (
        (product.targets, product.operands)
        if product.transposed
        else (product.operands, product.targets)
    )
    _require(len(one) == 1 and len(many) == count, f"`{product}` has the wrong number of parts")
    for index, weight in enumerate(product.weights):
        dims = _read(weight, defined)
        _require(len(dims) == 2, f"`{weight}` is no matrix")
        rows, columns = reversed(dims) if product.transposed else dims
        operand = product.operands[index if product.transposed else 0]
        target = product.targets[0 if product.transposed else index]
        _require(_read(operand, defined) == (columns,), f"`{operand}` does not fit `{weight}`")
        _require(target.dims == (rows,), f"`{target.name}` does not fit `{weight}`")


def _check_assign(assign: Assign, dim: str, defined: dict[str, Variable]) -> None:
    _require(assign.target.dims == (dim,), f"`{assign.target.name}` is not over `{dim}`")
    _check_elementwise(assign.reads, dim, defined)
    for node in walk(assign.expr):
        _require(not (isinstance(node, Binary) and node.operator == "@"), "`@` after lowering")
        if isinstance(node, Call):
            row = FUNCTIONS.get(node.function)
            _require(row is not None, f"unknown function `{node.function}`")
    _define(assign.target, defined)


def _check_elementwise(reads: tuple[str, ...], dim: str, defined: dict[str, Variable]) -> None:
    for name in reads:
        _require(_read(name, defined) in ((), (dim,)), f"`{name}` is not over `{dim}`")


def _check_outer(outer: Outer | Reduction, defined: dict[str, Variable]) -> None:
    if isinstance(outer, Outer):
        columns = _read(outer.right, defined)
        for target, left in zip(outer.targets, outer.lefts, strict=True):
            shape = (*_read(left, defined), *columns)
            _require(target.dims == shape, f"`{target.name}` is not {left} outer {outer.right}")
            _require(outer.accumulate == (target.name in defined), f"`{target.name}`: accumulate")
            if not outer.accumulate:
                _define(target, defined)
        return
    _check_elementwise(outer.reads, outer.dim, defined)
    _require(outer.target.dims in ((), (outer.dim,)), f"`{outer.target.name}` has the wrong shape")
    _define(outer.target, defined)


def _check_ends(program: Checked, defined: dict[str, Variable]) -> None:
    available = {
        target.name for item in program.statements("before", "step") for target in item.targets
    }
    for start, end in program.carried:
        _require(start in defined, f"carried `{start}` is no argument")
        _require(end in available, f"carried `{end}` is not defined in the step")
        _require(defined[start].dims == defined[end].dims, f"`{start}` and `{end}` differ in shape")
    for name in (*program.results, *program.saved):
        _require(name in defined, f"`{name}` is returned and never defined")
