"""Programs against their Cells: proved as emitted, refuted with any fault put in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gatewright.claims.differentiate import adjoints
from gatewright.claims.normal_form import NormalForm
from gatewright.claims.terms import Terms
from gatewright.claims.theory import Theory
from gatewright.claims.translation import verified
from gatewright.cli.app import run
from gatewright.language import catalogue
from gatewright.language.cell import Cell
from gatewright.language.expression import Binary, Expr, children, rebuild
from gatewright.program.compile import Programs, compile_cell
from gatewright.program.ir import Assign, Elementwise, Product, Products, Program, Stage
from tests.verify.cells import ODD_CELLS

CELLS = [
    catalogue.load(name, choices=choices)
    for name in catalogue.names()
    for choices in catalogue.variants(catalogue.read_spec(name))
]


@pytest.mark.parametrize("cell", [*CELLS, *ODD_CELLS], ids=lambda cell: cell.identifier)
def test_the_programs_of_every_cell_are_proved(cell: Cell) -> None:
    found = verified(compile_cell(cell))
    assert found.broken == found.undecided == []
    assert found.count > len(cell.parameters) + len(cell.equations)


def _swapped(expr: Expr) -> Expr | None:
    """Return an expression with its first sum or difference exchanged."""
    if isinstance(expr, Binary) and expr.operator in "+-":
        return Binary("-" if expr.operator == "+" else "+", expr.left, expr.right)
    parts = children(expr)
    for index, part in enumerate(parts):
        new = _swapped(part)
        if new is not None:
            return rebuild(expr, (*parts[:index], new, *parts[index + 1 :]))
    return None


def _with(program: Program, section: str, stages: tuple[Stage, ...]) -> Program:
    changes: dict[str, Any] = {section: stages}
    return replace(program, **changes)


def _faulty(program: Program) -> list[tuple[str, Program]]:
    found = []
    for section in ("before", "step", "after"):
        stages = program.section(section)
        for s, stage in enumerate(stages):
            if not isinstance(stage, Elementwise):
                continue
            for k, item in enumerate(stage.items):
                new = _swapped(item.expr)
                if new is None:
                    continue
                items = (*stage.items[:k], Assign(item.target, new), *stage.items[k + 1 :])
                changed = (*stages[:s], Elementwise(stage.dim, items), *stages[s + 1 :])
                found.append((str(item), _with(program, section, changed)))
    return found


@pytest.mark.parametrize("name", ["lstm_peephole", "gru_reset_after", "janet", "fast_grnn"])
def test_an_exchanged_sign_anywhere_is_found(name: str) -> None:
    programs = compile_cell(catalogue.load(name))
    tried = 0
    for what, program in _faulty(programs.forward):
        assert verified(replace(programs, forward=program)).broken, what
        tried += 1
    for what, program in _faulty(programs.reverse):
        assert verified(replace(programs, reverse=program)).broken, what
        tried += 1
    assert tried >= 8


def test_exchanged_weights_are_found() -> None:
    programs = compile_cell(catalogue.load("gru"))

    faults = []
    for section in ("step", "after"):
        stages = programs.reverse.section(section)
        for s, each in enumerate(stages):
            if isinstance(each, Products) and len(each.items[0].weights) > 1:
                first = each.items[0]
                turned = Product(
                    first.targets, tuple(reversed(first.weights)), first.operands, first.transposed
                )
                items = (turned, *each.items[1:])
                changed = (*stages[:s], Products(items), *stages[s + 1 :])
                faults.append(_with(programs.reverse, section, changed))
    assert faults
    for fault in faults:
        assert verified(Programs(programs.cell, programs.forward, fault)).broken


def test_reverse_mode_agrees_with_the_rules_of_calculus() -> None:
    terms = Terms()
    a, b = terms.variable("a"), terms.variable("b")
    value = terms.divide(terms.apply("tanh", terms.multiply(a, b)), terms.add(a, b))
    found = adjoints(terms, [(value, terms.one)])
    inner = terms.apply("tanh", terms.multiply(a, b))
    slope = terms.subtract(terms.one, terms.multiply(inner, inner))
    total = terms.add(a, b)
    expected = terms.subtract(
        terms.divide(terms.multiply(b, slope), total),
        terms.divide(inner, terms.multiply(total, total)),
    )
    assert not NormalForm(Theory.UF).difference(found.variables["a"], expected)


def test_verify_prints_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--all", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert len(cells) == len(CELLS)
    assert {cell["verdict"] for cell in cells} == {"pass"}
    for cell in cells:
        assert {"programs", "functions", "cpu", "cuda"} == cell["proved"].keys()
        assert all(count > 0 for count in cell["proved"].values())
    assert run(["verify", "lstm"]) == 0
    told = capsys.readouterr().out
    assert "24 identities in UF" in told
    assert "4 of exp, sigmoid, tanh; text of cpu " in told
    assert "1 of 1 cells proved" in told
    assert run(["verify"]) == 2
    assert run(["verify", "no_such_cell"]) == 2
