"""Parameters of `nn.RNN`, `nn.LSTM` and `nn.GRU` go both ways, to 1e-6 in single precision."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

import gatewright.torch  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import distance, flat  # noqa: E402

LIBRARY = {"lstm": torch.nn.LSTM, "gru_reset_after": torch.nn.GRU, "elman": torch.nn.RNN}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"num_layers": 2, "bidirectional": True},
]


@pytest.mark.parametrize("cell", LIBRARY)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_both_ways(cell: str, options: dict[str, Any]) -> None:
    theirs = LIBRARY[cell](5, 7, **options)
    ours = gatewright.torch.layer(cell, 5, 7, **options)
    ours.load_torch_state_dict(theirs.state_dict())
    x = torch.randn(6, 3, 5)
    expected = flat(theirs(x))
    assert distance(flat(ours(x)), expected) < 1e-6
    back = LIBRARY[cell](5, 7, **options)
    assert distance(flat(back(x)), expected) > 1e-2
    back.load_state_dict(ours.torch_state_dict())
    assert distance(flat(back(x)), expected) < 1e-6


def test_another_order_of_gates_would_be_noticed() -> None:
    theirs, ours = torch.nn.LSTM(5, 7), gatewright.torch.layer("lstm", 5, 7)
    rolled = {name: torch.roll(each, 7, 0) for name, each in theirs.state_dict().items()}
    ours.load_torch_state_dict(rolled)
    x = torch.randn(6, 3, 5)
    assert distance(flat(ours(x)), flat(theirs(x))) > 1e-3


def test_an_activation_is_the_cells_own() -> None:
    theirs = torch.nn.RNN(5, 7, nonlinearity="relu")
    ours = gatewright.torch.layer(gatewright.load("elman", activation="relu"), 5, 7)
    ours.load_torch_state_dict(theirs.state_dict())
    x = torch.randn(6, 3, 5)
    assert distance(flat(ours(x)), flat(theirs(x))) < 1e-6


def test_a_gru_that_resets_before_the_product_is_not_that_of_pytorch() -> None:
    layer = gatewright.torch.layer("gru", 5, 7)
    with pytest.raises(ArgumentError, match=r"none of nn.RNN, .*; nn.GRU is `gru_reset_after`"):
        layer.load_torch_state_dict(torch.nn.GRU(5, 7).state_dict())
    with pytest.raises(ArgumentError, match="is none of nn"):
        gatewright.torch.layer("lstm_peephole", 5, 7).torch_state_dict()


@pytest.mark.parametrize(
    ("theirs", "sentence"),
    [
        (torch.nn.LSTM(5, 7, bias=False), "lacks bias_hh_l0, bias_ih_l0"),
        (torch.nn.LSTM(5, 7, num_layers=2), "has unknown bias_hh_l1"),
        (torch.nn.LSTM(5, 8), r"`weight_ih_l0` must have shape \[28, 5\]; got \[32, 5\]"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(theirs: Any, sentence: str) -> None:
    layer = gatewright.torch.layer("lstm", 5, 7)
    before = {name: each.clone() for name, each in layer.state_dict().items()}
    with pytest.raises(ArgumentError, match=sentence):
        layer.load_torch_state_dict(theirs.state_dict())
    assert all(torch.equal(each, before[name]) for name, each in layer.state_dict().items())
