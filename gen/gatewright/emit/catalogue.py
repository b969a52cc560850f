"""Specs -> Sources: every generated file of some cells, for every variant and target.

Why variants get files of their own: a choice such as `activation` changes the text of the
mathematics, and a reader should see each text that can run.
"""

from __future__ import annotations

from collections.abc import Iterable

from gatewright.emit.source import TARGETS, Source, emit
from gatewright.language import catalogue
from gatewright.language.cell import Cell
from gatewright.language.diagnostics import Diagnostic, SpecError
from gatewright.program.compile import compile_cell


def cells_of(specs: Iterable[str]) -> tuple[Cell, ...]:
    """Return the cells of the given specs, each in all its variants, the default first.

    Raises SpecError for the first spec with a mistake, and if two specs would write one file.
    """
    found: dict[str, Cell] = {}
    for name in specs:
        for choices in catalogue.variants(catalogue.read_spec(name)):
            cell = catalogue.load(name, choices=choices)
            if cell.identifier in found:
                message = f"two specs would both be written as `{cell.identifier}.py`"
                raise SpecError([Diagnostic("E0505", message, None, "rename one of the cells")])
            found[cell.identifier] = cell
    return tuple(found.values())


def sources_of(specs: Iterable[str]) -> tuple[Source, ...]:
    """Return the generated files of the given specs, sorted by path."""
    sources = [
        emit(programs, target)
        for programs in map(compile_cell, cells_of(specs))
        for target in TARGETS.values()
    ]
    return tuple(sorted(sources, key=lambda source: source.path))
