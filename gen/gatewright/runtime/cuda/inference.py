"""Generated file -> the same for inference, where nothing is kept for a reverse.

What only the reverse reads, and only steps write, has one slab: steps that run one by one write it
again and again. The kernel of all steps does not store it; what its blocks hand to each other, and
nobody else reads, goes to two slabs in turns.

Why two and not one: a block that is ahead writes for the next step while another still reads for
this one. They meet before each product, so none is ahead by two.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
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
    """Return the file where the kernel does not keep the arrays `names`.

    The text is changed where it stands, and not written anew from its tree: machine code that was
    brought along is found by a digest of the text, whatever version of Python looks for it.
    """
    (function,) = (
        node
        for node in parsed(text).body
        if isinstance(node, ast.FunctionDef) and node.name == kernel
    )
    stores = _stores(function)
    stored = {id(store.target.value) for store in stores}
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    exchanged = tuple(n for n in names if any(x.id == n and id(x) not in stored for x in nodes))
    lines = text.splitlines(keepends=True)
    edits = [*_dropped(function, stores, set(names) - set(exchanged))]
    turned = [*_turned(lines, function, stores, exchanged)]
    uses = sum(node.id in exchanged for node in nodes)
    assert len(turned) == uses, "a use of an array that blocks exchange is not understood"
    for edit in sorted((*edits, *turned), key=lambda edit: edit.first, reverse=True):
        edit.make(lines)
    return Unkept("".join(lines), exchanged)


@dataclass(frozen=True)
class _Store:
    """A statement that stores into one array."""

    statement: ast.Assign
    target: ast.Subscript
    name: str


@dataclass(frozen=True)
class _Edit:
    """What stands from a place of a text, line and column, to another, and what takes its place."""

    first: tuple[int, int]
    last: tuple[int, int]
    text: str

    def make(self, lines: list[str]) -> None:
        """Change the lines of the text; edits are made from its end on."""
        (begin, left), (end, right) = self.first, self.last
        lines[begin - 1 : end] = [f"{lines[begin - 1][:left]}{self.text}{lines[end - 1][right:]}"]


def _stores(function: ast.FunctionDef) -> list[_Store]:
    found = []
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name)) as target]):
                found.append(_Store(node, target, name))
    return found


def _dropped(function: ast.FunctionDef, stores: list[_Store], names: set[str]) -> Iterator[_Edit]:
    """Yield the edits that drop all stores into some arrays, and conditions of nothing else."""
    gone = {id(store.statement) for store in stores if store.name in names}
    whole = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.If) and all(id(each) in gone for each in node.body)
    ]
    inside = {id(each) for node in whole for each in node.body}
    apart = [s.statement for s in stores if id(s.statement) in gone - inside]
    for node in (*whole, *apart):
        assert node.end_lineno is not None
        yield _Edit((node.lineno, 0), (node.end_lineno + 1, 0), "")


def _turned(
    lines: list[str], function: ast.FunctionDef, stores: list[_Store], names: tuple[str, ...]
) -> Iterator[_Edit]:
    """Yield the edits that put step t of some arrays where step t % TURNS would be."""

    def turn(node: ast.expr, said: ast.expr) -> _Edit:
        assert node.end_lineno is not None and node.end_col_offset is not None
        text = re.sub(
            r"\bt\b", f"(t % {TURNS})", ast.get_source_segment("".join(lines), said) or ""
        )
        return _Edit((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), text)

    # The places of a step's elements, by name: those in terms of its number.
    places = {
        target.id: node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and any(isinstance(each, ast.Name) and each.id == "t" for each in ast.walk(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for store in stores:
        if store.name in names and isinstance(store.target.slice, ast.Name):
            yield turn(store.target.slice, places[store.target.slice.id])
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id="fill"), args=[_, _, ast.Name(id=name), first, *_]):
                if name in names:
                    yield turn(first, first)
