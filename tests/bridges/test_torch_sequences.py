"""Packed sequences and lengths: the numbers and gradients of `torch.nn`, for every cell."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence  # noqa: E402

from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import distance, loss, pair  # noqa: E402
from tests.bridges.test_torch_layer import both, states  # noqa: E402

LENGTHS = [[5, 5, 5], [5, 3, 1], [2, 5, 3], [1, 5, 1]]
TOLERANCE = 1e-11


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_after", "elman"])
def test_packed_sequences_are_those_of_pytorch(cell: str, lengths: list[int]) -> None:
    ours, theirs = both(cell, num_layers=2, bidirectional=True)
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    hx = states(theirs, cell)
    found = []
    for layer in (ours, theirs):
        rows = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        y, final = layer(rows, hx)
        assert isinstance(y, PackedSequence)
        results = [y.data, *(final if isinstance(final, tuple) else (final,))]
        wanted = [x, *(hx if isinstance(hx, tuple) else (hx,))]
        gradients = torch.autograd.grad(loss((results[0], tuple(results[1:]))), wanted)
        found.append([*results, *gradients])
    assert distance(*found) < TOLERANCE


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("cell", ["lstm_peephole", "fast_grnn"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_each_sequence_by_itself(
    cell: str, lengths: list[int], batch_first: bool
) -> None:
    for layer in pair(cell, bidirectional=True, batch_first=batch_first):
        x = torch.randn(5, 3, 4, dtype=torch.float64)
        given = x.transpose(0, 1) if batch_first else x
        y, final = layer(given, lengths=lengths)
        y = y.transpose(0, 1) if batch_first else y
        final = final if isinstance(final, tuple) else (final,)
        for row, length in enumerate(lengths):
            alone, last = layer(x[:length, row])
            last = last if isinstance(last, tuple) else (last,)
            assert distance([y[:length, row]], [alone]) < TOLERANCE
            assert distance([each[:, row] for each in final], last) < TOLERANCE
            assert not y[length:, row].any()


def test_sorted_sequences_need_no_indices() -> None:
    ours, theirs = both("lstm")
    rows = pack_sequence([torch.randn(n, 4, dtype=torch.float64) for n in (4, 2, 1)])
    found, expected = ours(rows)[0], theirs(rows)[0]
    assert found.sorted_indices is None
    assert distance([found.data], [expected.data]) < TOLERANCE


def test_padding_is_never_read() -> None:
    layer, _ = pair("lstm")
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    first = layer(x, lengths=[5, 3, 1])
    x[3:, 1] = float("nan")
    x[1:, 2] = float("nan")
    second = layer(x, lengths=[5, 3, 1])
    assert distance([second[0], *second[1]], [first[0], *first[1]]) == 0.0


def test_lengths_beside_a_packed_sequence_are_refused() -> None:
    layer, _ = pair("lstm")
    rows: Any = pack_sequence([torch.randn(n, 4, dtype=torch.float64) for n in (4, 2, 1)])
    with pytest.raises(ArgumentError, match="leave out `lengths`"):
        layer(rows, lengths=[1, 2])


@pytest.mark.parametrize("batch_first", [False, True])
def test_vmap_of_lengths_is_a_loop(batch_first: bool) -> None:
    layer, plain = pair("lstm", num_layers=2, bidirectional=True, batch_first=batch_first)
    shape = (2, 3, 5, 4) if batch_first else (2, 5, 3, 4)
    xs = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def every(layer: Any, x: Any) -> Any:
        y, final, states = layer(x, lengths=[2, 5, 3], return_states=True)
        return (y, *final, *states)

    found = torch.vmap(lambda x: every(layer, x))(xs)
    expected = [torch.stack(each) for each in zip(*(every(plain, x) for x in xs), strict=True)]
    assert distance(found, expected) < TOLERANCE
    gradients = [torch.autograd.grad(each[0].sin().sum(), xs) for each in (found, expected)]
    assert distance(*gradients) < TOLERANCE


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_layer_takes_other_lengths() -> None:
    layer, _ = pair("gru", num_layers=2, bidirectional=True)
    compiled = torch.compile(layer, backend="aot_eager")
    for lengths in ([2, 5, 3], [2, 5, 3], [5, 5, 1], [1, 1, 1]):
        x = torch.randn(5, 3, 4, dtype=torch.float64)
        found, expected = (each(x, lengths=lengths) for each in (compiled, layer))
        assert distance(found, expected) < TOLERANCE
