"""Generated text -> terms: runs the routines of a generated file on symbols instead of numbers.

The text is parsed anew and read with Python's own precedence; nothing of the printer takes part. An
array is a name with time steps, an element of it a term in what the caller gave. Sizes are
symbols, the number of time steps and the length of a chunk are numbers, so loops over time run as
they are written and loops over rows and units once for all of them.

Trusted, as the text only calls it: the runtime's matrix products, loops over shares of threads, and
the functions of its mathematics library.

Why run and not compared line by line: an argument passed in the wrong place, an index one step off
or a value used before it is written are faults of the text as a whole.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatewright.claims.terms import TRANSPOSE, Term, Terms
from gatewright.verify.scalar_text import GeneratedFile, Scalars, TextError

# What runs once for all threads here.
SYNCHRONISING = frozenset({"wait", "meet"})
WHOLE = None
FLAGS = ("kept", "more", "inputs")
Slot = tuple[str, int | None]


@dataclass(frozen=True)
class Rows:
    """What a routine gets for an array: its slabs, one per time step; one in all if it has none."""

    slots: tuple[Slot, ...]

    @property
    def array(self) -> str:
        """The name of the array."""
        return self.slots[0][0]


Arrays = tuple[Rows, ...]


class _Part:
    """The share of one thread, which is all there is."""


PART = _Part()


@dataclass(frozen=True)
class _Grid:
    """Where a loop over an axis begins or how it goes on, with all threads of a device at work."""

    axis: int
    begins: bool


_GRID = {
    "first_row": _Grid(0, True),
    "first_unit": _Grid(1, True),
    "all_rows": _Grid(0, False),
    "all_units": _Grid(1, False),
}
Pairs = list[tuple[Term, Term]]


def slabs(place: str, steps: Mapping[str, int]) -> int:
    """Return how many slabs the runtime allocates for an array of a place."""
    T, chunk = steps["T"], steps["chunk"]
    known = {"time": T, "carried": T + 1, "chunk": chunk, "turns": 2}
    return known.get(place, (T if steps.get("kept", 1) else chunk) if place == "saved" else 0)


class Machine:
    """Runs routines of one file; `memory` has the term of every slab, `outers` sums of products.

    `functions` gives the meaning of a function of scalars that the file defines: the name of the
    row of the function table that it was proved to be.
    """

    def __init__(self, file: GeneratedFile, terms: Terms, functions: Mapping[str, str]) -> None:
        self.file, self.terms, self.functions = file, terms, functions
        self.scalars = Scalars(file, terms, functions, self._element)
        self.memory: dict[Slot, Term] = {}
        self.sizes: dict[str, int] = {}
        self.outers: dict[str, Pairs] = {}

    def run(self, name: str, steps: Mapping[str, int], places: str) -> None:
        """Run `forward` or `backward` for T time steps; each array is that of its name.

        `places` says which part of the file's layout the number of slabs of each array comes from.
        """
        given: dict[str, Any] = {n: bool(v) if n in FLAGS else v for n, v in steps.items()}
        self.sizes = {
            array: slabs(place, steps) for array, place in self.file.places[places].items()
        }
        routine = self.file.routines.get(name)
        if routine is None:
            raise TextError(f"there is no `{name}`", ast.Pass())
        values = [
            PART if arg.arg == "part" else given.get(arg.arg, Rows(((arg.arg, WHOLE),)))
            for arg in routine.args.args
        ]
        try:
            self._call(routine, values)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            # What is no array where one is wanted, or tuples of different lengths.
            raise TextError(f"in `{name}`: {error}", routine) from None

    def _call(self, routine: ast.FunctionDef, values: list[Any]) -> None:
        names = [arg.arg for arg in routine.args.args]
        if len(names) != len(values):
            raise TextError(f"`{routine.name}` gets {len(values)} arguments", routine)
        self._block(routine.body, dict(zip(names, values, strict=True)))

    def _block(self, body: list[ast.stmt], env: dict[str, Any]) -> None:
        for statement in body:
            match statement:
                case ast.Expr(value=ast.Constant()):
                    continue
                case ast.Expr(value=ast.Call() as call):
                    self._statement(call, env)
                case ast.For(target=ast.Name(id=name)):
                    for value in self._range(statement, env):
                        self._block(statement.body, {**env, name: value})
                case ast.If(test=ast.Name(id=name), orelse=[]) if isinstance(env.get(name), bool):
                    if env[name]:
                        self._block(statement.body, env)
                case ast.Assign(targets=[ast.Name(id=name)]):
                    env[name] = self._value(statement.value, env)
                case ast.Assign(targets=[target]):
                    self._store(target, statement.value, env)
                case ast.AugAssign(target=ast.Subscript() as target, op=ast.Add()):
                    slot = self._slot(target, env)
                    more = self.scalars.read(statement.value, env)
                    self.memory[slot] = self.terms.add(self._load(slot, target), more)
                case _:
                    raise TextError("a statement without a meaning", statement)

    def _range(self, loop: ast.For, env: dict[str, Any]) -> range:
        found = self._value(loop.iter, env)
        axes = {each.slice.value for each in ast.walk(loop.iter) if _is_shape(each)}  # type: ignore[attr-defined]
        name = loop.target.id if isinstance(loop.target, ast.Name) else ""
        if not isinstance(found, range) or not axes <= {{"row": 0, "unit": 1}.get(name, 0)}:
            raise TextError("a loop over something else", loop)
        return found

    def _statement(self, call: ast.Call, env: dict[str, Any]) -> None:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        values = [self._value(each, env) for each in call.args]
        if name in self.file.routines:
            self._call(self.file.routines[name], values)
            return
        if name not in self.file.imported:
            raise TextError(f"`{name}` is not known", call)
        given = [value for value in values if value is not PART]
        match name, given:
            case "product", [Rows() as operand, tuple() as weights, tuple() as targets]:
                self._product(operand, weights, targets, call)
            case "product_transposed", [tuple() as operands, tuple() as weights, Rows() as target]:
                self._transposed(operands, weights, target, call)
            case "outer", [bool() as more, tuple() as lefts, Rows() as right, tuple() as targets]:
                self._outer(more, lefts, right, targets, call)
            case _ if name not in SYNCHRONISING:
                raise TextError(f"a call of `{name}` without a meaning", call)

    def _product(self, operand: Rows, weights: Arrays, targets: Arrays, call: ast.Call) -> None:
        for weight, target in zip(weights, targets, strict=True):
            for source, slot in self._together(call, operand, target):
                self.memory[slot] = self.terms.map(weight.array, self._load(source, call))

    def _transposed(self, operands: Arrays, weights: Arrays, target: Rows, call: ast.Call) -> None:
        for place, slot in enumerate(target.slots):
            total = self.terms.zero
            for operand, weight in zip(operands, weights, strict=True):
                source, _ = self._together(call, operand, target)[place]
                part = self.terms.map(f"{weight.array}{TRANSPOSE}", self._load(source, call))
                total = self.terms.add(total, part)
            self.memory[slot] = total

    def _outer(
        self, more: bool, lefts: Arrays, right: Rows, targets: Arrays, call: ast.Call
    ) -> None:
        for left, target in zip(lefts, targets, strict=True):
            pairs = [
                (self._load(one, call), self._load(other, call))
                for one, other in self._together(call, left, right)
            ]
            known = self.outers.get(target.array, []) if more else []
            self.outers[target.array] = [*known, *pairs]

    def _together(self, node: ast.AST, left: Rows, right: Rows) -> list[tuple[Slot, Slot]]:
        if len(left.slots) != len(right.slots):
            raise TextError("arrays with different numbers of rows", node)
        return list(zip(left.slots, right.slots, strict=True))

    def _store(self, target: ast.expr, value: ast.expr, env: dict[str, Any]) -> None:
        places = target.elts if isinstance(target, ast.Tuple) else [target]
        if isinstance(value, ast.Call) and self._is_stage(value):
            results = self._stage(value, env)
        else:
            results = [self.scalars.read(value, env)]
        if len(places) != len(results):
            raise TextError("as many results as targets are wanted", value)
        for place, result in zip(places, results, strict=True):
            self.memory[self._slot(place, env)] = result

    def _is_stage(self, call: ast.Call) -> bool:
        return isinstance(call.func, ast.Name) and (
            call.func.id in self.file.routines and call.func.id not in self.functions
        )

    def _stage(self, call: ast.Call, env: dict[str, Any]) -> list[Term]:
        """Run a function of scalars that has several statements; return what it returns."""
        assert isinstance(call.func, ast.Name)
        values = [self.scalars.read(each, env) for each in call.args]
        return self.scalars.body(self.file.routines[call.func.id], values)

    def _element(self, node: ast.expr, env: Mapping[str, Any]) -> Term:
        """Return the term of `a[row, unit]`, of `a[unit]`, or of a number that has a name."""
        if isinstance(node, ast.Name):
            value = env.get(node.id)
            if isinstance(value, Rows):
                return self._load(value.slots[0], node)
            raise TextError(f"`{node.id}` is not known", node)
        return self._load(self._slot(node, env), node)

    def _slot(self, node: ast.expr, env: Mapping[str, Any]) -> Slot:
        """Return the slab of `a[row, unit]` or `a[unit]`."""
        match node:
            case ast.Subscript(value=ast.Name(id=array), slice=ast.Tuple(elts=[row, unit])):
                rows, at = env.get(array), self._value(row, env)
                if isinstance(rows, Rows) and _is_unit(unit) and at in range(len(rows.slots)):
                    return rows.slots[at]
            case ast.Subscript(value=ast.Name(id=array), slice=unit) if _is_unit(unit):
                rows = env.get(array)
                if isinstance(rows, Rows) and rows.slots == ((rows.array, WHOLE),):
                    return rows.slots[0]
        raise TextError(f"`{ast.unparse(node)}` is no element of an array", node)

    def _load(self, slot: Slot, node: ast.AST) -> Term:
        if slot not in self.memory:
            raise TextError(f"`{slot[0]}` is read before it is written", node)
        return self.memory[slot]

    def _value(self, node: ast.expr, env: Mapping[str, Any]) -> Any:
        """Return a number of steps, an array or a tuple of arrays."""
        match node:
            case ast.Constant(value=int() | bool() as value):
                return value
            case ast.Name(id=name) if name in env:
                return env[name]
            case ast.Tuple(elts=elements):
                return tuple(self._value(each, env) for each in elements)
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name))) if _is_shape(node):
                return len(env[name].slots) if node.slice.value == 0 else 1  # type: ignore[attr-defined]
            case ast.Subscript(value=ast.Name(id=name), slice=at):
                rows = env.get(name)
                if isinstance(rows, Rows) and rows.slots == ((rows.array, WHOLE),):
                    return self._slabs(rows.array, self._value(at, env), 1, node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._value(operand, env)
            case ast.BinOp(left=left, op=operator, right=right):
                return _whole(operator, self._value(left, env), self._value(right, env), node)
            case ast.BoolOp(op=ast.Or(), values=values):
                return any(self._value(each, env) for each in values)
            case ast.Compare(left=left, ops=[ast.Lt()], comparators=[right]):
                return self._value(left, env) < self._value(right, env)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._value(body if self._value(test, env) else orelse, env)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._whole_call(name, [self._value(each, env) for each in arguments], node)
        raise TextError(f"`{ast.unparse(node)}` has no meaning", node)

    def _slabs(self, array: str, first: int, count: int, node: ast.AST) -> Rows:
        size = self.sizes.get(array, 0)
        if not (first >= 0 and first + count <= size):
            raise TextError(f"`{array}` has {size} slabs, not one at {first + count - 1}", node)
        return Rows(tuple((array, step) for step in range(first, first + count)))

    def _whole_call(self, name: str, values: list[Any], node: ast.AST) -> Any:
        match name, values:
            case "range", [_Grid(axis, True), int() as stop, _Grid(other, False)] if axis == other:
                return range(stop)
            case "range", _:
                return range(*values)
            case "min" | "max", _:
                return min(values) if name == "min" else max(values)
            case "flat", [Rows() as rows, first, last]:
                return self._slabs(rows.array, first, last - first, node)
            case "by_units", _:
                return PART
            case "rows_of", [_Part(), Rows() as rows]:
                return range(len(rows.slots))
            case "units_of", [_Part(), Rows()]:
                return range(1)
            case _, [] if name in _GRID:
                return _GRID[name]
        raise TextError(f"a call of `{name}` without a meaning", node)


def _is_unit(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "unit"


def _is_shape(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "shape"
        and isinstance(node.slice, ast.Constant)
    )


def _whole(operator: ast.operator, left: int, right: int, node: ast.AST) -> int:
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mod():
            return left % right
    raise TextError("arithmetic of steps without a meaning", node)
