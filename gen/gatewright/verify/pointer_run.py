"""Generated CUDA text -> terms: kernels that take pointers, and places of elements, on symbols.

What a kernel may say of rows, units and places is a handful of phrases, held against the text word
for word; a place counts for as many columns as stand side by side in the array's memory, and an
array that is indexed by another is a fault.

Why phrases and not arithmetic: an index that is right for some sizes and wrong for others is then
refused, not sampled.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatewright.claims.terms import Term, Terms
from gatewright.verify.scalar_text import GeneratedFile, TextError
from gatewright.verify.symbolic_run import WHOLE, Machine, Rows, Slot
from gatewright.verify.whole_run import WholeRun

_COUNTS = ["row_count", "unit_count"]
_BEGIN, _BEGIN_SUM = "row, unit = (this_row(), this_unit())", "unit = this_unit()"
_INSIDE, _INSIDE_SUM = "row < row_count and unit < unit_count", "unit < unit_count"
_ROWS, _LANE = "range(this_row(), row_count, all_rows())", "this_row() * unit_count + unit"


@dataclass(frozen=True)
class Place:
    """Where the element of the current row and unit is, in an array of so many columns."""

    pitch: int


class PointerMachine(Machine):
    """Runs the routines of a CUDA file; with `wholes`, its kernels of all steps for the steps."""

    def __init__(
        self, file: GeneratedFile, terms: Terms, functions: Mapping[str, str], wholes: bool
    ) -> None:
        super().__init__(file, terms, functions)
        self.wholes = wholes

    def run(self, name: str, steps: Mapping[str, int], places: str) -> None:
        """Run `forward` or `backward`; a text that makes no sense at all raises TextError too."""
        try:
            super().run(name, steps, places)
        except (IndexError, SyntaxError) as error:
            raise TextError(f"in `{name}`: {error}", ast.Pass()) from None

    def _call(self, routine: ast.FunctionDef, values: list[Any]) -> None:
        names = [arg.arg for arg in routine.args.args]
        whole = self.file.routines.get(f"{routine.name}_whole") if self.wholes else None
        if whole is not None:
            if len(names) != len(values):
                raise TextError(f"`{routine.name}` gets {len(values)} arguments", routine)
            WholeRun(self, whole, dict(zip(names, values, strict=True))).run()
        elif names[:2] == _COUNTS:
            self._kernel(routine, names[2:], values)
        else:
            super()._call(routine, values)

    def _kernel(self, routine: ast.FunctionDef, names: list[str], values: list[Any]) -> None:
        more = isinstance(values[0], bool) and values.pop(0)
        if len(names) != len(values):
            raise TextError(f"`{routine.name}` gets {len(values)} arguments", routine)
        env: dict[str, Any] = dict(zip(names, values, strict=True))
        slabs = {
            len(rows.slots) for rows in values if self.file.place_of(rows.array) not in _NO_ROWS
        }
        if len(slabs) != 1:
            raise TextError("arrays with different numbers of rows", routine)
        begin, inside = [s for s in routine.body if not isinstance(s, ast.Expr)]
        summed = ast.unparse(begin) == _BEGIN_SUM
        expected = (_BEGIN_SUM, _INSIDE_SUM) if summed else (_BEGIN, _INSIDE)
        fits = isinstance(inside, ast.If) and not inside.orelse
        if not fits or (ast.unparse(begin), ast.unparse(inside.test)) != expected:  # type: ignore[attr-defined]
            raise TextError("a kernel that visits something else", routine)
        body = inside.body  # type: ignore[attr-defined]
        if summed:
            self._sum(body, env, slabs.pop(), more)
        else:
            for row in range(slabs.pop()):
                self._statements(body, {**env, "row": row}, {})

    def _statements(
        self, body: list[ast.stmt], env: dict[str, Any], parts: dict[str, Term]
    ) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    env[name] = _place(value, statement)
                case ast.Assign(targets=[target], value=value):
                    self._store(target, value, env)
                case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                    more = self.scalars.read(value, env)
                    parts[name] = self.terms.add(parts[name], more)
                case _:
                    raise TextError("a statement without a meaning", statement)

    def _sum(self, body: list[ast.stmt], env: dict[str, Any], rows: int, more: bool) -> None:
        parts: dict[str, Term] = {}
        lane = False
        for statement in body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
                    ast.unparse(value) == "real(0)"
                ):
                    parts[name] = self.terms.zero
                case ast.For(target=ast.Name(id="row")) if ast.unparse(statement.iter) == _ROWS:
                    # Lanes add in an order of their own; the last first is the Programs'.
                    for row in reversed(range(rows)):
                        self._statements(statement.body, {**env, "row": row}, parts)
                case ast.Assign(targets=[ast.Name(id="at")], value=value) if (
                    ast.unparse(value) == _LANE
                ):
                    lane = True
                case ast.Assign(
                    targets=[ast.Subscript(value=ast.Name(id=array), slice=ast.Name(id="at"))],
                    value=ast.Name(id=name),
                ) if lane:
                    slot = env[array].array, WHOLE
                    old = self._load(slot, statement) if more else self.terms.zero
                    self.memory[slot] = self.terms.add(old, parts[name])
                case _:
                    raise TextError("a statement without a meaning", statement)

    def _slot(self, node: ast.expr, env: Mapping[str, Any]) -> Slot:
        """Return the slab of `a[at_3]`, `a[unit]` or `a[0]`."""
        match node:
            case ast.Subscript(value=ast.Name(id=array), slice=index):
                rows = env.get(array)
                place = env.get(index.id) if isinstance(index, ast.Name) else None
                if isinstance(rows, Rows) and isinstance(place, Place):
                    if self.file.pitch(rows.array) != place.pitch or rows.array in self.file.dims:
                        raise TextError(f"`{array}` has other columns", node)
                    return rows.slots[env["row"]]
                if isinstance(rows, Rows) and self.file.indexed(rows.array, index):
                    return rows.slots[0]
        raise TextError(f"`{ast.unparse(node)}` is no element of an array", node)


_NO_ROWS = ("", "gradient")


def _place(node: ast.expr, where: ast.AST) -> Place:
    """Return the place that `row * (3 * unit_count) + unit` is."""
    match node:
        case ast.BinOp(
            left=ast.BinOp(left=ast.Name(id="row"), op=ast.Mult(), right=width),
            op=ast.Add(),
            right=ast.Name(id="unit"),
        ):
            match width:
                case ast.Name(id="unit_count"):
                    return Place(1)
                case ast.BinOp(
                    left=ast.Constant(value=int() as pitch),
                    op=ast.Mult(),
                    right=ast.Name(id="unit_count"),
                ):
                    return Place(pitch)
    raise TextError("a place without a meaning", where)
