"""Name or path -> Cell: load a cell of the catalogue or of a file, with its choices made.

Why not a registry in code: adding a cell is adding a file, so the folder is the list.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from gatewright.language.cell import Cell
from gatewright.language.inherit import inherit
from gatewright.language.resolve import resolve
from gatewright.language.shelf import names, read_spec
from gatewright.language.spec import Spec

__all__ = ["known", "load", "names", "read_spec", "variants"]


def load(
    name_or_path: str | Path,
    choices: Mapping[str, str] | None = None,
    constants: Mapping[str, float] | None = None,
) -> Cell:
    """Return a cell by its catalogue name or the path of its file. Raises SpecError.

    `choices` picks functions and `constants` gives numbers other values, both by name.
    """
    return resolve(read_spec(name_or_path), choices=choices or {}, constants=constants or {})


def variants(spec: Spec) -> tuple[dict[str, str], ...]:
    """Return every combination of a spec's choices, the default first."""
    declared = inherit(spec, read_spec).spec.choices
    keys = [choice.name.value for choice in declared]
    options = [[option.value for option in choice.options] for choice in declared]
    return tuple(dict(zip(keys, values, strict=True)) for values in itertools.product(*options))


def known(cell: Cell) -> str:
    """Return the name of a cell of the catalogue, empty if this is none of them.

    The whole cell is compared: a file of the user's may be called `lstm` and be another cell.
    """
    if cell.name not in names():
        return ""
    choices = {choice.name: choice.chosen for choice in cell.choices}
    return cell.name if load(cell.name, choices=choices) == cell else ""
