"""Generated file -> the same for inference, where nothing is kept for a reverse.

What only the reverse reads, and only steps write, has one slab: steps that run one by one write it
again and again. The kernel of all steps does not store it; what its blocks hand to each other, and
nobody else reads, goes to two slabs in turns.

Why two and not one: a block that is ahead writes for the next step while another still reads for
this one. They meet before each product, so none is ahead by two.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import signature
from typing import Any

from gatewright.python_syntax import parsed
from gatewright.runtime.cuda.matrices import matrices_of
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module

TURNS = 2
# The routines that read or write all time steps at once.
_AT_ONCE = ("before", "after")


def with_stepped(module: Module) -> Module:
    """Return a module in whose layout `stepped` are the saved arrays that only steps touch."""
    names = vars(module.namespace)
    routines = [names[each] for each in _AT_ONCE if each in names]
    at_once = {name for routine in routines for name in signature(routine).parameters}
    places = {
        name: ("stepped", *dims) if place == "saved" and name not in at_once else (place, *dims)
        for name, (place, *dims) in module.layout.forward.items()
    }
    return replace(module, layout=replace(module.layout, forward=places))


def stepped(layout: Layout) -> tuple[str, ...]:
    """Return the arrays that have one slab if nothing is kept."""
    return tuple(name for name, (place, *_) in layout.forward.items() if place == "stepped")


def spread(array: Any, T: int) -> Any:
    """Return an array [1, B, dim] as [T, B, dim], in which every time step is the same memory."""
    library = matrices_of(array)
    return library.strided(array, (T, *array.shape[1:]), (0, *library.strides(array)[1:]))


@dataclass(frozen=True)
class Unkept:
    """A file whose kernel of all steps keeps nothing, and the arrays that are `TURNS` slabs."""

    text: str
    exchanged: tuple[str, ...]


@lru_cache(maxsize=64)
def unkept(text: str, kernel: str, names: tuple[str, ...]) -> Unkept:
    """Return the file where the kernel does not keep the arrays `names`."""
    tree = parsed(text)
    (function,) = (
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == kernel
    )
    dropped = _Dropped(set(names) - _read(function))
    dropped.visit(function)
    uses = _uses(function)
    exchanged = tuple(name for name in names if uses[name])
    turned = _InTurns(exchanged, function)
    turned.visit(function)
    assert turned.uses == sum(uses[name] for name in exchanged), "a use that is not understood"
    return Unkept(ast.unparse(ast.fix_missing_locations(tree)) + "\n", exchanged)


def _uses(function: ast.FunctionDef) -> Counter[str]:
    return Counter(node.id for node in ast.walk(function) if isinstance(node, ast.Name))


def _read(function: ast.FunctionDef) -> set[str]:
    """Return the names that a function uses otherwise than to store into them."""
    stored = {id(target.value) for target in _stores(ast.walk(function))}
    return {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and id(node) not in stored
    }


def _stores(nodes: Iterable[ast.AST]) -> list[ast.Subscript]:
    assigned = (node.targets[0] for node in nodes if isinstance(node, ast.Assign))
    return [target for target in assigned if isinstance(target, ast.Subscript)]


class _Dropped(ast.NodeTransformer):
    """Drops what is stored into some arrays."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        match node.targets:
            case [ast.Subscript(value=ast.Name(id=name))] if name in self.names:
                return None
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        return node if node.body else None


class _InTurns(ast.NodeTransformer):
    """Puts step t of some arrays where step t % TURNS would be."""

    def __init__(self, names: tuple[str, ...], function: ast.FunctionDef) -> None:
        self.names, self.uses = names, 0
        # The places of a step's elements, by name: those in terms of its number.
        self.places = {
            target.id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and _names_step(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id=place)):
                if name in self.names:
                    self.uses += 1
                    node.slice = _Turn().visit(copy.deepcopy(self.places[place]))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id="fill"), args=[_, _, ast.Name(id=name), first, *_]):
                if name in self.names:
                    self.uses += 1
                    node.args[3] = _Turn().visit(first)
        return node


class _Turn(ast.NodeTransformer):
    """Replaces the number of a step by that of its slab."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id != "t":
            return node
        return ast.BinOp(node, ast.Mod(), ast.Constant(TURNS))


def _names_step(value: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "t" for node in ast.walk(value))
