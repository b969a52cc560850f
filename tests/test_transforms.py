"""Transforms: a cell changed by name is a cell like any other, all the way to claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewright
from gatewright.cli.app import run
from gatewright.language import catalogue, transforms
from gatewright.language.cell import Cell
from gatewright.language.diagnostics import SpecError
from gatewright.language.format import format_spec, write_spec
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve
from gatewright.verify.certificate import certify
from gatewright.verify.reference import ReferenceKernels, evaluate_sequence
from tests.oracles.catalogue import variants

SIZES = {"input": 3, "hidden": 5, "projection": 2}


def projectable() -> list[str]:
    found = []
    for name in catalogue.names():
        try:
            transforms.projected(catalogue.load(name))
        except SpecError:
            continue
        found.append(name)
    return found


def drawn(cell: Cell, T: int = 4, B: int = 2, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return random inputs [T, B, dim], states [B, dim] and parameters."""
    stream = np.random.default_rng(seed)
    inputs = {v.name: stream.normal(size=(T, B, SIZES[v.dims[0]])) for v in cell.inputs}
    states = {v.name: stream.normal(size=(B, SIZES[v.dims[0]])) for v in cell.states}
    parameters = {
        v.name: stream.normal(size=tuple(SIZES[dim] for dim in v.dims)) for v in cell.parameters
    }
    return inputs, states, parameters


@pytest.mark.parametrize(("name", "choices"), variants(), ids=str)
def test_what_a_transform_makes_is_a_spec_in_house_style(name: str, choices: Any) -> None:
    cell = catalogue.load(name, choices=choices)
    made = [transforms.zoneout(cell)]
    if name in projectable():
        made += [transforms.projected(cell), transforms.zoneout(transforms.projected(cell))]
    for each in made:
        text = write_spec(each)
        assert resolve(read_spec_text(text)) == each
        assert format_spec(text) == text
        assert each.name not in catalogue.names()


def test_the_cells_that_read_their_state_in_products_alone_can_be_projected() -> None:
    assert {"lstm", "lstm_peephole", "lstm_coupled", "elman"} <= set(projectable())
    assert not {"gru", "gru_reset_after", "mgu", "indrnn"} & set(projectable())


@pytest.mark.parametrize("name", projectable())
def test_a_projection_onto_all_units_is_the_cell_itself(name: str) -> None:
    cell = catalogue.load(name)
    made = transforms.projected(cell)
    inputs, states, parameters = drawn(cell)
    expected = evaluate_sequence(cell, inputs, states, parameters)
    found = evaluate_sequence(made, inputs, states, {**parameters, "W_hr": np.eye(5)})
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    (added,) = set(made.parameters) - {*cell.parameters} - {*_recurrent(made)}
    assert (added.name, added.dims) == ("W_hr", ("projection", "hidden"))


def _recurrent(cell: Cell) -> list[Any]:
    return [each for each in cell.parameters if each.dims == ("hidden", "projection")]


@pytest.mark.parametrize("name", catalogue.names())
def test_zoneout_of_nothing_is_the_cell_and_of_everything_keeps_all(name: str) -> None:
    cell = catalogue.load(name)
    made = transforms.zoneout(cell)
    inputs, states, parameters = drawn(cell)
    kept = {v.name: (4, 2, SIZES[v.dims[0]]) for v in made.inputs if v not in cell.inputs}
    none = {mask: np.zeros(shape) for mask, shape in kept.items()}
    every = {mask: np.ones(shape) for mask, shape in kept.items()}
    expected = evaluate_sequence(cell, inputs, states, parameters)
    found = evaluate_sequence(made, {**inputs, **none}, states, parameters)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    final = evaluate_sequence(made, {**inputs, **every}, states, parameters)[1]
    for state, array in final.items():
        np.testing.assert_array_equal(array, states[state])


def test_zoneout_is_the_formula_of_its_paper() -> None:
    cell = catalogue.load("lstm")
    made = transforms.zoneout(cell, ("c", "h"))
    inputs, states, parameters = drawn(made, T=1)
    (y,), final = evaluate_sequence(made, inputs, states, parameters)
    (raw,), new = evaluate_sequence(cell, {"x": inputs["x"]}, states, parameters)
    for name in ("h", "c"):
        keep = inputs[f"keep_{name}"][0]
        np.testing.assert_allclose(final[name], keep * states[name] + (1 - keep) * new[name])
    # The output of the step reads the new c and not the one that is carried on.
    np.testing.assert_allclose(
        y, inputs["keep_h"][0] * states["h"] + (1 - inputs["keep_h"][0]) * raw
    )


@pytest.mark.parametrize("name", ["lstm_peephole", "elman"])
def test_gradients_are_certified(name: str) -> None:
    made = transforms.zoneout(transforms.projected(catalogue.load(name)))
    loaded = gatewright.LoadedCell(made)
    certificate = certify(
        made, lambda dtype: ReferenceKernels(loaded.programs, dtype), "reference", "float64"
    )
    assert certificate.verdict == "pass"
    kernels = loaded.compile("cpu", "float64")
    assert certify(made, lambda dtype: kernels, "cpu", "float64").verdict == "pass"


CLAIMS = """family: projection
title: Projections
cells:
  lstm_projected:
{cell}
claims:
  scaled:
    statement: The projection may be twice as large if the recurrent weights are half as large.
    left: {{cell: lstm_projected, as: scaled}}
    right: lstm_projected
    parameters:
      scaled.*: lstm_projected.*
      scaled.W_hr: 2 * lstm_projected.W_hr
      scaled.U_*: lstm_projected.U_* / {divisor}
    states:
      scaled.h[t]: 2 * lstm_projected.h[t]
      scaled.c[t]: lstm_projected.c[t]
    observe:
      - scaled.h[t] = 2 * lstm_projected.h[t]
    expect: proved
"""


@pytest.mark.parametrize(("divisor", "code"), [(2, 0), (3, 1)])
def test_claims_about_what_a_transform_makes_are_decided(
    tmp_path: Path, divisor: int, code: int
) -> None:
    body = write_spec(transforms.projected(catalogue.load("lstm"))).splitlines()[1:]
    text = CLAIMS.format(cell="\n".join(f"    {line}" for line in body), divisor=divisor)
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    assert run(["prove", str(path)]) == code


MISFITS: dict[str, Any] = {
    "cell `gru` cannot be projected: equation `n` reads `h` elementwise": (
        lambda: gatewright.transforms.projected("gru")
    ),
    "cell `lstm` cannot be projected: equation `c'` reads `c` elementwise": (
        lambda: gatewright.transforms.projected("lstm", "c")
    ),
    "cell `lstm_projected` has a dimension `projection` already": (
        lambda: gatewright.transforms.projected(gatewright.transforms.projected("lstm"))
    ),
    "cell `lstm` has no state `hh`": lambda: gatewright.transforms.zoneout("lstm", "hh"),
}


@pytest.mark.parametrize("sentence", MISFITS)
def test_a_transform_that_does_not_fit_gets_a_sentence(sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        MISFITS[sentence]()
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("E0506", sentence)
    assert found.help


def test_a_matrix_that_multiplies_more_than_the_state_keeps_its_size() -> None:
    text = write_spec(catalogue.load("elman")).replace("inputs: {x: input}", "inputs: {x: hidden}")
    text = text.replace("[hidden, input]", "[hidden, hidden]").replace("U @ h", "W @ h")
    text = text.replace("  U: [hidden, hidden]\n", "")
    with pytest.raises(SpecError, match="`W` multiplies the state and something else"):
        transforms.projected(resolve(read_spec_text(text)))


def test_names_that_are_taken_are_avoided() -> None:
    text = write_spec(catalogue.load("elman")).replace("U @ h", "U @ h + h_raw")
    text = text.replace("equations:\n", "equations:\n  h_raw: b * b\n")
    made = transforms.projected(resolve(read_spec_text(text)))
    assert [each.target for each in made.equations] == ["h_raw", "h_raw_", "h'"]


def test_the_command_prints_a_spec_that_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["transform", "lstm", "--projected", "--zoneout", "h", "--zoneout", "c"]) == 0
    path = tmp_path / "cell.yaml"
    path.write_text(capsys.readouterr().out)
    expected = gatewright.transforms.zoneout(gatewright.transforms.projected("lstm"), "h", "c")
    assert gatewright.load(path).cell == expected.cell
    assert run(["transform", "lstm"]) == 2
    assert "say what is to change" in capsys.readouterr().err
    assert run(["transform", "gru", "--projected"]) == 2
    assert "error[E0506]" in capsys.readouterr().err
