"""Where the data folders are: `specs/` and `generated/` beside the package or in the source tree.

Why one resolver: a wheel carries the folders inside the package, an editable install leaves them
at the top of the source tree, and every reader of either must agree on which one it is.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder `specs` or `generated` that belongs to this installation.

    Raises FileNotFoundError that names both places when neither exists.
    """
    inside = PACKAGE / name
    if inside.is_dir():
        return inside
    root = PACKAGE.parents[1]
    beside = root / name
    if beside.is_dir() and (root / "pyproject.toml").is_file():
        return beside
    raise FileNotFoundError(f"no folder `{name}` in {PACKAGE} or beside {root / 'pyproject.toml'}")
