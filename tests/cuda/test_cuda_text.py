"""Texts that kernels are made of: branches that sizes decide, words, parts, and their digests."""

from __future__ import annotations

import ast
import importlib
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.loaded import load
from gatewright.runtime import cuda
from gatewright.runtime.cuda import cubins
from gatewright.runtime.cuda.compiler import why_not_compiled
from gatewright.runtime.cuda.devices import Code
from gatewright.runtime.cuda.folded import folded
from gatewright.runtime.cuda.realms import parts_of, sized
from gatewright.runtime.cuda.report import step_codes
from gatewright.runtime.cuda.sizes import KINDS
from gatewright.runtime.load import load_module

HEADER = "from numpy import float64 as real\nLAYOUT = None\n"
BODY = """
def kernel(x):
    found = x if A == 1 else -x
    if A * 2 < B + 1:
        found += 1
    elif B % 2 == 0 or x > 3:
        found += 10
    else:
        found += 100
    if A == 0 and x > 2:
        found += 1000
    if x > 1:
        if B != 2:
            found += 10000
    return found
"""


def kernel(text: str) -> Any:
    return load_module(text, "cuda", "float64").namespace.kernel


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 5))
def test_a_folded_text_computes_the_same(a: int, b: int, x: int) -> None:
    text = f"{HEADER}A = {a}\nB = {b}\n{BODY}"
    assert kernel(folded(text))(x) == kernel(text)(x)


@pytest.mark.parametrize(
    ("a", "b", "left"), [(1, 2, ["x > 1"]), (2, 3, ["x > 1", "x > 3"]), (0, 2, ["x > 1", "x > 2"])]
)
def test_what_sizes_decide_is_gone_and_what_they_do_not_stays(
    a: int, b: int, left: list[str]
) -> None:
    tree = ast.parse(folded(f"{HEADER}A = {a}\nB = {b}\n{BODY}"))
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp)]
    assert sorted(map(ast.unparse, tests)) == left


def test_every_kind_of_numbers_has_the_same_parts() -> None:
    def defined(kind: int) -> list[str]:
        names = [
            node.name
            for part in parts_of(kind)
            for node in ast.parse(source(f"parts{part}")).body
            if isinstance(node, ast.FunctionDef)
        ]
        assert len(names) == len(set(names))
        return names

    for kind in KINDS.values():
        for part in parts_of(kind):
            # Parts import each other by the names of those without tensor cores.
            called = {
                alias.name
                for node in ast.parse(source(f"parts{part}")).body
                if isinstance(node, ast.ImportFrom) and ".cuda.parts" in str(node.module)
                for alias in node.names
            }
            assert called <= set(defined(kind))


def source(name: str) -> str:
    module = importlib.import_module(f"gatewright.runtime.cuda.{name}")
    return Path(str(module.__file__)).read_text()


realms = pytest.mark.parametrize(
    "realm",
    [
        "emulated",
        pytest.param(
            "compiled", marks=pytest.mark.skipif(bool(why_not_compiled()), reason="no compiler")
        ),
    ],
)


@realms
def test_every_word_has_a_meaning(realm: str) -> None:
    module = importlib.import_module(f"gatewright.runtime.cuda.{realm}")
    marks = {"device", "driver", "rows", "units", "whole", "engine", "flat", "outer", "product"}
    assert not {name for name in cuda.WORDS | marks if not hasattr(module, name)}
    assert not hasattr(cuda, "far_five")


def test_another_kernel_has_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    text = load("elman").source("cuda")
    first, *others = step_codes(text, "float32")
    doubled = next(step_codes(text, "float64"))
    changed = Code(text + "\n", first.dtype, first.kernel, first.passed)
    digests = [cubins.digest(each, 128) for each in (first, *others, doubled, changed)]
    digests.append(cubins.digest(first, 256))
    monkeypatch.setattr(cubins, "_words", lambda: "words that mean something else")
    digests.append(cubins.digest(first, 128))
    assert all(a != b for a, b in itertools.combinations(digests, 2))


def test_sizes_are_put_in_once() -> None:
    text = sized(load("gru").source("cuda"), SIZES)
    for name, number in SIZES.items():
        if f"\n{name} = " in text:
            assert text.count(f"\n{name} = {number}\n") == 1
    assert "\nSUMS_2 = 4\n" in text
    assert "\nHELD_3 = 12\n" in text
    assert "\nHELD_3 = 1\n" in sized(load("gru").source("cuda"), {**SIZES, "HELD": 0})
    assert "runtime.cuda.sizes" not in text
    assert "runtime.cuda.parts" not in text


SIZES = {
    "HIDDEN": 37, "UNITS": 40, "BLOCKS": 1, "LANES": 8, "EACH": 1, "ROWS": 8, "THREADS": 320,
    "PARTS": 2, "SUMS": 2, "KIND": 3, "WIDTH": 64, "PITCH": 80, "FILLED": 40, "HELD": 4, "REST": 32,
    "REST_PITCH": 48, "TILES": 1, "OPERANDS": 1, "TILES_AT": 5760, "SUMS_AT": 6400,
}  # fmt: skip
