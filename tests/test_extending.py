"""The README's three sentences, performed: add a cell, add a function, add a target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jinja2 import ChoiceLoader, DictLoader, PackageLoader

from gatewright.emit import source
from gatewright.emit.source import Target, emit
from gatewright.language import functions
from gatewright.language.functions import Function
from gatewright.loaded import load

OWN = """
cell: own
title: A cell of one's own
cite: [own2026]
inputs: {x: input}
states: {h: hidden}
parameters:
  W: [hidden, input]
  U: [hidden, hidden]
equations:
  h': tanh(W @ x + U @ h)
output: h'
gates: []
"""


def test_adding_a_cell_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    own = load(path)
    parameters = own.init(input=3, hidden=2, dtype="float64")
    x = np.ones((2, 1, 3))
    elman = {**parameters, "b": np.zeros(2)}
    np.testing.assert_array_equal(
        own.compile(dtype="float64").forward(parameters, x).y,
        load("elman").compile(dtype="float64").forward(elman, x).y,
    )


def test_adding_a_function_is_a_row_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Function(
        "algebraic", ("x",), ("(1 - y * y) * sqrt(1 - y * y)",), stable="x / sqrt(1 + x * x)"
    )
    for table in (functions.FUNCTIONS, functions.AUTHOR_FUNCTIONS):
        monkeypatch.setitem(table, row.name, row)
    path = tmp_path / "own.yaml"
    path.write_text(OWN.replace("tanh(", "algebraic("))
    own = load(path)
    assert "def algebraic(x):" in own.source("cuda")
    parameters = own.init(input=3, hidden=2, dtype="float64")
    x = np.linspace(-2, 2, 3).reshape(1, 1, 3)
    kernels = own.compile(dtype="float64")
    run = kernels.forward(parameters, x)
    before = parameters["W"] @ x[0, 0]
    np.testing.assert_allclose(run.y[0, 0], before / np.sqrt(1 + before**2), rtol=1e-15)
    gradient = kernels.backward(run, np.ones_like(run.y)).parameters["W"]
    slope = (1 + before**2) ** -1.5
    np.testing.assert_allclose(gradient, np.outer(slope, x[0, 0]), rtol=1e-14)


def test_adding_a_target_is_a_template_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    template = source._environment().loader
    assert isinstance(template, PackageLoader)
    child = (
        '{% extends "module.py.jinja" %}'
        "{% block visit_rows %}\n    for row in range({{ routine.shape_of }}.shape[0]):\n"
        "        for unit in range({{ routine.shape_of }}.shape[1]):\n{% endblock %}"
        "{% block visit_units %}\n    for unit in range({{ routine.shape_of }}.shape[1]):\n"
        "        range(unit)\n{% endblock %}"
    )
    environment = source._environment().overlay(
        loader=ChoiceLoader([DictLoader({"own.py.jinja": child}), template])
    )
    monkeypatch.setattr(source, "_environment", lambda: environment)
    target = Target("cpu", "own.py.jinja", source.TARGETS["cpu"].provides)
    text = emit(load("elman").programs, target).text
    assert "range(unit)" in text
