"""Kernel of all steps -> terms: the same sequence as its steps one by one, on symbols.

Trusted, as the text only calls them: the parts that bring operands together and multiply. Held
against the text are what is multiplied with what, what every element reads and where it is stored,
how often blocks have met, that totals are read when all warps have added to them, and that an
operand is what was shared before the last meeting, since blocks that own all units take it from
registers and others from what was shared.

Why barriers are only counted: the emulator finds a missing one by the races that it leaves.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewright.claims.terms import TRANSPOSE, Term
from gatewright.python_syntax import parsed
from gatewright.verify.scalar_text import Scalars, TextError

if TYPE_CHECKING:
    from gatewright.verify.pointer_run import PointerMachine

_GIVEN = ["T", "B", "counters", "exchange"]
_EACH, _OWNS, _ROW = "range(EACH)", "owns(each, B)", "own_row(each, B)"
_REGISTERS = re.compile(r"local_array\((EACH|HELD|SUMS)(?:_(\d+))?, real\)")
# What registers are for, by the size that their number is a multiple of.
_HOLD = {"held": "HELD", "totals": "SUMS"}


@dataclass(frozen=True)
class _At:
    """The element of a step, the current row and unit in an array of so many columns."""

    slab: int
    pitch: int


class WholeRun:
    """Runs one kernel of all steps; `given` are the values of the driver in whose place it is."""

    def __init__(
        self, machine: PointerMachine, routine: ast.FunctionDef, given: Mapping[str, Any]
    ) -> None:
        self.machine, self.routine = machine, routine
        names = [arg.arg for arg in routine.args.args]
        if names[: len(_GIVEN)] != _GIVEN:
            raise TextError(f"`{routine.name}` takes something else", routine)
        self.env: dict[str, Any] = {"T": given["T"], **{n: given[n] for n in names[len(_GIVEN) :]}}
        self.scalars = Scalars(machine.file, machine.terms, machine.functions, self._element)
        self.weights: list[str] = []
        self.registers: dict[str, int] = {}
        self.kept: dict[str, Term] = {}
        self.sums: dict[int, Term] = {}
        self.totals: dict[int, Term] = {}
        self.shared: dict[int, Term] = {}
        self.tiles: dict[int, Term] = {}
        self.met = 0
        self.cleared = False

    def run(self) -> None:
        """Run the kernel on the machine's memory."""
        self._block(self.routine.body, self.env)

    def _block(self, body: list[ast.stmt], env: dict[str, Any]) -> None:
        for statement in body:
            match statement:
                case ast.Expr(value=ast.Constant()):
                    continue
                case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=arguments)):
                    self._part(name, arguments, env, statement)
                case ast.Assign(targets=[ast.Name(id="unit")], value=value):
                    _require(ast.unparse(value) == "own_unit()", statement)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found = _REGISTERS.fullmatch(ast.unparse(value))
                    _require(found is not None and name not in self.registers, statement)
                    assert found
                    _require(found[1] == _HOLD.get(name, "EACH"), statement)
                    self.registers[name] = int(found[2] or 1)
                case ast.For(target=ast.Name(id="each"), iter=every):
                    _require(ast.unparse(every) == _EACH, statement)
                    self._elements(statement.body, dict(env))
                case ast.For(target=ast.Name(id="tile"), iter=every):
                    for tile in self.machine._value(every, env):
                        self._block(statement.body, {**env, "tile": tile})
                case ast.For(target=ast.Name(id="t")):
                    for t in self.machine._value(statement.iter, env):
                        self._block(statement.body, {**env, "t": t})
                case ast.If(test=test, orelse=[_, *_]) if ast.unparse(test) == "TILES > 1":
                    before = dict(self.sums)
                    self._block(statement.body, env)
                    # The other way has one tile, and nothing in it yet.
                    together, self.sums, self.tiles = self.sums, before, {}
                    self._block(statement.orelse, env)
                    _require(self.sums == together and set(self.tiles) == {0}, statement)
                case _:
                    raise TextError("a statement without a meaning", statement)

    def _part(
        self, name: str, arguments: list[ast.expr], env: dict[str, Any], node: ast.AST
    ) -> None:
        """Do what a part of such kernels does."""
        words = [ast.unparse(argument) for argument in arguments]
        numbers = [int(word) for word in words if word.isdecimal()]
        match name, words, numbers:
            case "load_rows" | "load_columns", ["held", weight, _], [slot]:
                _require(slot == len(self.weights) and weight in env, node)
                _require(slot < self.registers.get("held", 0), node)
                turned = TRANSPOSE if name == "load_columns" else ""
                self.weights.append(f"{env[weight].array}{turned}")
            case "clear_tiles", [], []:
                _require(self.met == 0, node)
                self.cleared = True
            case "share", ["exchange", _, kept, _], [operand, *_]:
                _require(self._meetings(arguments[3], env) == self.met + 1, node)
                self.shared[operand] = self.kept[kept]
            case "meet", ["counters", _], _:
                self.met += 1
                self.tiles = {}
                _require(self._meetings(arguments[1], env) == self.met, node)
            case "clear", ["totals", _], [count]:
                _require(count <= self.registers.get("totals", 0), node)
                self.sums = dict.fromkeys(range(count), self.machine.terms.zero)
                self.totals = {}
            case "fill", [_, "exchange", _, kept, _], [tile, operand, *_]:
                _require(self._meetings(arguments[4], env) == self.met, node)
                _require(self.shared.get(operand) == self.kept.get(kept), node)
                self.tiles[tile] = self.kept[kept]
            case "multiply", ["totals", "held", *_], _ if len(arguments) == 6:
                first, slot, count, tile = (self._number(each, env) for each in arguments[2:])
                _require(self.cleared and slot + count <= len(self.weights), node)
                for j in range(count):
                    product = self.machine.terms.map(self.weights[slot + j], self.tiles[tile])
                    total = self.machine.terms.add(self.sums[first + j], product)
                    self.sums[first + j] = total
            case "collect", ["totals", _], [count]:
                _require(count == len(self.sums), node)
                self.totals, self.shared = self.sums, {}
            case "syncthreads" | "filled", [], []:
                return
            case _:
                raise TextError(f"a call of `{name}` without a meaning", node)

    def _number(self, node: ast.expr, env: dict[str, Any]) -> int:
        found = self.machine._value(node, env)
        _require(isinstance(found, int), node)
        return int(found)

    def _meetings(self, node: ast.expr, env: dict[str, Any]) -> int:
        match node:
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self._meetings(left, env) * self._meetings(right, env)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self._meetings(left, env) - self._meetings(right, env)
        return self._number(node, env)

    def _elements(self, body: list[ast.stmt], env: dict[str, Any]) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="row")], value=value):
                    _require(ast.unparse(value) == _ROW, statement)
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
                    name == "at" or name.startswith("at_")
                ):
                    env[name] = self._at(value, env, statement)
                case ast.Assign(targets=[ast.Subscript() as target], value=value):
                    self._kept(target, value, env)
                case ast.Assign(targets=[target], value=ast.Call() as call):
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    results = self._stage(call, env)
                    _require(len(names) == len(results), statement)
                    for each, result in zip(names, results, strict=True):
                        env[ast.unparse(each)] = result
                case ast.If(test=test, orelse=[]) if ast.unparse(test) == _OWNS:
                    for store in statement.body:
                        self._stored(store, env)
                case _:
                    raise TextError("a statement without a meaning", statement)

    def _kept(self, target: ast.Subscript, value: ast.expr, env: dict[str, Any]) -> None:
        name = ast.unparse(target.value)
        _require(ast.unparse(target.slice) == "each", target)
        _require(name.endswith("_kept") and self.registers.get(name) == 1, target)
        if isinstance(value, ast.IfExp):
            _require(ast.unparse(value.test) == _OWNS, target)
            _require(ast.unparse(value.orelse) == "real(0)", target)
            value = value.body
        self.kept[name] = self.scalars.read(value, env)

    def _stored(self, store: ast.stmt, env: dict[str, Any]) -> None:
        match store:
            case ast.Assign(
                targets=[
                    ast.Subscript(value=ast.Name(id=array), slice=ast.Name(id=index)) as target
                ],
                value=value,
            ) if isinstance(env.get(index), _At):
                slot = self._slot(array, env[index], env, target)
                self.machine.memory[slot] = self.scalars.read(value, env)
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id=array), slice=place) as target],
                value=value,
            ):
                slot = self._slot(array, self._at(place, env, store), env, target)
                self.machine.memory[slot] = self.scalars.read(value, env)
            case _:
                raise TextError("a store without a meaning", store)

    def _stage(self, call: ast.Call, env: dict[str, Any]) -> list[Term]:
        routines = self.machine.file.routines
        name = ast.unparse(call.func)
        _require(name in routines and name not in self.machine.functions, call)
        values = [self.scalars.read(each, env) for each in call.args]
        return self.scalars.body(routines[name], values)

    def _at(self, node: ast.expr, env: dict[str, Any], where: ast.AST) -> _At:
        """Return the place that `(t * B + row) * (3 * HIDDEN) + unit` is."""
        found = re.fullmatch(
            r"(?:row|\((.*) \* B \+ row\)) \* (?:HIDDEN|\((\d+) \* HIDDEN\)) \+ unit",
            ast.unparse(node),
        )
        _require(found is not None, where)
        assert found
        (slab,) = parsed(found[1] or "0").body
        assert isinstance(slab, ast.Expr)
        return _At(self.machine._value(slab.value, env), int(found[2] or 1))

    def _slot(
        self, array: str, place: _At, env: Mapping[str, Any], node: ast.AST
    ) -> tuple[str, int | None]:
        rows = env.get(array)
        _require(rows is not None and rows.array not in self.machine.file.dims, node)
        assert rows is not None
        _require(self.machine.file.pitch(rows.array) == place.pitch, node)
        return self.machine._slabs(rows.array, place.slab, 1, node).slots[0]

    def _load(self, array: str, place: _At, env: Mapping[str, Any], node: ast.AST) -> Term:
        return self.machine._load(self._slot(array, place, env, node), node)

    def _element(self, node: ast.expr, env: Mapping[str, Any]) -> Term:
        """Return the term of a register, of an element, or of a number that has a name."""
        match node:
            case ast.Subscript(value=ast.Name(id="totals"), slice=index):
                found = re.fullmatch(r"(?:(\d+) \* EACH \+ )?each", ast.unparse(index))
                if found and int(found[1] or 0) in self.totals:
                    return self.totals[int(found[1] or 0)]
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id="each")):
                if name in self.kept:
                    return self.kept[name]
            case ast.Subscript(value=ast.Name(id=array), slice=ast.Name(id=index)) if isinstance(
                env.get(index), _At
            ):
                return self._load(array, env[index], env, node)
            case ast.Subscript(value=ast.Name(id=array), slice=index):
                rows = env.get(array)
                if rows is not None and self.machine.file.indexed(rows.array, index):
                    return self.machine._load(rows.slots[0], node)
            case ast.Name():
                return self.machine._element(node, env)
        raise TextError(f"`{ast.unparse(node)}` has no meaning", node)


def _require(holds: bool, node: ast.AST) -> None:
    if not holds:
        raise TextError("something else is wanted", node)
