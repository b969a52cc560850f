"""Peers compute what a cell's equations say: every function, every cell, every gradient."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from gatewright.language.catalogue import known
from gatewright.language.expression import Call, Name
from gatewright.language.functions import AUTHOR_FUNCTIONS
from gatewright.studies import ours
from gatewright.studies.agreement import agreement
from gatewright.studies.jobs import TASKS, Size, Subject
from gatewright.studies.problem import Problem, draw
from gatewright.verify.interpret import evaluate
from tests.oracles.catalogue import variants

TINY = Size(B=3, H=6, T=4)
LIBRARIES = {"torch": "peers_torch", "jax": "peers_jax", "onnxruntime": "peers_onnxruntime"}
VARIANTS = [(name, tuple(choices.items())) for name, choices in variants()]


def peer(name: str) -> Any:
    pytest.importorskip(name, reason=f"the peer is {name}")
    return importlib.import_module(f"gatewright.studies.{LIBRARIES[name]}")


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_every_function_has_its_row_and_its_value(name: str) -> None:
    table, library = peer(name).LIBRARY, importlib.import_module(name)
    assert table.keys() == {"@", *AUTHOR_FUNCTIONS}
    asarray = library.tensor if name == "torch" else library.numpy.asarray
    x = np.linspace(0.1, 3.0, 9, dtype=np.float32)
    for row in AUTHOR_FUNCTIONS.values():
        signs = (1.0,) if row.name in ("log", "sqrt") else (1.0, -1.0)
        for sign in signs:
            values = dict(zip(row.arguments, (x * sign, x[::-1].copy()), strict=False))
            wanted = evaluate(Call(row.name, tuple(map(Name, row.arguments))), values)
            found = table[row.name](*(asarray(array) for array in values.values()))
            assert np.allclose(np.asarray(found), wanted, rtol=1e-5, atol=1e-6), row.name


def problem_of(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """Draw a problem, and let the interpreter of the Programs stand for our compiled kernels."""
    reference = subject.load().compile("reference", "float32")
    monkeypatch.setattr(ours, "kernels", lambda subject, threads: reference)
    return draw(subject.load(), TINY)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("cell", "choices"), VARIANTS, ids=str)
@pytest.mark.parametrize("name", LIBRARIES)
def test_every_cell_of_the_catalogue_agrees(
    name: str,
    cell: str,
    choices: tuple[tuple[str, str], ...],
    task: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, subject = peer(name), Subject(cell, choices)
    problem = problem_of(subject, monkeypatch)
    own = ours.candidate(subject, problem, task, 1)
    expected = own.read(own.run())
    found = list(module.candidates(problem, task, 1))
    for other in found:
        compared = agreement(expected, other.read(other.run()))
        assert compared.agrees, f"{other.name}: {compared}"
    if name == "torch":
        assert len(found) == 1 + (cell in module.LAYERS)
    else:
        expects = name == "jax" or (task == "inference" and cell in module.OPERATORS)
        assert len(found) == int(expects)


def test_a_cell_of_another_meaning_is_not_the_library_s() -> None:
    assert known(Subject("lstm").load().cell) == "lstm"
    assert known(Subject("elman", (("activation", "relu"),)).load().cell) == "elman"
    changed = Subject("lstm").load().cell
    changed = type(changed)(**{**vars(changed), "equations": changed.equations[::-1]})
    assert known(changed) == ""


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_after", "elman"])
def test_torch_has_the_settings_that_its_users_give_it(
    cell: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, torch = peer("torch"), importlib.import_module("torch")
    training, original = task == "training", module.LAYERS[cell]
    seen: list[tuple[bool, ...]] = []

    class Watched(original):  # type: ignore[misc, valid-type]
        def forward(self, x: Any, state: Any) -> Any:
            states = state if isinstance(state, tuple) else (state,)
            given = [x, *states, *self.parameters()]
            assert {each.dtype for each in given} == {torch.float32}
            seen.append((torch.is_grad_enabled(), self.training))
            assert {each.requires_grad for each in given} == {training}
            return super().forward(x, state)

    monkeypatch.setitem(module.LAYERS, cell, Watched)
    before = torch.get_num_threads()
    try:
        problem = draw(Subject(cell).load(), TINY)
        layer, _ = module.candidates(problem, task, 1)
        assert torch.get_num_threads() == 1
        found = layer.read(layer.run())
    finally:
        torch.set_num_threads(before)
    assert seen == [(training, training)]
    names = {*problem.inputs, *problem.state, *problem.parameters}
    assert found.gradients.keys() == (names if training else set())
