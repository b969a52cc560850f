"""Name or path -> Spec: where specs come from, the catalogue's folder or a file of the user's.

Why a string with a separator or a YAML suffix is a path and all else a name: a file called `lstm`
in the working directory must not shadow the catalogue's cell.
"""

from __future__ import annotations

from pathlib import Path

from gatewright.language.diagnostics import Diagnostic, SpecError, did_you_mean, quoted
from gatewright.language.fields import CELL_NAME
from gatewright.language.reader import read
from gatewright.language.spec import Spec
from gatewright.resources import data_folder

SUFFIXES = (".yaml", ".yml")


def names() -> tuple[str, ...]:
    """Return the names of the catalogue's cells, sorted."""
    return tuple(sorted(path.stem for path in data_folder("specs").glob("*.yaml")))


def is_path(name: str) -> bool:
    """Tell whether a string names a file and not a cell of the catalogue."""
    return name.endswith(SUFFIXES) or "/" in name or "\\" in name


def spec_path(name_or_path: str | Path) -> Path:
    """Return the file of a catalogue cell, or the path itself. Raises SpecError for no cell."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or is_path(name):
        return Path(name_or_path)
    if not CELL_NAME.fullmatch(name) or name not in names():
        message = f"no cell {quoted(name)} in the catalogue"
        help = did_you_mean(name, names(), "give the path of a `.yaml` file for a cell of your own")
        own = f"{name}.yaml"
        if CELL_NAME.fullmatch(name) and Path(own).is_file():
            help = f"did you mean the file `{own}`?"
        raise SpecError([Diagnostic("E0503", message, None, help)])
    return data_folder("specs") / f"{name}.yaml"


def read_spec(name_or_path: str | Path) -> Spec:
    """Return the spec of a catalogue cell or of a file. Raises SpecError."""
    path = spec_path(name_or_path)
    name = str(name_or_path)
    if path == name_or_path or is_path(name):
        return read(path)
    spec = read(path, f"specs/{name}.yaml")
    if spec.cell.value != name:
        message = f"the file `{name}.yaml` holds the cell `{spec.cell.value}`"
        help = f"rename the file to `{spec.cell.value}.yaml` or the cell to `{name}`"
        found = Diagnostic("E0504", message, spec.cell.span, help)
        raise SpecError([found], {spec.file: spec.source})
    return spec
