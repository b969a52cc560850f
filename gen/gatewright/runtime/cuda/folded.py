"""Text of kernels -> the same text without the branches that its sizes rule out.

What is known is the module's own numbers, `BLOCKS = 1` for example. A test of nothing else is
decided here; of `a or b` and `a and b` only the parts that can decide stay.

Why before Numba, which drops them too: it first types and copies all branches of every function,
each time it expands one, and that is most of the time to the first result.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from gatewright.python_syntax import parsed

_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def folded(text: str) -> str:
    """Return the text with its decided branches only."""
    tree = parsed(text)
    known = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, int)
    }
    return ast.unparse(ast.fix_missing_locations(_Folder(known).visit(tree))) + "\n"


class _Folder(ast.NodeTransformer):
    """Replaces what the known numbers decide."""

    def __init__(self, known: Mapping[str, int]) -> None:
        self.known = known

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        decided = self._value(node.test)
        if decided is None:
            return node
        return (node.body if decided else node.orelse) or ast.Pass()

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        decided = self._value(node.test)
        if decided is None:
            return node
        return node.body if decided else node.orelse

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        ends = isinstance(node.op, ast.Or)
        left = []
        for value in node.values:
            decided = self._value(value)
            if decided is None:
                left.append(value)
            elif bool(decided) == ends:
                left.append(ast.Constant(ends))
                break
        if not left:
            return ast.Constant(not ends)
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def _value(self, node: ast.expr) -> Any:
        """Return what an expression is, None if the known numbers do not say."""
        match node:
            case ast.Constant(value=int(value)):
                return value
            case ast.Name(id=name):
                return self.known.get(name)
            case ast.BinOp(left=left, op=operation, right=right):
                return self._computed(operation, left, right)
            case ast.Compare(left=left, ops=[comparison], comparators=[right]):
                return self._computed(comparison, left, right)
        return None

    def _computed(self, operation: ast.AST, left: ast.expr, right: ast.expr) -> Any:
        first, second = self._value(left), self._value(right)
        if first is None or second is None or type(operation) not in _OPERATORS:
            return None
        return _OPERATORS[type(operation)](first, second)
