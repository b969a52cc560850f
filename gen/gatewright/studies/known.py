"""Cell -> the catalogue's name for it: which cells a library's fixed layers can be compared with.

Why the whole cell is compared: a file of the user's may be called `lstm` and be another cell.
"""

from __future__ import annotations

from gatewright.language import catalogue
from gatewright.language.cell import Cell


def known(cell: Cell) -> str:
    """Return the name of a cell of the catalogue, empty if this is none of them."""
    if cell.name not in catalogue.names():
        return ""
    choices = {choice.name: choice.chosen for choice in cell.choices}
    return cell.name if catalogue.load(cell.name, choices=choices) == cell else ""
