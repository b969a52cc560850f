"""Programs -> the identities that make one Program the reverse of the other, decided by SymPy.

The forward Program is differentiated a second time: SymPy takes the partial derivatives of each
elementwise statement by each name it reads, and the chain rule is summed here. What the reverse
Program computes is evaluated in symbols and each of its results held against the sum. Functions are
opaque, with the derivatives of their row; `symbolic` proves the rows. A transposed product of a
cotangent is one symbol, once its weights and operands match those of a forward product.

Why symbols for adjoints on the way: written out, a derivative of a deep cell grows as the product
of its parts; with `A_c_next` for the adjoint of `c_next` an identity is as short as on paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy

from gatewright.language.equation import parse
from gatewright.language.expression import Call, Expr
from gatewright.language.functions import Function
from gatewright.program.compile import Programs
from gatewright.program.ir import Assign, Outer, Product, Reduction, Role
from gatewright.verify.algebra import is_zero, symbol, translate

Pair = tuple[str, Any]


@dataclass
class Identities:
    """How many identities were decided, and a sentence for each that does not hold."""

    count: int = 0
    broken: list[str] = field(default_factory=list)

    def note(self, holds: bool, text: str) -> None:
        """Count one identity."""
        self.count += 1
        if not holds:
            self.broken.append(text)


def reverse_identities(programs: Programs, table: Mapping[str, Function]) -> Identities:
    """Return which results of the reverse Program are the adjoints of the forward Program."""
    expected = _Expected(programs, table)
    return _Reverse(programs, expected).identities()


class _Opaque:
    """Function calls as opaque SymPy functions that know their derivative from the table."""

    def __init__(self, table: Mapping[str, Function]) -> None:
        self.table = table
        self.made: dict[str, Any] = {}

    def expression(self, expr: Expr, values: Mapping[str, Any]) -> Any:
        def on_call(call: Call) -> Any:
            arguments = [self.expression(argument, values) for argument in call.arguments]
            return self._function(call.function)(*arguments)

        return translate(expr, values, on_call)

    def _function(self, name: str) -> Any:
        if name not in self.made:
            row = self.table[name]

            def fdiff(call: Any, argindex: int = 1) -> Any:
                known = dict(zip(row.arguments, call.args, strict=True)) | {"y": call}
                return self.expression(parse(row.partials[argindex - 1]), known)

            self.made[name] = type(f"f_{name}", (sympy.Function,), {"fdiff": fdiff})
        return self.made[name]


class _Expected:
    """The adjoints of a forward Program by the chain rule, from SymPy's local derivatives."""

    def __init__(self, programs: Programs, table: Mapping[str, Function]) -> None:
        self.opaque = _Opaque(table)
        self.adjoints: dict[str, Any] = {}
        self.pulled: dict[str, list[Pair]] = {}
        self.uses: dict[str, list[Pair]] = {}
        self.products: dict[str, Any] = {}
        self.definitions: dict[Any, Any] = {}
        forward = programs.forward
        states = [variable.name for variable in forward.roles(Role.STATE)]
        self._add(forward.results[0], symbol("ct_y"))
        for state, (_, end) in zip(states, forward.carried, strict=True):
            self._add(end, symbol(f"ct_{state}_next"))
        for statement in reversed(list(forward.statements())):
            if isinstance(statement, Product):
                self._product(statement)
            else:
                self._assign(statement)

    def _add(self, name: str, term: Any) -> None:
        self.adjoints[name] = self.adjoints.get(name, sympy.Integer(0)) + term

    def of(self, name: str) -> Any:
        """Return the adjoint of a value, its transposed products as one symbol."""
        total = self.adjoints.get(name, sympy.Integer(0))
        return total + self.transposed(name) if name in self.pulled else total

    def transposed(self, operand: str) -> Any:
        """Return the symbol of a sum of transposed products; equal sums share their symbol."""
        if operand not in self.products:
            pairs = self.nonzero(self.pulled[operand])
            if not pairs:
                return sympy.Integer(0)
            known = (p for name, p in self.products.items() if self.match(self.pulled[name], pairs))
            self.products[operand] = next(known, symbol(f"P_{operand}"))
        return self.products[operand]

    def _product(self, product: Product) -> None:
        operand = product.operands[0]
        for target, weight in zip(product.targets, product.weights, strict=True):
            adjoint = self.of(target.name)
            if adjoint != 0:
                self.pulled.setdefault(operand, []).append((weight, adjoint))
                self.uses.setdefault(weight, []).append((operand, adjoint))

    def _assign(self, statement: Assign) -> None:
        adjoint = self.of(statement.target.name)
        if adjoint == 0:
            return
        if not adjoint.is_Symbol:
            short = symbol(f"A_{statement.target.name}")
            self.definitions[short] = adjoint
            adjoint = short
        value = self.opaque.expression(statement.expr, {})
        result = {value: symbol(statement.target.name)} if value.is_Function else {}
        for name in statement.reads:
            self._add(name, adjoint * sympy.diff(value, symbol(name)).xreplace(result))

    def in_full(self, expr: Any) -> Any:
        """Return an expression with the symbols of adjoints replaced by what they stand for."""
        while found := expr.free_symbols & self.definitions.keys():
            expr = expr.xreplace({short: self.definitions[short] for short in found})
        return expr

    def same(self, left: Any, right: Any) -> bool:
        """Tell whether two expressions are identical."""
        return is_zero(left - right) or is_zero(self.in_full(left) - self.in_full(right))

    def nonzero(self, terms: list[Pair]) -> list[Pair]:
        """Return the terms that are not identically zero."""
        return [pair for pair in terms if not self.same(pair[1], sympy.Integer(0))]

    def match(self, left: list[Pair], right: list[Pair]) -> bool:
        """Tell whether two sums of terms (name, expression) have the same terms, in any order.

        Terms that are identically zero do not count.
        """
        left, right = self.nonzero(left), self.nonzero(right)
        if sorted(name for name, _ in left) != sorted(name for name, _ in right):
            return False
        rest = list(right)
        for name, value in left:
            found = next((p for p in rest if p[0] == name and self.same(p[1], value)), None)
            if found is None:
                return False
            rest = [pair for pair in rest if pair is not found]
        return True


class _Reverse:
    """The values of the reverse Program in symbols, held against the expected adjoints."""

    def __init__(self, programs: Programs, expected: _Expected) -> None:
        self.programs = programs
        self.expected = expected
        self.values: dict[str, Any] = {}
        self.found = Identities()

    def identities(self) -> Identities:
        """Return which identities hold."""
        for statement in self.programs.reverse.statements():
            if isinstance(statement, Product):
                self._product(statement)
            else:
                value = self.expected.opaque.expression(statement.expr, self.values)
                self.values[statement.target.name] = self._shortened(statement.target.name, value)
        forward, reverse = self.programs.forward, self.programs.reverse
        ends = dict(reverse.carried)
        for state in forward.roles(Role.STATE):
            self._result(state.name, ends.get(f"ct_{state.name}_next", ""))
        for variable in forward.roles(Role.INPUT):
            self._result(variable.name, f"d_{variable.name}")
        self._parameters()
        return self.found

    def _result(self, name: str, found: str) -> None:
        value = self.values.get(found)
        holds = value is not None and self.expected.same(value, self.expected.of(name))
        self.found.note(holds, f"`{found}` is not the adjoint of `{name}`")

    def _shortened(self, name: str, value: Any) -> Any:
        """Return the symbol of an expected adjoint if the value is that adjoint."""
        short = symbol(f"A_{name.removeprefix('d_')}")
        definition = self.expected.definitions.get(short)
        if definition is None:
            return value
        holds = is_zero(value - definition)
        return short if holds else value

    def _product(self, product: Product) -> None:
        target = product.targets[0].name
        given = [
            (weight, self.values.get(operand, symbol(operand)))
            for weight, operand in zip(product.weights, product.operands, strict=True)
        ]
        if not self.expected.nonzero(given):
            self.values[target] = sympy.Integer(0)
            return
        for operand, pairs in self.expected.pulled.items():
            if product.transposed and self.expected.match(given, pairs):
                self.found.note(True, "")
                self.values[target] = self.expected.transposed(operand)
                return
        self.found.note(False, f"`{product}` transposes no product of the forward Program")
        self.values[target] = symbol(f"unmatched_{target}")

    def _parameters(self) -> None:
        outers: dict[str, list[Pair]] = {}
        sums: dict[str, Any] = {}
        for item in self.programs.reverse.outers:
            if isinstance(item, Reduction):
                sums[item.target.name] = self.expected.opaque.expression(item.expr, self.values)
            if isinstance(item, Outer):
                for target, left in zip(item.targets, item.lefts, strict=True):
                    value = self.values.get(left, symbol(left))
                    outers.setdefault(target.name, []).append((item.right, value))
        for variable in self.programs.forward.roles(Role.PARAMETER):
            name, gradient = variable.name, f"d_{variable.name}"
            text = f"`{gradient}` is not the gradient of `{name}`"
            if len(variable.dims) == 2:
                uses = self.expected.uses.get(name, [])
                self.found.note(self.expected.match(outers.get(gradient, []), uses), text)
            else:
                value = sums.get(gradient)
                holds = value is not None and self.expected.same(value, self.expected.of(name))
                self.found.note(holds, text)
