"""Programs -> proved or not: every emitted Program computes what its Cell says.

The forward Program is evaluated in terms, statement by statement, and its results held against the
Cell's equations. The reverse Program is evaluated the same way from the forward values, and its
results held against `differentiate` of those equations. All are decided by normal forms, in the
weakest theory that does it.

Why after all passes: a pass that moves, merges or rewrites statements is right if what comes out
still means the Cell, whatever it did on the way.
"""

from __future__ import annotations

from collections.abc import Mapping

from gatewright.claims.differentiate import Adjoints, adjoints
from gatewright.claims.formulas import LinearMap, Scope, exact, vector_of
from gatewright.claims.identities import Comparison, Identities, Pairs
from gatewright.claims.terms import TRANSPOSE, Term, Terms
from gatewright.claims.theory import Quality
from gatewright.language.cell import Cell
from gatewright.language.functions import FUNCTIONS, Function
from gatewright.program.compile import Programs
from gatewright.program.ir import Outer, Product, Program, Reduction, Role
from gatewright.program.lower import python_name


class Values(Scope):
    """The values computed so far, by the names of a Program or a Cell."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.known: dict[str, Term] = {}

    def vector(self, name: str) -> Term:
        """Return what was computed under a name, or the variable of that name."""
        found = self.known.get(name)
        return self.terms.variable(name) if found is None else found

    def matrix(self, name: str) -> LinearMap:
        """Return the free matrix of a name."""
        return lambda vector: self.terms.map(name, vector)

    def is_matrix_name(self, name: str) -> bool:
        """Return False: Programs name the matrices in their products."""
        return False


def cell_values(terms: Terms, cell: Cell) -> dict[str, Term]:
    """Return what each equation of a cell computes, by the names Programs use."""
    values = Values(terms)
    for constant in cell.constants:
        values.known[constant.name] = terms.number(exact(constant.value))
    for equation in cell.equations:
        # Python's name of `c'` may not hide a state, so both spellings are known.
        term = vector_of(terms, equation.expr, values)
        values.known[equation.target] = term
        values.known[python_name(equation.target)] = term
    return values.known


def verified(programs: Programs, table: Mapping[str, Function] = FUNCTIONS) -> Identities:
    """Return the identities of both Programs of a cell."""
    check = _Check(programs, table)
    check.forward()
    check.reverse()
    return check.compare.found


def reverse_identities(programs: Programs, table: Mapping[str, Function]) -> Identities:
    """Return the identities of the reverse Program, given the forward Program."""
    check = _Check(programs, table)
    check.of_program = True
    check.reverse()
    return check.compare.found


class _Check:
    """The identities of one cell's Programs."""

    def __init__(self, programs: Programs, table: Mapping[str, Function]) -> None:
        self.programs, self.table = programs, table
        self.terms = Terms()
        self.of_program = False
        cell = programs.cell
        self.cell = cell_values(self.terms, cell)
        self.values = self._forward_values()
        qualities = {p.name: Quality.SCALAR for p in cell.parameters if not p.dims}
        dims = {variable.name: variable.dims for variable in programs.forward.variables.values()}
        self.compare = Comparison(self.terms, qualities, dims)

    def _forward_values(self) -> dict[str, Term]:
        program = self.programs.forward
        values = Values(self.terms)
        for constant in self.programs.cell.constants:
            values.known[constant.name] = self.terms.number(exact(constant.value))
        run_program(self.terms, program, values)
        return values.known

    def forward(self) -> None:
        """Hold every equation, next state and the output against the forward Program."""
        program, cell = self.programs.forward, self.programs.cell
        for equation in cell.equations:
            name = python_name(equation.target)
            if name in self.values:
                text = f"`{name}` is not the equation `{equation.target}`"
                self.compare.equal(self.values[name], self.cell[equation.target], text)
        output = self.values.get(program.results[0])
        self.compare.equal(
            output, self.cell[cell.output], f"`{program.results[0]}` is not the output"
        )
        ends = dict(program.carried)
        for state in cell.states:
            end = self.values.get(ends.get(state.name, ""))
            target = self.cell[f"{state.name}'"]
            self.compare.equal(end, target, f"the next `{state.name}` is not carried")

    def reverse(self) -> None:
        """Hold every result of the reverse Program against the adjoints of the equations."""
        forward, reverse = self.programs.forward, self.programs.reverse
        expected = self._expected()
        values = Values(self.terms)
        values.known |= self.values
        run_program(self.terms, reverse, values)
        ends = dict(reverse.carried)
        for state in forward.roles(Role.STATE):
            found = ends.get(f"ct_{state.name}_next", "")
            self._adjoint(state.name, found, values, expected)
        for variable in forward.roles(Role.INPUT):
            self._adjoint(variable.name, f"d_{variable.name}", values, expected)
        self._parameters(values, expected)

    def _expected(self) -> Adjoints:
        forward, cell, terms = self.programs.forward, self.programs.cell, self.terms
        if self.of_program:
            output = self.values[forward.results[0]]
            ends = {state: self.values[end] for state, end in forward.carried}
        else:
            output = self.cell[cell.output]
            ends = {state.name: self.cell[f"{state.name}'"] for state in cell.states}
        seeds = [(output, terms.variable("ct_y"))]
        seeds += [(end, terms.variable(f"ct_{state}_next")) for state, end in ends.items()]
        return adjoints(terms, seeds, self.table)

    def _adjoint(self, name: str, found: str, values: Values, expected: Adjoints) -> None:
        wanted = expected.variables.get(name, self.terms.zero)
        text = f"`{found}` is not the adjoint of `{name}`"
        self.compare.equal(values.known.get(found), wanted, text)

    def _parameters(self, values: Values, expected: Adjoints) -> None:
        outers, sums = gradients(self.terms, self.programs.reverse, values)
        for variable in self.programs.forward.roles(Role.PARAMETER):
            gradient = f"d_{variable.name}"
            text = f"`{gradient}` is not the gradient of `{variable.name}`"
            if len(variable.dims) == 2:
                pairs = expected.matrices.get(variable.name, [])
                self.compare.note(outers.get(gradient, []), pairs, text)
            else:
                wanted = expected.variables.get(variable.name, self.terms.zero)
                self.compare.equal(sums.get(gradient), wanted, text)


def run_program(terms: Terms, program: Program, values: Values) -> None:
    """Compute every statement of a Program, in terms of what is known."""
    for statement in program.statements():
        if not isinstance(statement, Product):
            name = statement.target.name
            values.known[name] = vector_of(terms, statement.expr, values)
        elif statement.transposed:
            total = terms.zero
            for weight, operand in zip(statement.weights, statement.operands, strict=True):
                part = terms.map(f"{weight}{TRANSPOSE}", values.vector(operand))
                total = terms.add(total, part)
            values.known[statement.targets[0].name] = total
        else:
            operand_term = values.vector(statement.operands[0])
            for target, weight in zip(statement.targets, statement.weights, strict=True):
                values.known[target.name] = terms.map(weight, operand_term)


def gradients(
    terms: Terms, reverse: Program, values: Values
) -> tuple[dict[str, Pairs], dict[str, Term]]:
    """Return the gradients of one row, by name: sums of outer products, and sums over units."""
    outers: dict[str, Pairs] = {}
    sums: dict[str, Term] = {}
    for item in reverse.outers:
        if isinstance(item, Reduction):
            sums[item.target.name] = vector_of(terms, item.expr, values)
        elif isinstance(item, Outer):
            right = values.vector(item.right)
            for target, left in zip(item.targets, item.lefts, strict=True):
                outers.setdefault(target.name, []).append((values.vector(left), right))
    return outers, sums


__all__ = [
    "Values",
    "cell_values",
    "gradients",
    "reverse_identities",
    "run_program",
    "verified",
]
