"""Generated files: fresh, lint-clean, the same bytes everywhere, nothing but what they may be."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatewright.emit.allowlist import require_allowed
from gatewright.emit.catalogue import sources_of
from gatewright.emit.freshness import check
from gatewright.emit.source import TARGETS, Source, emit, printable
from gatewright.language import catalogue
from gatewright.language.diagnostics import InternalError
from gatewright.language.reserved import name_problem
from gatewright.loaded import load
from gatewright.program.compile import compile_cell

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "gen" / "gatewright" / "emit" / "templates"


@pytest.fixture(scope="module")
def sources() -> tuple[Source, ...]:
    return sources_of(catalogue.names())


def test_the_committed_files_are_what_the_compiler_writes(sources: tuple[Source, ...]) -> None:
    freshness = check(sources, ROOT / "generated")
    assert freshness.fresh, str(freshness)


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_generated_files_pass_the_linter_and_the_formatter(command: list[str]) -> None:
    ruff = shutil.which(
        "ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if ruff is None:
        pytest.skip("ruff is not installed (extra `dev`)")
    done = subprocess.run(
        [ruff, *command, "--no-cache", "generated"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("seed", "locale"), [("0", "C"), ("1", "C.UTF-8"), ("random", "tr_TR.UTF-8")]
)
def test_any_hash_seed_locale_and_working_directory_gives_the_same_bytes(
    seed: str, locale: str, tmp_path: Path, sources: tuple[Source, ...]
) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "LANG": locale}
    names = ["lstm_peephole", "gru", "fast_grnn", "elman"]
    command = [sys.executable, "-m", "gatewright", "generate", *names, "--output", "out"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    written = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*.py")
    }
    expected = {s.path: s.text.encode() for s in sources if s.path in written}
    assert written == expected
    assert len(written) == 2 * (len(names) + 1)


def test_a_file_says_no_date_path_host_or_version(sources: tuple[Source, ...]) -> None:
    for source in sources:
        assert not re.search(r"20\d\d-\d\d|/work|/home|/tmp|localhost|\d+\.\d+\.\d+", source.text)


def test_each_equation_is_quoted_above_what_computes_it(sources: tuple[Source, ...]) -> None:
    for source in sources:
        cell = next(
            catalogue.load(name, choices=choices)
            for name in catalogue.names()
            for choices in catalogue.variants(catalogue.read_spec(name))
            if catalogue.load(name, choices=choices).identifier == source.cell
        )
        for equation in cell.equations:
            if equation.dims:
                assert f"    # {equation}\n" in source.text, (source.path, str(equation))
            assert str(equation) in source.text


def test_the_mathematics_is_the_same_text_for_every_target(sources: tuple[Source, ...]) -> None:
    def scalars(text: str) -> list[str]:
        tree = ast.parse(text)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        return [
            ast.get_source_segment(text, node) or ""
            for node in functions
            if any(ast.unparse(mark) == "device" for mark in node.decorator_list)
            and node.name not in provided
        ]

    # One runtime may have a function of the table where another needs its definition.
    provided = frozenset().union(*(target.functions for target in TARGETS.values()))

    by_cell: dict[str, list[list[str]]] = {}
    for source in sources:
        by_cell.setdefault(source.cell, []).append(scalars(source.text))
    for texts in by_cell.values():
        assert len(texts) == len(TARGETS)
        assert texts[0] == texts[1]


def test_every_name_of_generated_code_is_refused_as_a_name_of_the_author(
    sources: tuple[Source, ...],
) -> None:
    for source in sources:
        tree = ast.parse(source.text)
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        names |= {a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
        names |= {
            node.target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name)
        }
        for name in names:
            assert name_problem(name), f"an author could call a value `{name}`"


def test_templates_are_short_and_only_loop() -> None:
    for template in TEMPLATES.glob("*.jinja"):
        text = template.read_text()
        assert len(text.splitlines()) <= 80, template.name
        statements = set(re.findall(r"{%-?\s*(\w+)", text))
        assert statements <= {"for", "endfor", "block", "endblock", "extends"}, template.name


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from os import system",
        "from numpy import load as real",
        "x = __import__('os')",
        "y = eval('1')",
        "z = open('f')",
        "w = LAYOUT.__class__",
        "@device\ndef f(x):\n    return x.real",
        "@device\ndef f(x=exec):\n    return x",
        "@staticmethod\ndef f(x):\n    return x",
        "lambda: 0",
        "while True: pass",
        "[a for a in ()]",
        "f'{1}'",
        "global x",
        "try:\n    x = 1\nexcept: pass",
        "class A: pass",
        "for i in range(3): i",
    ],
)
def test_anything_else_in_generated_text_is_refused(line: str, sources: tuple[Source, ...]) -> None:
    require_allowed(sources[0].text, "cell.py")
    with pytest.raises(InternalError, match=r"generated cell\.py"):
        require_allowed(f"{sources[0].text}\n{line}\n", "cell.py")


def test_free_text_cannot_leave_its_docstring(tmp_path: Path) -> None:
    lstm = catalogue.load("lstm")
    from dataclasses import replace

    hostile = '"""\nimport os\r\x0b{{ 7 * 7 }} {% raw %} \\'
    text = emit(compile_cell(replace(lstm, title=hostile)), TARGETS["cpu"]).text
    assert "{{ 7 * 7 }} {% raw %}" in text
    assert ast.parse(text).body[0].__class__ is ast.Expr
    assert "\nimport os" not in text
    assert '"' not in printable(hostile)


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_says_what_was_asked_of_its_reverse(target: str) -> None:
    plain = load("lstm")
    sentence = "The reverse takes a cotangent of every state at every step."
    bound = "The reverse hands on cotangents of states within plus or minus 0.25."
    head = plain.with_reverse(every_state=True, clip=0.25).source(target).split('"""')[1]
    assert sentence in head
    assert bound in head
    assert "The reverse" not in plain.source(target)
