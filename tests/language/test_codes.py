from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from gatewright.language.codes import CODES, explain
from gatewright.language.diagnostics import SpecError
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve
from gatewright.resources import PACKAGE

from .corpus import edited

LANGUAGE = PACKAGE / "language"


def _used() -> set[str]:
    return {
        node.value
        for path in PACKAGE.rglob("*.py")
        if path.name != "codes.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"E0[0-9]{3}", node.value)
    }


def test_every_code_is_explained_and_every_explained_code_is_used() -> None:
    assert _used() == set(CODES)


def test_explanations_are_complete() -> None:
    for code, item in CODES.items():
        assert item.code == code
        assert item.title and item.text.endswith((".", "·"))
        assert str(item).startswith(f"{code}: ")
    assert explain("e0301") is CODES["E0301"]
    assert explain("E9999") is None


@pytest.mark.parametrize(
    "code", [code for code, item in CODES.items() if code[:3] in ("E02", "E04")]
)
def test_examples_of_equations_have_the_mistake(code: str) -> None:
    example = CODES[code].example
    key = example.partition(":")[0]
    if key not in ("z", "h'"):
        return
    example = example.replace("W", "W_z")
    text = edited(**{"l10" if key == "z" else "l12": f"  {example}"})
    with pytest.raises(SpecError) as caught:
        resolve(read_spec_text(text))
    assert code in {item.code for item in caught.value.diagnostics}


def test_yaml_has_one_door_and_nothing_runs_text() -> None:
    doors = set()
    for path in LANGUAGE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import) and any(each.name == "yaml" for each in node.names):
                doors.add(path.name)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__", "open"}, path
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"safe_load", "full_load", "unsafe_load", "load_all"}, path
    assert doors == {"yaml_nodes.py"}


def test_files_are_short_and_say_why() -> None:
    for path in LANGUAGE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, (path, node.name)
        if path.name != "__init__.py":
            docstring = ast.get_docstring(ast.parse(text)) or ""
            assert re.search(r"\n\nWhy [^\n]+(\n[^\n]+)*$", docstring), path


def test_the_stage_imports_no_numerical_library() -> None:
    modules = [f"gatewright.language.{path.stem}" for path in LANGUAGE.glob("[a-z]*.py")]
    code = (
        "; ".join(f"import {name}" for name in sorted(modules))
        + "; import sys; print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"sympy", "numba", "numpy", "torch", "jax", "jinja2"} & set(result.stdout.split())
