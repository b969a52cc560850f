"""What runs once and what runs at every step is found from dependences alone."""

from __future__ import annotations

from pathlib import Path

from gatewright.language import catalogue
from gatewright.language.cell import Cell
from gatewright.program.compile import compile_cell
from gatewright.program.ir import Outer, Product, Products, Program


def products(program: Program, section: str) -> set[str]:
    """Return the weights multiplied in a section."""
    found = (item for item in program.statements(section) if isinstance(item, Product))
    return {weight for item in found for weight in item.weights}


def load_text(folder: Path, text: str) -> Cell:
    path = folder / "own.yaml"
    path.write_text(text)
    return catalogue.load(str(path))


def test_input_projections_run_once_before_and_input_cotangents_once_after() -> None:
    programs = compile_cell(catalogue.load("lstm"))
    assert products(programs.forward, "before") == {"W_i", "W_f", "W_g", "W_o"}
    assert products(programs.forward, "step") == {"U_i", "U_f", "U_g", "U_o"}
    assert products(programs.reverse, "step") == {"U_i", "U_f", "U_g", "U_o"}
    assert products(programs.reverse, "after") == {"W_i", "W_f", "W_g", "W_o"}


def test_gates_that_share_an_operand_share_one_product_and_one_weight_gradient() -> None:
    programs = compile_cell(catalogue.load("lstm"))
    (stage,) = (s for s in programs.forward.step if isinstance(s, Products))
    assert [len(item.weights) for item in stage.items] == [4]
    outers = [item for item in programs.reverse.outers if isinstance(item, Outer)]
    assert [(len(item.targets), item.right) for item in outers] == [(4, "x"), (4, "h")]


def test_reset_before_the_product_needs_two_stages_and_reset_after_one() -> None:
    def stages(name: str) -> int:
        forward = compile_cell(catalogue.load(name)).forward
        return sum(isinstance(stage, Products) for stage in forward.step)

    assert (stages("gru"), stages("gru_reset_after")) == (2, 1)


def test_a_diagonal_recurrence_has_no_product_in_its_loop() -> None:
    programs = compile_cell(catalogue.load("indrnn"))
    assert products(programs.forward, "step") == set()
    assert products(programs.reverse, "step") == set()


def test_a_product_of_a_squashed_input_is_hoisted_with_what_it_reads() -> None:
    programs = compile_cell(catalogue.load("minimal_rnn"))
    assert products(programs.forward, "step") == {"U_u"}
    assert products(programs.forward, "before") == {"W_z", "V_u"}
    assert products(programs.reverse, "after") == {"W_z", "V_u"}


READOUT = """
cell: readout
title: Elman network with a linear readout
cite: [elman1990finding]
inputs: {x: input}
states: {h: hidden}
parameters:
  W: [hidden, input]
  U: [hidden, hidden]
  V: [answer, hidden]
equations:
  h': tanh(W @ x + U @ h)
  y: V @ h'
output: y
gates: []
"""


def test_a_readout_runs_after_the_loop_and_its_reverse_before_it(tmp_path: Path) -> None:
    programs = compile_cell(load_text(tmp_path, READOUT))
    assert products(programs.forward, "after") == {"V"}
    assert products(programs.reverse, "before") == {"V"}
    assert programs.forward.results[0] == "y"


def test_saved_values_are_those_the_reverse_reads_and_no_others() -> None:
    programs = compile_cell(catalogue.load("lstm"))
    assert programs.forward.saved == ("i", "f", "g", "o", "tanh_c_next")
    read = {name for item in programs.reverse.statements() for name in item.reads}
    read |= {name for item in programs.reverse.outers for name in item.reads}
    assert set(programs.forward.saved) <= read
