"""A race compares times only of those who train the same: same weights, same early losses."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the examples use PyTorch")

from gatewright.bridges.torch.layer import RecurrentLayer  # noqa: E402
from gatewright.examples.jobs import begin  # noqa: E402
from gatewright.examples.training import Size, Trainer  # noqa: E402
from gatewright.studies import race as races  # noqa: E402
from gatewright.studies.race import OURS, Race, Runner, race, runners  # noqa: E402
from gatewright.studies.race_floor import operations, without_layers  # noqa: E402
from gatewright.studies.race_peers import PEERS, replaced, torch_nn  # noqa: E402

SIZE = Size(hidden=16, batch=8, length=8, steps=30, rate=0.01)
NN = {"lstm": "LSTM", "gru_reset_after": "GRU", "elman": "RNN"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(races, "PAUSE", 0.0)


def begun(cell: str, name: str = "reversal", **settings: Any) -> Any:
    return begin(name, cell, SIZE, threads=1, **settings)


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_after", "elman", "lstm_peephole", "gru"])
@pytest.mark.parametrize("name", ["reversal", "char_lm"])
def test_everybody_trains_the_same_model(name: str, cell: str) -> None:
    """Over thirty steps of Adam: two biases that learn at twice the rate would be seen."""
    found = race(cell, begun(cell, name), tuple(PEERS), threads=1)
    expected = [*(["torch.nn"] if cell in NN else []), "loop", "eager"]
    assert [each.name for each in found.others] == expected
    assert found.ours.losses[-1] < found.ours.losses[0]
    for each in found.others:
        assert len(each.losses) == SIZE.steps
        assert found.ours.apart(each) < 1e-4, each.name
        assert found.ratio(each) == each.seconds / found.ours.seconds > 0
    assert found.disagreements == ()


def test_the_choice_of_a_cell_goes_along() -> None:
    job = begun("elman", activation="relu")
    model = replaced(job.model, torch_nn)
    assert isinstance(model, torch.nn.Module)
    assert model.get_submodule("encoder").nonlinearity == "relu"
    assert race("elman", job, ["torch.nn"], threads=1).disagreements == ()


def test_our_own_model_is_left_as_it_was() -> None:
    job = begun("lstm")
    others = runners(job, ["torch.nn", "loop", "torch.nn"])
    assert list(others) == [OURS, "torch.nn", "loop"]
    assert isinstance(job.model.get_submodule("encoder"), RecurrentLayer)
    assert isinstance(others["torch.nn"].model.get_submodule("encoder"), torch.nn.LSTM)
    ours = {each.data_ptr() for each in job.model.parameters()}
    theirs = {each.data_ptr() for each in others["torch.nn"].model.parameters()}
    assert not ours & theirs


def test_a_cell_that_nobody_else_has_is_raced_by_its_equations_alone() -> None:
    assert list(runners(begun("ran"), tuple(PEERS))) == [OURS, "loop", "eager"]


def test_who_trains_something_else_gets_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_gates(layer: RecurrentLayer) -> Any:
        found = torch_nn(layer)
        assert found is not None
        with torch.no_grad():
            weight = found.get_parameter("weight_ih_l0")
            weight.copy_(weight.roll(layer.hidden_size, 0))
        return found

    monkeypatch.setitem(PEERS, "torch.nn", other_gates)
    found = race("lstm", begun("lstm"), ["torch.nn", "eager"], threads=1)
    wrong, right = found.others
    assert found.ratio(wrong) is None
    assert found.ratio(right) is not None
    (sentence,) = found.disagreements
    assert sentence.startswith("torch.nn trained something else than lstm: in the first 50 ")


def test_two_biases_that_both_learn_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def both_biases(layer: RecurrentLayer) -> Any:
        found: Any = torch_nn(layer)
        found.bias_hh_l0._backward_hooks.clear()
        return found

    monkeypatch.setitem(PEERS, "torch.nn", both_biases)
    found = race("lstm", begun("lstm"), ["torch.nn"], threads=1)
    assert found.ratio(found.others[0]) is None
    assert len(found.disagreements) == 1


def test_rounding_that_training_lets_grow_is_no_disagreement() -> None:
    """Copying is learned all at once: after that step two runs are no longer close."""
    late = races.COMPARED * (1.0,)
    ours, loop = Runner(OURS, 1.0, (*late, 0.1)), Runner("loop", 2.0, (*late, 0.3))
    found = Race("lstm", ours, (loop,), 0.5)
    assert found.ratio(loop) == 2.0
    assert found.ceiling(loop) == 4.0
    assert found.disagreements == ()


def test_a_loss_that_is_no_number_agrees_with_nothing() -> None:
    nan = float("nan")
    ours, other = Runner(OURS, 1.0, (1.0, 0.5)), Runner("loop", 2.0, (1.0, nan))
    found = Race("lstm", ours, (other,), 0.5)
    assert found.ratio(other) is None
    assert found.ceiling(other) is None
    assert len(found.disagreements) == 1


@pytest.mark.parametrize("name", ["reversal", "char_lm", "adding"])
@pytest.mark.parametrize("cell", ["lstm_peephole", "gru"])
def test_the_products_of_a_step_are_those_of_its_layers(name: str, cell: str) -> None:
    """Twice the numbers of matrices, forward and for two gradients; `adding` learns no input."""
    job = begun(cell, name)
    layers = [each for each in job.model.modules() if isinstance(each, RecurrentLayer)]
    expected = 0
    for layer in layers:
        ((_, held),) = layer.named_cell_parameters()
        read = 4 if name == "adding" else 6
        expected += sum(read * each.numel() for n, each in held.items() if n.startswith("W_"))
        expected += sum(6 * each.numel() for n, each in held.items() if n.startswith("U_"))
    assert operations(job) == expected * SIZE.length * SIZE.batch


def test_without_its_layers_a_model_learns_the_rest_alone() -> None:
    job = begun("lstm")
    rest = without_layers(job)
    Trainer(rest).step(0)
    names = {name for name, _ in job.model.named_parameters() if "coder." not in name}
    assert {name for name, each in rest.model.named_parameters() if each.grad is not None} == names
