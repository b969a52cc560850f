"""Text of kernels -> the same text with places to pause: what the emulator runs.

A function that waits for other threads, itself or through one that it calls, becomes a generator:
every such call is awaited with `yield from` and told its line, by which the emulator recognises a
barrier that only some threads reach.

Why the text is rewritten and not run in threads of the operating system: a generator is paused and
resumed a hundred times faster, in an order that a seed decides.
"""

from __future__ import annotations

import ast

from gatewright.python_syntax import parsed

# What waits for other threads; everything else runs through.
WAITING = frozenset(
    {
        "syncthreads",
        "wait_for",
        "shuffle_xor",
        "multiply_tiles",
    }
)


def pausing(text: str, known: frozenset[str] = frozenset()) -> tuple[str, frozenset[str]]:
    """Return the text with pauses, and the names of its functions that pause.

    `known` are functions it imports that pause.
    """
    tree = parsed(text)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    paused: set[str] = set(WAITING | known)
    while more := {
        name for name, node in functions.items() if name not in paused and _calls(node) & paused
    }:
        paused |= more
    awaited = _Awaited(paused)
    for name, node in functions.items():
        if name in paused:
            awaited.where = name
            awaited.generic_visit(node)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n", frozenset(paused & functions.keys())


def barriers(text: str) -> int:
    """Return how many statements of the text are calls of a barrier."""
    return sum(_is_barrier(node) for node in ast.walk(parsed(text)))


def without_barrier(text: str, number: int) -> tuple[str, str]:
    """Return the text without one of its barriers, and where that stood."""
    tree = parsed(text)
    remover = _Remover(number)
    remover.visit(tree)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n", remover.where


_BARRIERS = ("copied", "filled", "meet", "release", "syncthreads", "wait_for")


def _is_barrier(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name))):
            return name in _BARRIERS
    return False


def _calls(function: ast.FunctionDef) -> set[str]:
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


class _Awaited(ast.NodeTransformer):
    """Awaits the calls of functions that pause."""

    def __init__(self, paused: set[str]) -> None:
        self.paused = paused
        self.where = ""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id not in self.paused:
            return node
        if node.func.id in WAITING:
            site = ast.Constant(f"{node.func.id} in {self.where}, line {node.lineno}")
            node.keywords.append(ast.keyword("site", site))
        return ast.YieldFrom(node)


class _Remover(ast.NodeTransformer):
    """Replaces one barrier by `pass`."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.where = ""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if _is_barrier(node):
            self.left -= 1
            if self.left == -1:
                self.where = f"{ast.unparse(node)}, line {node.lineno}"
                return ast.copy_location(ast.Pass(), node)
        return node
