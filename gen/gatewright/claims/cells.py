"""Family -> Cell: the cells a claim file may name, its own and the catalogue's.

Why the catalogue's are kept: a library names `lstm` a hundred times and need read it once.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from gatewright.claims.family import CellText, Family
from gatewright.language.cell import Cell
from gatewright.language.diagnostics import SpecError, did_you_mean
from gatewright.language.inherit import Find
from gatewright.language.resolve import resolve
from gatewright.language.shelf import read_spec
from gatewright.language.spec import Spec


@lru_cache(maxsize=256)
def _catalogue_cell(name: str, settings: tuple[tuple[str, str | float], ...]) -> Cell:
    return _settled(read_spec(name), settings, None)


def _settled(spec: Spec, settings: tuple[tuple[str, str | float], ...], find: Find | None) -> Cell:
    choices = {name: value for name, value in settings if isinstance(value, str)}
    numbers = {name: value for name, value in settings if not isinstance(value, str)}
    return resolve(spec, choices=choices, constants=numbers, find=find)


class Cells:
    """The cells a file may name: its own, and the catalogue's."""

    def __init__(self, family: Family) -> None:
        self.own = dict(family.cells)

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
            return _catalogue_cell(name, settings)
        except SpecError as problem:
            if all(item.span is not None for item in problem.diagnostics):
                raise
            here = [
                replace(item, span=side.cell.span, help=did_you_mean(name, self.own, item.help))
                for item in problem.diagnostics
            ]
            raise SpecError(here, problem.sources) from None


def _setting(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
