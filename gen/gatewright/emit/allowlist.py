"""Generated text -> nothing, or InternalError: the second wall between a spec and running code.

The reader admits only harmless names and numbers; this stage parses what was emitted all the same
and accepts nothing but what generated files are made of: known imports, decorated functions,
assignments, loops over `range`, branches, arithmetic, and calls of what the file defines or
imports.

Why an allow-list of syntax and not a search for bad words: a new way to write something dangerous
is refused without anyone having thought of it.
"""

from __future__ import annotations

import ast

from gatewright.language.diagnostics import InternalError
from gatewright.python_syntax import parsed

_MODULES = {
    "numpy": {"float64"},
    "gatewright.runtime.layout": {"Layout"},
    "gatewright.runtime.cpu": None,
    "gatewright.runtime.cuda": None,
    "gatewright.runtime.cuda.parts": None,
    "gatewright.runtime.cuda.sizes": None,
}
_DECORATORS = {"device", "driver", "rows", "units", "whole"}
_NODES = (
    ast.Module, ast.ImportFrom, ast.alias, ast.FunctionDef, ast.arguments, ast.arg, ast.Return,
    ast.Assign, ast.AugAssign, ast.For, ast.If, ast.Expr, ast.Call, ast.keyword, ast.Name,
    ast.Constant,
    ast.Tuple, ast.Dict, ast.Subscript, ast.Attribute, ast.BinOp, ast.UnaryOp, ast.BoolOp,
    ast.Compare, ast.IfExp, ast.Load, ast.Store, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def require_allowed(text: str, path: str) -> None:
    """Raise InternalError naming the file and line unless the text keeps to the allow-list."""
    try:
        tree = parsed(text)
    except (SyntaxError, ValueError) as error:
        raise InternalError(f"generated {path} is not Python: {error}") from None
    callable_names = {"range", "min", "max"}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            callable_names.add(statement.name)
        elif isinstance(statement, ast.ImportFrom):
            callable_names.update(alias.asname or alias.name for alias in statement.names)
    for node in ast.walk(tree):
        if problem := _problem(node, callable_names):
            line = getattr(node, "lineno", 0)
            raise InternalError(f"generated {path}:{line}: {problem} is not allowed")
    for statement in tree.body:
        if not isinstance(statement, ast.Expr | ast.ImportFrom | ast.Assign | ast.FunctionDef):
            raise InternalError(f"generated {path}:{statement.lineno}: a statement at top level")


def _problem(node: ast.AST, callable_names: set[str]) -> str:
    if not isinstance(node, _NODES):
        return type(node).__name__
    match node:
        case ast.ImportFrom(module=module, names=aliases):
            allowed = _MODULES.get(module or "", set())
            if module not in _MODULES:
                return f"import from {module}"
            for alias in aliases:
                if alias.name.startswith("_") or (
                    allowed is not None and alias.name not in allowed
                ):
                    return f"import of {alias.name}"
        case ast.FunctionDef(decorator_list=decorators, args=arguments):
            plain = all(isinstance(d, ast.Name) and d.id in _DECORATORS for d in decorators)
            if not plain or arguments.vararg or arguments.kwarg or arguments.defaults:
                return f"the form of function {node.name}"
        case ast.Call(func=function):
            if not isinstance(function, ast.Name) or function.id not in callable_names:
                return f"a call of {ast.unparse(function)}"
        case ast.Attribute(attr=attribute):
            if attribute != "shape":
                return f"attribute {attribute}"
        case ast.Name(id=name) if name.startswith("_"):
            return f"the name {name}"
        case ast.Expr(value=value):
            if not isinstance(value, ast.Call | ast.Constant):
                return "an expression statement"
        case ast.Constant(value=value):
            if not isinstance(value, str | int | float):
                return f"the constant {value!r}"
    return ""
