"""Program -> Program: the reverse of a step, from its statements backwards.

Given cotangents of the next states (`ct_h_next`) and of the output (`ct_y`), the reverse computes
the adjoint of every value (`d_i`, and `d_a_i` for the argument of a call) and with them the
cotangents of states and inputs and the gradients of parameters. Weight gradients become `outers`,
so that they can be summed over time and batch at once. `ReverseOptions` ask for more: a cotangent
of every state at every step (`ct_every_c`), or bounds on what one step hands to the step before.

Why over the author's named equations and not by differentiating the composed formula: reverse mode
over named values needs the fewest operations, keeps readable names, and never rewrites a stable
sigmoid into something that overflows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewright.language.cell import Dims, Variable
from gatewright.language.expression import Binary, Call, Expr, Name, Number, names
from gatewright.program.ir import (
    Argument,
    Assign,
    Outer,
    Product,
    Program,
    Reduction,
    Role,
    Statement,
)
from gatewright.program.options import GRADIENT, ReverseOptions
from gatewright.program.rules import ZERO, add, derivative_factors, divide, multiply, partial
from gatewright.program.schedule import merged_outers, scheduled


def every(state: str) -> str:
    """Return the name of the cotangent of a state at every step."""
    return f"ct_every_{state}"


def vjp(forward: Program, options: ReverseOptions = GRADIENT) -> Program:
    """Return the reverse Program of a forward Program."""
    reverse = _Reverse(forward, options)
    for statement in reversed(list(forward.statements())):
        reverse.statement(statement)
    return reverse.program()


@dataclass
class _Reverse:
    """Contributions gathered and statements made so far, walking one Program backwards."""

    forward: Program
    options: ReverseOptions
    sums: dict[str, Expr] = field(default_factory=dict)
    pulled: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    uses: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    note: str = ""

    def __post_init__(self) -> None:
        program = self.forward
        self.dims: dict[str, Dims] = {n: v.dims for n, v in program.variables.items()}
        self.parameters = {v.name for v in program.roles(Role.PARAMETER)}
        self.inactive = {v.name for v in program.roles(Role.CONSTANT)}
        self.states = {
            state.name: end
            for state, (_, end) in zip(program.roles(Role.STATE), program.carried, strict=True)
        }
        self.cotangents = {"ct_y": self.dims[program.results[0]]}
        self._contribute(program.results[0], Name("ct_y"))
        for state, end in self.states.items():
            self.cotangents[f"ct_{state}_next"] = self.dims[state]
            self._contribute(end, Name(f"ct_{state}_next"))
            if self.options.every_state and end != program.results[0]:
                self.cotangents[every(state)] = self.dims[state]
                self._contribute(end, Name(every(state)))
        self.dims |= self.cotangents

    def statement(self, statement: Statement) -> None:
        if isinstance(statement, Product):
            parts = list(zip(statement.targets, statement.weights, strict=True))
            for target, weight in reversed(parts):
                self._product(target, weight, statement.operands[0])
        else:
            self._assign(statement)

    def _contribute(self, name: str, cotangent: Expr) -> None:
        self.sums[name] = add(self.sums.get(name, ZERO), cotangent)

    def _define(self, wish: str, expr: Expr, dims: Dims) -> Name:
        name, number = wish, 1
        while name in self.dims:
            number += 1
            name = f"{wish}_{number}"
        self.dims[name] = dims
        self.statements.append(Assign(Variable(name, dims), expr, self.note))
        return Name(name)

    def _adjoint(self, name: str, wish: str = "") -> Name | None:
        """Return the name that holds the adjoint of a value, defining it if it is a sum."""
        dims, wish = self.dims[name], wish or f"d_{name}"
        total = self.sums.pop(name, ZERO)
        if pulled := self.pulled.pop(name, None):
            target = wish if total == ZERO else f"{wish}_products"
            weights, operands = zip(*pulled, strict=True)
            self.dims[target] = dims
            self.statements.append(
                Product((Variable(target, dims),), weights, operands, transposed=True)
            )
            total = add(Name(target), total)
        if total == ZERO:
            return None
        return total if isinstance(total, Name) else self._define(wish, total, dims)

    def _product(self, target: Variable, weight: str, operand: str) -> None:
        adjoint = self._adjoint(target.name)
        if adjoint is None:
            return
        self.pulled.setdefault(operand, []).insert(0, (weight, adjoint.name))
        self.uses.setdefault(weight, []).append((adjoint.name, operand))

    def _assign(self, statement: Assign) -> None:
        self.note = statement.note
        target = statement.target
        adjoint = self._adjoint(target.name)
        if adjoint is None:
            return
        if isinstance(statement.expr, Call) and not self._is_scalar(statement.expr):
            self._call(statement.expr, target, adjoint)
        else:
            self._propagate(statement.expr, adjoint, target)

    def _call(self, call: Call, target: Variable, adjoint: Name) -> None:
        """Reverse `target = call`, naming the adjoint of each argument that is an expression."""
        for index, argument in enumerate(call.arguments):
            if not self._active(argument):
                continue
            cotangent = multiply(adjoint, partial(call, index, Name(target.name)))
            if not isinstance(argument, Name):
                cotangent = self._define(f"d_a_{target.name}", cotangent, target.dims)
            self._propagate(argument, cotangent, target)

    def _propagate(self, expr: Expr, cotangent: Expr, target: Variable) -> None:
        if isinstance(expr, Name):
            if self._active(expr):
                self._contribute(expr.name, cotangent)
            return
        parts = [(part, by) for part, by in derivative_factors(expr) if self._active(part)]
        if len(parts) > 1 and not isinstance(cotangent, Name):
            cotangent = self._define(f"d_{target.name}_{_label(expr)}", cotangent, target.dims)
        for part, by in parts:
            match by:
                case Binary("/", Number(1.0), denominator):
                    self._propagate(part, divide(cotangent, denominator), target)
                case _:
                    self._propagate(part, multiply(cotangent, by), target)

    def _active(self, expr: Expr) -> bool:
        return any(name not in self.inactive for name in names(expr))

    def _is_scalar(self, expr: Expr) -> bool:
        return not any(self.dims[name] for name in names(expr))

    def program(self) -> Program:
        forward = self.forward
        self.note = "what the step began with"
        carried = tuple((f"ct_{state}_next", self._carried(state)) for state in self.states)
        inputs = tuple(self._result(variable.name) for variable in forward.roles(Role.INPUT))
        outers = self._outers()
        defined = {target.name for item in self.statements for target in item.targets}
        read = {name for item in (*self.statements, *outers) for name in item.reads}
        gradients = tuple(f"d_{v.name}" for v in forward.roles(Role.PARAMETER))
        return scheduled(
            name=forward.name.replace("forward", "vjp"),
            arguments=self._arguments(read - defined),
            statements=tuple(self.statements),
            outers=outers,
            carried=carried,
            results=(*(end for _, end in carried), *inputs, *gradients),
        )

    def _carried(self, state: str) -> str:
        """Return the name of what the step before gets, within bounds if there are some."""
        clip = self.options.clip
        if clip is None:
            return self._result(state)
        whole = self._adjoint(state, f"d_{state}_whole")
        if whole is None:
            return self._result(state)
        bounded = Call("max", (Call("min", (whole, Number(clip))), Number(-clip)))
        return self._define(f"d_{state}", bounded, self.dims[state]).name

    def _result(self, name: str) -> str:
        adjoint = self._adjoint(name)
        wish = f"d_{name}"
        if adjoint is None:
            return self._define(wish, ZERO, self.dims[name]).name
        return (
            adjoint.name
            if adjoint.name == wish
            else self._define(wish, adjoint, self.dims[name]).name
        )

    def _outers(self) -> tuple[Outer | Reduction, ...]:
        found: list[Outer | Reduction] = []
        for variable in self.forward.roles(Role.PARAMETER):
            gradient = Variable(f"d_{variable.name}", variable.dims)
            for index, (left, right) in enumerate(self.uses.get(variable.name, ())):
                found.append(Outer((gradient,), (left,), right, accumulate=index > 0))
            if len(variable.dims) < 2:
                total = self.sums.get(variable.name, ZERO)
                dim = next((self.dims[n][0] for n in names(total) if self.dims[n]), "hidden")
                found.append(Reduction(gradient, total, dim))
        return merged_outers(found)

    def _arguments(self, read: set[str]) -> tuple[Argument, ...]:
        forward = self.forward
        ends = {end: state for state, end in self.states.items()}
        found = [Argument(Variable(n, d), Role.COTANGENT) for n, d in self.cotangents.items()]
        for argument in forward.arguments:
            if argument.name in read:
                found.append(argument)
        for name, variable in forward.variables.items():
            known = name in {argument.name for argument in forward.arguments}
            if name in read and not known and name not in self.cotangents:
                role = Role.NEXT_STATE if name in ends else Role.SAVED
                found.append(Argument(variable, role))
        return tuple(found)


def _label(expr: Expr) -> str:
    """Name an inner expression by what it reads, for the adjoint of that expression."""
    return "_".join(names(expr)[:3])
