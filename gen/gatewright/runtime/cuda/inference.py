"""Generated file -> the same for inference, where nothing is kept for a reverse.

What only the reverse reads, and only steps write, has one slab: steps that run one by one write it
again and again, and the kernel of all steps does not store it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import signature
from typing import Any

from gatewright.python_syntax import parsed
from gatewright.runtime.cuda.matrices import matrices_of
from gatewright.runtime.layout import Layout
from gatewright.runtime.load import Module

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


@lru_cache(maxsize=64)
def unkept(text: str, kernel: str, names: tuple[str, ...]) -> str:
    """Return the file where the kernel does not store into the arrays `names`.

    The text is changed where it stands, and not written anew from its tree: machine code that was
    brought along is found by a digest of the text, whatever version of Python looks for it.
    """
    (function,) = (
        node
        for node in parsed(text).body
        if isinstance(node, ast.FunctionDef) and node.name == kernel
    )
    stores = [store for store in _stores(function) if store.name in names]
    uses = sum(isinstance(n, ast.Name) and n.id in names for n in ast.walk(function))
    assert len(stores) == uses, "an array that nobody keeps is read"
    lines = text.splitlines(keepends=True)
    for first, end in sorted(_spans(function, stores), reverse=True):
        del lines[first - 1 : end]
    return "".join(lines)


@dataclass(frozen=True)
class _Store:
    """A statement that stores into one array."""

    statement: ast.Assign
    name: str


def _stores(function: ast.FunctionDef) -> Iterator[_Store]:
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
                yield _Store(node, name)


def _spans(function: ast.FunctionDef, stores: list[_Store]) -> Iterator[tuple[int, int]]:
    """Yield first and last lines of stores, and of conditions of nothing else."""
    gone = {id(store.statement) for store in stores}
    whole = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.If) and all(id(each) in gone for each in node.body)
    ]
    inside = {id(each) for node in whole for each in node.body}
    apart = [s.statement for s in stores if id(s.statement) not in inside]
    for node in (*whole, *apart):
        assert node.end_lineno is not None
        yield node.lineno, node.end_lineno
