"""The shapes of code that the compiler prints are those the formatter would choose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.emit.lines import assignment, bracketed, chain, imported, literal, returned

RUFF = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
NAMES = st.lists(
    st.from_regex(r"[a-z]{1,18}_[a-z]{1,4}", fullmatch=True), min_size=1, max_size=14, unique=True
)


@pytest.mark.skipif(RUFF is None, reason="ruff is not installed (extra `dev`)")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(NAMES, NAMES, st.sampled_from([" + ", " - ", " * "]))
def test_the_formatter_changes_nothing(names: list[str], others: list[str], operator: str) -> None:
    # Ruff breaks a chain before every operator of its loosest kind, so one kind is enough here.
    lines = [
        *bracketed("def f(", names, "):", 0),
        *chain("total", operator.join([*others, f"({names[0]} / {others[0]})"]), 4),
        *assignment([f"{name}[row, unit]" for name in names[:4]], "cell", others, 4),
        *bracketed("step(", [f"{name}[t]" for name in others], ")", 4),
        *returned(others, 4),
        "",
        "",
        *literal("layout = ", {"a": tuple(names), "b": {n: ("time", n) for n in others}}, 0, ""),
    ]
    text = "\n".join(lines) + "\n"
    assert RUFF is not None
    done = subprocess.run(
        [RUFF, "format", "--no-cache", "--isolated", "--line-length", "100", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == text


def test_a_long_import_stands_one_name_per_line() -> None:
    lines = imported("gatewright.runtime.cpu", [f"function_{n}" for n in range(9)])
    assert lines[0] == "from gatewright.runtime.cpu import ("
    assert lines[1] == "    function_0,"
    assert imported("a.b", ["c"]) == ["from a.b import c"]
