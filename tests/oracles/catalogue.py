"""specs/ -> the cells and variants that must be tested: every file, every choice of a function."""

from __future__ import annotations

import itertools

import yaml

from gatewright.resources import data_folder


def cells() -> list[str]:
    """Return the name of every spec in the catalogue."""
    return sorted(path.stem for path in data_folder("specs").glob("*.yaml"))


def variants() -> list[tuple[str, dict[str, str]]]:
    """Return every cell once per combination of the functions that it lets one choose."""
    found: list[tuple[str, dict[str, str]]] = []
    for name in cells():
        text = (data_folder("specs") / f"{name}.yaml").read_text(encoding="utf-8")
        constants = yaml.safe_load(text).get("constants") or {}
        choices = {key: value for key, value in constants.items() if isinstance(value, list)}
        for options in itertools.product(*choices.values()):
            found.append((name, dict(zip(choices, options, strict=True))))
    return found
