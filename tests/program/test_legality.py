"""No pass can hand over an illegal Program: each rule of legality refuses what breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewright.language import catalogue
from gatewright.language.cell import Variable
from gatewright.language.diagnostics import InternalError
from gatewright.language.equation import parse
from gatewright.program.compile import compile_cell
from gatewright.program.ir import (
    Assign,
    Elementwise,
    Outer,
    Product,
    Products,
    Program,
    Stage,
)

HIDDEN = ("hidden",)


@pytest.fixture(scope="module")
def forward() -> Program:
    return compile_cell(catalogue.load("lstm")).forward


@pytest.fixture(scope="module")
def reverse() -> Program:
    return compile_cell(catalogue.load("lstm")).reverse


def assign(name: str, text: str, dims: tuple[str, ...] = HIDDEN) -> Elementwise:
    return Elementwise(dims[0], (Assign(Variable(name, dims), parse(text)),))


def product(name: str, weight: str, operand: str) -> Products:
    return Products((Product((Variable(name, HIDDEN),), (weight,), (operand,)),))


@pytest.mark.parametrize("name", catalogue.names())
def test_every_catalogue_cell_compiles_to_legal_programs(name: str) -> None:
    programs = compile_cell(catalogue.load(name))
    assert programs.forward.results[0]
    assert {end for _, end in programs.reverse.carried} <= set(programs.reverse.results)


@pytest.mark.parametrize(
    ("stages", "rule"),
    [
        ((product("q", "U_i", "h"), assign("i", "q")), "`i` is defined twice"),
        ((assign("q", "missing + h"),), "`missing` is read before it is defined"),
        ((assign("q", "x + 1"),), "`x` is not over `hidden`"),
        ((product("q", "b_i", "h"),), "`b_i` is no matrix"),
        ((product("q", "U_i", "x"),), "`x` does not fit `U_i`"),
        ((Elementwise("hidden", ()),), "a stage is empty"),
        ((product("q", "U_i", "h"), product("s", "U_f", "h")), "two product stages"),
        ((assign("q", "h"), assign("s", "h")), "two stages over `hidden`"),
        ((assign("q", "unheard(h)"),), "unknown function `unheard`"),
        ((assign("q", "U_i @ h"),), "is not over `hidden`"),
    ],
)
def test_an_illegal_step_is_refused(forward: Program, stages: tuple[Stage, ...], rule: str) -> None:
    kept = forward.step if isinstance(stages[0], Products) else forward.step[:-1]
    with pytest.raises(InternalError, match="program `lstm forward`") as caught:
        replace(forward, step=(*kept, *stages))
    assert rule in str(caught.value)


def test_what_is_carried_or_returned_must_exist(forward: Program) -> None:
    with pytest.raises(InternalError, match="carried `q` is no argument"):
        replace(forward, carried=(("q", "h_next"), ("c", "c_next")))
    with pytest.raises(InternalError, match="`q` is returned and never defined"):
        replace(forward, results=("q",))


def test_a_weight_gradient_must_have_the_shape_of_its_weight(reverse: Program) -> None:
    wrong = Outer((Variable("d_q", ("input", "hidden")),), ("d_a_i",), "x")
    with pytest.raises(InternalError, match="`d_q` is not d_a_i outer x"):
        replace(reverse, outers=(wrong,))


def test_a_second_use_of_a_weight_must_accumulate(reverse: Program) -> None:
    first = next(item for item in reverse.outers if isinstance(item, Outer))
    with pytest.raises(InternalError, match="accumulate"):
        replace(reverse, outers=(first, first))
