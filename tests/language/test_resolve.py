from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gatewright.language.catalogue import load, names, read_spec, variants
from gatewright.language.diagnostics import SpecError
from gatewright.language.format import write_spec
from gatewright.language.reader import read_spec_text
from gatewright.language.reserved import name_problem, sized
from gatewright.language.resolve import resolve
from gatewright.language.spec import Spec

from ..refusals import shown
from .corpus import BASE, cell, edited, refusal

CHOICE = edited(
    l11="  n: activation(beta * (W_n @ x) + U_n @ (z * h) + b_n)",
    l13="constants:\n  activation: [tanh, relu]\n  beta: 1.0\noutput: h'",
)


def _shelf(**specs: str) -> Callable[[str], Spec]:
    return lambda name: read_spec_text(specs[name], f"{name}.yaml")


def _child(text: str, **parents: str) -> Spec:
    return read_spec_text(text, "child.yaml")


def test_a_cell_has_its_shapes_and_its_order() -> None:
    gru = cell(BASE)
    assert [(each.target, each.dims) for each in gru.equations] == [
        ("z", ("hidden",)),
        ("n", ("hidden",)),
        ("h'", ("hidden",)),
    ]
    assert gru.dims == ("input", "hidden")
    assert gru.output == "h'"
    assert gru.gates == ("z",)
    assert str(gru.equations[2]) == "h' = (1 - z) * n + z * h"


def test_scalars_go_with_anything() -> None:
    text = edited(
        l8="  b_z, b_n: hidden\n  nu: []",
        l10="  s: sigmoid(nu) / 2\n  z: s * sigmoid(W_z @ (x * nu) + U_z @ h + b_z)^2 - 1",
    )
    shapes = {each.target: each.dims for each in cell(text).equations}
    assert shapes == {"s": (), "z": ("hidden",), "n": ("hidden",), "h'": ("hidden",)}


def test_choices_and_constants() -> None:
    spec = read_spec_text(CHOICE)
    assert variants(spec) == ({"activation": "tanh"}, {"activation": "relu"})
    default, relu = (resolve(spec, choices=chosen) for chosen in variants(spec))
    assert (default.variant, default.identifier) == ("", "gru")
    assert (relu.variant, relu.identifier) == ("relu", "gru_relu")
    assert "relu(" in repr(relu.equations[1].expr) or "'relu'" in repr(relu.equations[1].expr)
    assert relu.equations[1].text == default.equations[1].text
    assert relu.equations[1].text.startswith("activation(")
    assert resolve(spec, constants={"beta": 2}).constants[0].value == 2.0
    for options in ({"activatoin": "relu"}, {"activation": "sin"}):
        with pytest.raises(SpecError) as caught:
            resolve(spec, choices=options)
        assert caught.value.diagnostics[0].code == "E0126"
    for values in ({"bet": 1.0}, {"beta": float("nan")}, {"beta": float("inf")}):
        with pytest.raises(SpecError) as caught:
            resolve(spec, constants=values)
        assert caught.value.diagnostics[0].code == "E0127"


def test_comments_of_equations_are_kept() -> None:
    for value in ("h + x2  # a gate", "'h + x2' # a gate", "|  # a gate\n    h + x2"):
        spec = read_spec_text(edited(l10=f"  z: {value}"))
        assert spec.equations[0].comment == "a gate"
    assert read_spec_text(edited(l10="  z: 'a' ")).equations[0].comment == ""


def test_extends_replaces_in_place_and_drops_what_nothing_reads() -> None:
    text = "cell: small\nextends: gru\nequations:\n  n: 2 * q\n  q: tanh(W_n @ x + z)\n"
    small = resolve(_child(text), find=_shelf(gru=BASE))
    assert [each.target for each in small.equations] == ["z", "q", "n", "h'"]
    assert [each.name for each in small.parameters] == ["W_z", "W_n", "U_z", "b_z"]
    assert (small.name, small.title, small.cite) == ("small", "small", ())
    assert small.gates == ("z",)
    assert resolve(read_spec_text(write_spec(small))) == small


def test_extends_drops_a_gate_that_nothing_reads() -> None:
    text = "cell: plain\nextends: gru\nequations:\n  h': n\n  n: tanh(W_n @ x + U_n @ h + b_n)\n"
    plain = resolve(_child(text), find=_shelf(gru=BASE))
    assert [each.target for each in plain.equations] == ["n", "h'"]
    assert plain.gates == ()
    assert [each.name for each in plain.parameters] == ["W_n", "U_n", "b_n"]


def test_extends_adds_declarations() -> None:
    text = (
        "cell: more\nextends: gru\nconstants: {beta: 0.5}\nparameters: {p_z: hidden}\n"
        "equations:\n  z: sigmoid(W_z @ x + beta * p_z * h + b_z)\n"
    )
    more = resolve(_child(text), find=_shelf(gru=BASE))
    assert [each.name for each in more.parameters] == [
        *("W_z", "W_n", "U_n", "b_z", "b_n", "p_z"),
    ]
    assert more.constants[0].value == 0.5


def test_mistakes_in_a_parent_show_the_parents_line() -> None:
    text = "cell: bad\nextends: gru\nequations:\n  n: tanh(W_n @ h + U_n @ h + b_n + Q)\n"
    with pytest.raises(SpecError) as caught:
        resolve(_child(text), find=_shelf(gru=BASE))
    assert shown(caught.value).startswith("  4:11 E0401")
    assert "child.yaml:4:37" in str(caught.value)
    text = "cell: bad\nextends: gru\nparameters: {z: hidden}\n"
    with pytest.raises(SpecError) as caught:
        resolve(_child(text), find=_shelf(gru=BASE.replace("z * h", "z * hh")))
    assert "gru.yaml" in str(caught.value)


def test_chains_of_extends_end() -> None:
    for text, code in (
        ("cell: a\nextends: a\n", "E0501"),
        ("cell: a\nextends: b\n", "E0501"),
        ("cell: a\nextends: c0\n", "E0502"),
    ):
        specs = {f"c{index}": f"cell: c{index}\nextends: c{index + 1}\n" for index in range(20)}
        with pytest.raises(SpecError) as caught:
            resolve(_child(text), find=_shelf(a=text, b="cell: b\nextends: a\n", **specs))
        assert caught.value.diagnostics[0].code == code
    error = refusal("cell: a\nextends: none_such_cell\n")
    assert [(item.code, item.span and item.span.line) for item in error.diagnostics] == [
        ("E0503", 2)
    ]


def test_new_equations_that_form_a_cycle_are_reported() -> None:
    text = "cell: loop\nextends: gru\nequations:\n  z: tanh(q)\n  q: tanh(z)\n"
    with pytest.raises(SpecError) as caught:
        resolve(_child(text), find=_shelf(gru=BASE))
    assert {item.code for item in caught.value.diagnostics} == {"E0302"}


@pytest.mark.parametrize("name", names())
def test_the_catalogue_reads_and_prints_as_full_specs(name: str) -> None:
    spec = read_spec(name)
    for number, chosen in enumerate(variants(spec)):
        found = load(name, choices=chosen)
        again = resolve(read_spec_text(write_spec(found)))
        assert again.equations == found.equations
        assert again.parameters == found.parameters
        assert number or again == found
        assert str(found).startswith(found.identifier)


def test_names_and_paths(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(BASE)
    assert load(str(path)) == load(path) == cell(BASE)
    for name in ("lstn", "../../x", "LSTM", "", "{{ 7*7 }}"):
        with pytest.raises(SpecError):
            load(name)
    assert list(names()) == sorted(names())


def test_sizes_and_reserved_words() -> None:
    assert [sized(dim) for dim in ("input", "hidden", "memory")] == ["I", "H", "MEMORY"]
    assert "size of dimension" in name_problem("MEMORY", ("memory",))
    assert not name_problem("MEMORY", ("hidden",))
    own = ("x_kept", "x_now", "x_soon", "EACH_2")
    for name in (*own, "_x", "lambda", "tanh", "log1p", "row", "T", "d_h", "ct_h", "h_next"):
        assert name_problem(name)
    for name in ("i", "f", "g", "o", "r", "z", "n", "c", "s", "W_i", "alpha", "no"):
        assert not name_problem(name)
