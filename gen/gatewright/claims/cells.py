"""Family -> Cell: the cells a claim may name: of its file, of the catalogue, of other files.

A path is read from the folder of the claim file, so a claim means the same wherever it is read.

Why the catalogue's are kept: a library names `lstm` a hundred times and need read it once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from gatewright.claims.claim_text import CellText
from gatewright.claims.family import Family
from gatewright.language.cell import Cell
from gatewright.language.diagnostics import SpecError, did_you_mean
from gatewright.language.inherit import inherit
from gatewright.language.resolve import resolve
from gatewright.language.shelf import is_path, read_spec
from gatewright.language.spec import Spec, Text

Settings = tuple[tuple[str, str | float], ...]


@lru_cache(maxsize=256)
def _catalogue_cell(name: str, settings: Settings) -> Cell:
    return _settled(read_spec(name), settings, read_spec)


def _settled(spec: Spec, settings: Settings, find: Callable[[str], Spec]) -> Cell:
    choices = {name: value for name, value in settings if isinstance(value, str)}
    numbers = {name: value for name, value in settings if not isinstance(value, str)}
    return resolve(spec, choices=choices, constants=numbers, find=find)


class Cells:
    """The cells a file may name. Raises SpecError if one of another file cannot be read."""

    def __init__(self, family: Family) -> None:
        self.folder = family.folder
        self.sources = {family.file: family.source}
        self.own = dict(family.cells)
        self.own |= {name: self._named(name, path) for name, path in family.files}

    def _named(self, name: str, path: Text) -> Spec:
        """Read the cell of another file, under the name that this one gives it."""
        try:
            # What it extends is of the catalogue, whatever cells this file has.
            spec = inherit(self._read(path), read_spec).spec
        except SpecError as problem:
            raise self._placed(problem, path) from None
        return replace(spec, cell=Text(name, spec.cell.span))

    def _read(self, path: Text) -> Spec:
        return read_spec(self.folder / path.value)

    def find(self, name: str) -> Spec:
        """Return the spec of a name. Raises SpecError."""
        return self.own[name] if name in self.own else read_spec(name)

    def load(self, side: CellText) -> Cell:
        """Return the cell of one side, its choices and constants set. Raises SpecError."""
        settings = tuple((name.value, _setting(value.value)) for name, value in side.settings)
        name = side.cell.value
        try:
            if name in self.own:
                return _settled(self.own[name], settings, self.find)
            if is_path(name):
                return _settled(self._read(side.cell), settings, read_spec)
            return _catalogue_cell(name, settings)
        except SpecError as problem:
            raise self._placed(problem, side.cell) from None

    def _placed(self, problem: SpecError, name: Text) -> SpecError:
        """Return an error with the place of a name for what has no place in a file."""
        here = [
            replace(item, span=name.span, help=did_you_mean(name.value, self.own, item.help))
            if item.span is None
            else item
            for item in problem.diagnostics
        ]
        return SpecError(here, {**self.sources, **problem.sources})


def _setting(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
