"""The text of generated files against the Programs: proved as printed, refuted with any fault."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gatewright.emit import printer
from gatewright.emit.source import TARGETS, emit
from gatewright.language import catalogue
from gatewright.language.cell import Cell
from gatewright.language.functions import FUNCTIONS
from gatewright.program.compile import Programs, compile_cell
from gatewright.verify.printed import text_verified
from gatewright.verify.whole import whole
from tests.verify.cells import ODD_CELLS, make

CELLS = [
    catalogue.load(name, choices=choices)
    for name in catalogue.names()
    for choices in catalogue.variants(catalogue.read_spec(name))
]


def text_of(programs: Programs, target: str = "cpu") -> str:
    return emit(programs, TARGETS[target]).text


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("cell", [*CELLS, *ODD_CELLS], ids=lambda cell: cell.identifier)
def test_the_printed_text_of_every_cell_is_proved(cell: Cell, target: str) -> None:
    programs = compile_cell(cell)
    found = text_verified(text_of(programs, target), programs)
    assert found.broken == found.undecided == []
    assert found.count > 9 * len(cell.states)


LSTM = compile_cell(catalogue.load("lstm"))
ELMAN_RELU = compile_cell(catalogue.load("elman", choices={"activation": "relu"}))
FAST_GRNN = compile_cell(catalogue.load("fast_grnn"))

FAULTS = {
    "a dropped parenthesis": (
        FAST_GRNN,
        "h_next = (sigmoid(zeta) * (real(1) - z) + sigmoid(nu)) * n + z * h",
        "h_next = (sigmoid(zeta) * real(1) - z + sigmoid(nu)) * n + z * h",
    ),
    "another operator": (LSTM, "c_next = f * c + i * g", "c_next = f * c - i * g"),
    "another literal": (LSTM, "d_a_o = d_o * o * (real(1) - o)", "d_a_o = d_o * o * (real(2) - o)"),
    "swapped results": (LSTM, "return d_a_o, d_a_g, d_a_f", "return d_a_g, d_a_o, d_a_f"),
    "swapped parameters": (
        LSTM,
        "def cell_vjp(ct_y, ct_h_next, o, tanh_c_next,",
        "def cell_vjp(ct_y, ct_h_next, tanh_c_next, o,",
    ),
    "a wrong helper": (ELMAN_RELU, "maximum(x, real(0))", "maximum(x, real(1))"),
    "a swapped element": (
        LSTM,
        "f[row, unit],\n                g[row",
        "g[row, unit],\n                f[row",
    ),
    "exchanged weights": (LSTM, "h, (U_i, U_f, U_g, U_o)", "h, (U_f, U_i, U_g, U_o)"),
    "exchanged products": (LSTM, "(W_i_x, W_f_x, W_g_x, W_o_x))", "(W_i_x, W_g_x, W_f_x, W_o_x))"),
    "a step too early": (LSTM, "h[t + 1],", "h[t],"),
    "a step of another chunk": (LSTM, "W_f_x[t - first]", "W_f_x[t]"),
    "the wrong turn": (LSTM, "d_c[(t + 1) % 2]", "d_c[t % 2]"),
    "chunks in the other order": (LSTM, "range(T, 0, -chunk)", "range(chunk, T + 1, chunk)"),
    "gradients of inputs left out": (LSTM, "if inputs:", "if more:"),
    "a step that only gradients of inputs wait for": (
        LSTM,
        "range(T, 0, -chunk)",
        "range(T if inputs else 1, 0, -chunk)",
    ),
    "a gradient not added up": (LSTM, "more or last < T", "more"),
    "an outer product of the next state": (
        LSTM,
        "flat(h, first, last)",
        "flat(h, first + 1, last + 1)",
    ),
    "a sum that starts anew": (LSTM, "d_b_f[unit] if more else real(0)", "real(0)"),
    "a sum that misses a row": (LSTM, "shape[0] - 1, -1, -1)", "shape[0] - 1, 0, -1)"),
    "a value read before it is written": (
        LSTM,
        "    wait(part)\n    product(part, h,",
        "    product(part, i,",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_text_is_found(name: str) -> None:
    programs, old, new = FAULTS[name]
    text = text_of(programs)
    assert old in text
    assert text_verified(text.replace(old, new, 1), programs).broken


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [
        ("max", "a if a > b or a != a else b", "a if a < b or a != a else b"),
        ("min", "a if a < b or a != a else b", "b if a < b or a != a else a"),
        ("abs", "x if x > real(0) or x != x else -x + real(0)", "x if x > real(0) else x"),
        ("half", "else real(0.5) if x == real(0)", "else real(1) if x == real(0)"),
        ("positive", "real(1) if x > real(0) else real(0)", "real(1) if x < real(0) else real(0)"),
        ("sign", "if x < real(0) else x", "if x < real(0) else x + real(1)"),
    ],
)
def test_a_wrong_branch_is_found_even_where_only_equal_arguments_differ(
    function: str, right: str, wrong: str
) -> None:
    cell = {
        "max": make("m", "h' = max(W @ x, U @ h) * b"),
        "min": make("m", "h' = min(W @ x, U @ h) * b"),
        "half": make("m", "h' = max(W @ x, U @ h) * b"),
        "positive": make("m", "h' = relu(W @ x + U @ h) * b"),
    }.get(function, make("m", "h' = abs(W @ x + U @ h) * b"))
    programs = compile_cell(cell)
    text = text_of(programs)
    assert right in text
    found = text_verified(text.replace(right, wrong), programs)
    assert any(f"is not {function}" in each for each in found.broken), found


def test_a_printer_that_drops_parentheses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "_wrapped", lambda expr, level, spell: printer.python(expr, spell))
    broken = [cell for cell in CELLS if whole(cell).word == "fail"]
    assert len(broken) >= len(CELLS) - 3


def test_a_printer_that_confuses_two_functions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(printer.SPELLING, "sigmoid", "tanh")
    assert whole(catalogue.load("lstm")).word == "fail"


def test_a_printer_that_loses_digits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "number_text", lambda value: f"{value:.6g}")
    cell = make("digits", "h' = tanh(W @ x + U @ h + b) * 1.000000001")
    assert whole(cell).word == "fail"


def test_a_stable_form_that_is_printed_and_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(FUNCTIONS["softplus"], stable="max(x, 0) + log1p(exp(abs(x)))")
    monkeypatch.setitem(FUNCTIONS, "softplus", row)
    found = whole(make("soft", "h' = softplus(W @ x + U @ h + b)"))
    assert found.parts["functions"].broken
    assert found.parts["cpu"].broken == found.parts["cuda"].broken != []


EXCHANGED: dict[type[ast.AST], Any] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Mod: ast.Add,
    ast.Lt: ast.Gt, ast.Gt: ast.Lt,
}  # fmt: skip


def _changed(node: ast.AST) -> bool:
    """Put one fault into a node of a syntax tree; tell whether there was one to put."""
    match node:
        case ast.BinOp(op=operator) if type(operator) in EXCHANGED:
            node.op = EXCHANGED[type(operator)]()
        case ast.Call(func=ast.Name(id=name), args=[*_, _, _]) if name not in ("min", "max"):
            node.args[-2:] = reversed(node.args[-2:])
        case ast.Tuple(elts=[*_, _, _]):
            node.elts[-2:] = reversed(node.elts[-2:])
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            node.value = value + 1
        case ast.For() | ast.FunctionDef() if len(node.body) > 1:
            node.body.pop()
        case _:
            return False
    return True


def mutants(text: str, most: int) -> Iterator[tuple[str, str]]:
    """Yield what was changed, and a text with one change somewhere in its routines."""

    def nodes(tree: ast.Module) -> list[ast.AST]:
        routines = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
        return [node for routine in routines for node in ast.walk(routine)]

    places = [k for k, node in enumerate(nodes(ast.parse(text))) if _changed(node)]
    for place in sorted(random.Random(0).sample(places, min(most, len(places)))):
        tree = ast.parse(text)
        node = nodes(tree)[place]
        before = ast.unparse(node)
        _changed(node)
        yield f"{before} -> {ast.unparse(node)}", ast.unparse(tree)


def _is_the_same(what: str) -> bool:
    """Tell whether a change is none, for one of the three reasons there are.

    Modulo 2, t - 1 is t + 1; two arguments that are only added to or multiplied with each other may
    be passed in either order; two equal arguments exchanged are the same arguments.
    """
    before, after = what.split(" -> ")
    commuting = (
        "U_o_h[row, unit], b_o[unit])",
        "d_h_next[row, unit], z[row, unit])",
        "d_h_next_kept[each], z_kept[each])",
    )
    return what == "t + 1 -> t - 1" or before == after or before.endswith(commuting)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["fast_grnn", "lstm"])
def test_almost_any_change_anywhere_in_a_file_is_found(name: str, target: str) -> None:
    programs = compile_cell(catalogue.load(name))
    survived = [
        what
        for what, text in mutants(text_of(programs, target), 120)
        if text_verified(text, programs).word == "pass"
    ]
    assert [what for what in survived if not _is_the_same(what)] == []
    assert len(survived) <= 4


def test_tiles_that_are_not_cleared_before_all_steps_are_found() -> None:
    programs = compile_cell(catalogue.load("gru"))
    text, call = text_of(programs, "cuda"), "    clear_tiles()\n"
    loop = "    for t in range(T):\n        share("
    assert text.count(call) == 2 and loop in text
    never = text.replace(call, "", 1)
    in_each = never.replace(loop, f"    for t in range(T):\n    {call}        share(")
    for wrong in (never, in_each):
        assert text_verified(wrong, programs).word == "fail"
