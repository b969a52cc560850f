"""Programs -> proved or not: every emitted Program computes what its Cell says.

The forward Program is evaluated in terms, statement by statement, and its results held against the
Cell's equations. The reverse Program is evaluated the same way from the forward values, and its
results held against `differentiate` of those equations. All are decided by normal forms, in the
weakest theory that does it.

Why after all passes: a pass that moves, merges or rewrites statements is right if what comes out
still means the Cell, whatever it did on the way.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction

from gatewright.claims.differentiate import Adjoints, adjoints
from gatewright.claims.division import cleared
from gatewright.claims.evaluate import Floats, Model, evaluate
from gatewright.claims.formulas import LinearMap, Scope, exact, vector_of
from gatewright.claims.identities import Identities
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.polynomial import Monomial, Polynomial, add
from gatewright.claims.terms import TRANSPOSE, Term, Terms, matrices, variables
from gatewright.claims.theory import Quality, Theory
from gatewright.language.cell import Cell, Dims
from gatewright.language.functions import FUNCTIONS, Function
from gatewright.program.compile import Programs
from gatewright.program.ir import Outer, Product, Program, Reduction, Role
from gatewright.program.lower import python_name

HIDDEN: Dims = ("hidden",)
SIZES = {"hidden": 3, "input": 2}
PROBES = 5
Pairs = list[tuple[Term, Term]]


class _Values(Scope):
    """The values computed so far, by the names of a Program or a Cell."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.known: dict[str, Term] = {}

    def vector(self, name: str) -> Term:
        found = self.known.get(name)
        return self.terms.variable(name) if found is None else found

    def matrix(self, name: str) -> LinearMap:
        return lambda vector: self.terms.map(name, vector)

    def is_matrix_name(self, name: str) -> bool:
        return False


def cell_values(terms: Terms, cell: Cell) -> dict[str, Term]:
    """Return what each equation of a cell computes, by the names Programs use."""
    values = _Values(terms)
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
    return check.found


def reverse_identities(programs: Programs, table: Mapping[str, Function]) -> Identities:
    """Return the identities of the reverse Program, given the forward Program."""
    check = _Check(programs, table)
    check.of_program = True
    check.reverse()
    return check.found


class _Check:
    """The identities of one cell's Programs."""

    def __init__(self, programs: Programs, table: Mapping[str, Function]) -> None:
        self.programs, self.table = programs, table
        self.terms = Terms()
        self.found = Identities()
        self.of_program = False
        cell = programs.cell
        self.cell = cell_values(self.terms, cell)
        self.values = self._forward_values()
        scalars = [p.name for p in cell.parameters if not p.dims]
        self.qualities = dict.fromkeys(scalars, Quality.SCALAR)
        self.dims = {
            variable.name: variable.dims for variable in programs.forward.variables.values()
        }
        self.forms = [NormalForm(theory, self.qualities) for theory in Theory]

    def note(self, left: Pairs | None, right: Pairs, text: str) -> None:
        """Decide whether two sums of outer products are equal; None stands for what is missing."""
        self.found.count += 1
        if left is None:
            self.found.broken.append(text)
            return
        for form in self.forms:
            if left == right or same_outers(form, left, right):
                self.found.theory = max(self.found.theory, form.theory)
                return
        if differ(left, right, self.dims):
            self.found.broken.append(text)
        else:
            self.found.undecided.append(text)

    def equal(self, left: Term | None, right: Term, text: str) -> None:
        """Decide whether two terms are equal."""
        one = self.terms.one
        self.note(None if left is None else [(left, one)], [(right, one)], text)

    def _forward_values(self) -> dict[str, Term]:
        program = self.programs.forward
        values = _Values(self.terms)
        for constant in self.programs.cell.constants:
            values.known[constant.name] = self.terms.number(exact(constant.value))
        self._run(program, values)
        return values.known

    def _run(self, program: Program, values: _Values) -> None:
        for statement in program.statements():
            if not isinstance(statement, Product):
                name = statement.target.name
                values.known[name] = vector_of(self.terms, statement.expr, values)
            elif statement.transposed:
                total = self.terms.zero
                for weight, operand in zip(statement.weights, statement.operands, strict=True):
                    part = self.terms.map(f"{weight}{TRANSPOSE}", values.vector(operand))
                    total = self.terms.add(total, part)
                values.known[statement.targets[0].name] = total
            else:
                operand_term = values.vector(statement.operands[0])
                for target, weight in zip(statement.targets, statement.weights, strict=True):
                    values.known[target.name] = self.terms.map(weight, operand_term)

    def forward(self) -> None:
        """Hold every equation, next state and the output against the forward Program."""
        program, cell = self.programs.forward, self.programs.cell
        for equation in cell.equations:
            name = python_name(equation.target)
            if name in self.values:
                text = f"`{name}` is not the equation `{equation.target}`"
                self.equal(self.values[name], self.cell[equation.target], text)
        output = self.values.get(program.results[0])
        self.equal(output, self.cell[cell.output], f"`{program.results[0]}` is not the output")
        ends = dict(program.carried)
        for state in cell.states:
            end = self.values.get(ends.get(state.name, ""))
            target = self.cell[f"{state.name}'"]
            self.equal(end, target, f"the next `{state.name}` is not carried")

    def reverse(self) -> None:
        """Hold every result of the reverse Program against the adjoints of the equations."""
        forward, reverse = self.programs.forward, self.programs.reverse
        expected = self._expected()
        values = _Values(self.terms)
        values.known |= self.values
        self._run(reverse, values)
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

    def _adjoint(self, name: str, found: str, values: _Values, expected: Adjoints) -> None:
        wanted = expected.variables.get(name, self.terms.zero)
        text = f"`{found}` is not the adjoint of `{name}`"
        self.equal(values.known.get(found), wanted, text)

    def _parameters(self, values: _Values, expected: Adjoints) -> None:
        outers: dict[str, Pairs] = {}
        sums: dict[str, Term] = {}
        for item in self.programs.reverse.outers:
            if isinstance(item, Reduction):
                sums[item.target.name] = vector_of(self.terms, item.expr, values)
            elif isinstance(item, Outer):
                right = values.vector(item.right)
                for target, left in zip(item.targets, item.lefts, strict=True):
                    outers.setdefault(target.name, []).append((values.vector(left), right))
        for variable in self.programs.forward.roles(Role.PARAMETER):
            gradient = f"d_{variable.name}"
            text = f"`{gradient}` is not the gradient of `{variable.name}`"
            if len(variable.dims) == 2:
                pairs = expected.matrices.get(variable.name, [])
                self.note(outers.get(gradient, []), pairs, text)
            else:
                wanted = expected.variables.get(variable.name, self.terms.zero)
                self.equal(sums.get(gradient), wanted, text)


def same_outers(form: NormalForm, left: Pairs, right: Pairs) -> bool:
    """Tell whether two sums of outer products are equal: by the monomials on the right side."""
    by_right: dict[Monomial, Polynomial] = {}
    for sign, pairs in ((1, left), (-1, right)):
        for one, other in pairs:
            first = form.of(one)
            for monomial, value in form.of(other).items():
                outside = tuple(power for power in monomial if form.scalar[power[0]])
                inside = tuple(power for power in monomial if not form.scalar[power[0]])
                part = form.multiply(first, {outside: value})
                by_right[inside] = add(by_right.get(inside, {}), part, sign)
    return all(not cleared(form, poly) for poly in by_right.values())


def differ(left: Pairs, right: Pairs, dims: Mapping[str, Dims]) -> bool:
    """Tell whether random numbers show two sums of outer products to be different."""
    rng = random.Random(0)
    roots = [term for pair in (*left, *right) for term in pair]
    return any(_apart(left, right, roots, dims, rng) for _ in range(PROBES))


def _apart(
    left: Pairs, right: Pairs, roots: list[Term], dims: Mapping[str, Dims], rng: random.Random
) -> bool:
    def draw() -> Fraction:
        return Fraction(rng.randint(-64, 64), 64)

    vectors = {}
    for name in sorted(variables(roots)):
        known = dims.get(name, dims.get(name.removeprefix("ct_").removesuffix("_next"), HIDDEN))
        vectors[name] = [draw() for _ in range(SIZES.get(known[0], 2) if known else 1)]
    found: dict[str, list[list[Fraction]]] = {}
    for name in sorted(matrices(roots)):
        rows, columns = (SIZES.get(dim, 2) for dim in dims[name])
        found[name] = [[draw() for _ in range(columns)] for _ in range(rows)]
        found[name + TRANSPOSE] = [list(row) for row in zip(*found[name], strict=True)]
    try:
        values = evaluate(roots, Model(vectors, found, {}), Floats())
    except (ZeroDivisionError, OverflowError, ValueError, KeyError):
        return False
    one = _summed(values[: 2 * len(left)])
    other = _summed(values[2 * len(left) :])
    keys = one.keys() | other.keys()
    scale = max((abs(v) for v in (*one.values(), *other.values())), default=1.0)
    return any(abs(one.get(k, 0.0) - other.get(k, 0.0)) > 1e-9 * max(scale, 1) for k in keys)


def _summed(values: list[list[float]]) -> dict[tuple[int, int], float]:
    total: dict[tuple[int, int], float] = {}
    width = max((len(value) for value in values[::2]), default=1)
    for first, second in zip(values[::2], values[1::2], strict=True):
        for i, a in enumerate(first * width if len(first) == 1 else first):
            for j, b in enumerate(second):
                total[i, j] = total.get((i, j), 0.0) + a * b
    return total
