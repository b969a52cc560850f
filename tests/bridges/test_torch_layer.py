"""The layer has the surface of `nn.LSTM`, and the numbers and gradients of `torch.nn`."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

import gatewright.torch  # noqa: E402
from gatewright.language.diagnostics import SpecError  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import backward, distance, flat, loss, pair  # noqa: E402
from tests.oracles.catalogue import variants  # noqa: E402

LIBRARY = {"lstm": torch.nn.LSTM, "gru_reset_after": torch.nn.GRU, "elman": torch.nn.RNN}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 3},
    {"bidirectional": True},
    {"batch_first": True},
    {"bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
]
TOLERANCE = 1e-11


def both(cell: str, backend: str = "kernel", **options: Any) -> tuple[Any, Any]:
    """Return our layer and PyTorch's with the same parameters, in float64."""
    ours = gatewright.torch.layer(cell, 4, 6, **options, backend=backend, dtype=torch.float64)
    theirs = LIBRARY[cell](4, 6, **options, dtype=torch.float64)
    theirs.load_state_dict(ours.torch_state_dict())
    return ours, theirs


def states(layer: Any, cell: str, rows: int = 3) -> Any:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    shape = (count, rows, 6) if rows else (count, 6)
    made = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    return tuple(made) if cell == "lstm" else made[0]


def leaves(hx: Any) -> list[Any]:
    return list(hx) if isinstance(hx, tuple) else [hx]


@pytest.mark.parametrize("cell", LIBRARY)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("backend", ["kernel", "eager"])
def test_outputs_states_and_gradients_are_those_of_pytorch(
    cell: str, options: dict[str, Any], backend: str
) -> None:
    ours, theirs = both(cell, backend, **options)
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    hx = states(theirs, cell, 5 if ours.batch_first else 3)
    for given in ((x,), (x, hx)):
        found, expected = ours(*given), theirs(*given)
        assert type(found[1]) is type(expected[1])
        assert distance(flat(found), flat(expected)) < TOLERANCE
        wanted = [x, *(leaves(hx) if len(given) > 1 else [])]
        gradients = [torch.autograd.grad(loss(each), wanted) for each in (found, expected)]
        assert distance(*gradients) < TOLERANCE


@pytest.mark.parametrize("cell", LIBRARY)
def test_gradients_of_parameters_are_those_of_pytorch(cell: str) -> None:
    ours, theirs = both(cell, num_layers=2, bidirectional=True)
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    for layer in (ours, theirs):
        backward(loss(layer(x)))
    with torch.no_grad():
        for parameter in [*ours.parameters(), *theirs.parameters()]:
            parameter.copy_(parameter.grad)
    found, expected = ours.torch_state_dict(), theirs.state_dict()
    # A bias of ours is the sum of two, each of which has the gradient of the sum.
    names = [n for n in expected if not n.startswith("bias_hh")]
    assert distance([found[n] for n in names], [expected[n] for n in names]) < TOLERANCE


@pytest.mark.parametrize("cell", LIBRARY)
def test_a_sequence_without_a_batch(cell: str) -> None:
    ours, theirs = both(cell, num_layers=2)
    x = torch.randn(5, 4, dtype=torch.float64)
    hx = states(theirs, cell, rows=0)
    for given in ((x,), (x, hx)):
        assert distance(flat(ours(*given)), flat(theirs(*given))) < TOLERANCE


@pytest.mark.parametrize(("cell", "choices"), variants(), ids=str)
def test_kernels_and_plain_operations_agree_for_every_cell(
    cell: str, choices: dict[str, str]
) -> None:
    loaded: Any = gatewright.load(cell, **choices)
    kernel, eager = pair(loaded, num_layers=2, bidirectional=True)
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    results = [layer(x) for layer in (kernel, eager)]
    assert distance(*map(flat, results)) < TOLERANCE
    gradients = [
        torch.autograd.grad(loss(result), [x, *layer.parameters()])
        for result, layer in zip(results, (kernel, eager), strict=True)
    ]
    assert distance(*gradients) < TOLERANCE


@pytest.mark.parametrize("sizes", [(0, 3), (4, 0), (1, 1)], ids=str)
def test_nothing_in_gives_nothing_out(sizes: tuple[int, int]) -> None:
    for layer in pair("lstm"):
        y, (h, c) = layer(torch.randn(*sizes, 4, dtype=torch.float64))
        assert y.shape == (*sizes, 6)
        assert h.shape == c.shape == (1, sizes[1], 6)


def test_final_states_share_no_memory() -> None:
    """Whoever writes into one must change neither the other nor what the layer was given."""
    for layer in pair("lstm"):
        for steps in (0, 5):
            x = torch.zeros(steps, 3, 4, dtype=torch.float64)
            given = tuple(torch.zeros(1, 3, 6, dtype=torch.float64) for _ in range(2))
            for hx in (None, given):
                with torch.no_grad():
                    _, (h, c) = layer(x, hx)
                    kept = c.clone()
                    h.fill_(7.0)
                assert torch.equal(c, kept)
                assert all(not each.any() for each in given)


def test_single_precision_is_the_default_and_close_to_double() -> None:
    layer = gatewright.torch.layer("lstm", 4, 6)
    x = torch.randn(5, 3, 4)
    found = layer(x)
    assert found[0].dtype == torch.float32
    double = layer.double()(x.double())
    assert distance([each.double() for each in flat(found)], flat(double)) < 1e-5


def test_dropout_is_between_layers_and_only_in_training() -> None:
    layer, _ = pair("gru", num_layers=2, dropout=0.5)
    plain, _ = pair("gru", num_layers=2)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    assert distance(flat(layer.eval()(x)), flat(plain(x))) == 0.0
    layer.train()
    torch.manual_seed(1)
    first = layer(x)
    torch.manual_seed(1)
    assert distance(flat(layer(x)), flat(first)) == 0.0
    assert distance(flat(layer(x)), flat(first)) > 1e-3
    # The first layer's own states are before any dropout.
    assert torch.equal(first[1][0], plain(x)[1][0])
    assert not torch.equal(first[1][1], plain(x)[1][1])


def test_initial_states_can_be_learned() -> None:
    layer, _ = pair("lstm", num_layers=2, bidirectional=True, learn_initial_state=True)
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    start = {n: p for n, p in layer.named_parameters() if n.startswith("initial_")}
    assert len(start) == 8
    assert not any(p.any() for p in start.values())
    with torch.no_grad():
        for parameter in start.values():
            parameter.uniform_(-1, 1)
    groups = ("l0", "l0_reverse", "l1", "l1_reverse")
    hx = tuple(
        torch.stack([start[f"initial_{group}.{state}"] for group in groups])[:, None]
        .expand(-1, 3, -1)
        .detach()
        .requires_grad_()
        for state in ("h", "c")
    )
    assert distance(flat(layer(x)), flat(layer(x, hx))) == 0.0
    backward(loss(layer(x)))
    d_h, d_c = torch.autograd.grad(loss(layer(x, hx)), hx)
    for k, group in enumerate(groups):
        learned = [start[f"initial_{group}.{state}"].grad for state in ("h", "c")]
        assert distance(learned, [d_h[k].sum(0), d_c[k].sum(0)]) < TOLERANCE


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_stateful_layer_goes_on_where_it_was_and_its_gradients_do_not(cell: str) -> None:
    layer, _ = pair(cell, num_layers=2, stateful=True)
    plain, _ = pair(cell, num_layers=2)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    first, second = (x[:4].clone().requires_grad_(), x[4:].clone().requires_grad_())
    start = layer(first)
    found, whole = layer(second), plain(x)
    assert distance([torch.cat((start[0], found[0]))], [whole[0]]) < TOLERANCE
    assert distance(flat(found)[1:], flat(whole)[1:]) < TOLERANCE
    hx = start[1]
    hx = tuple(each.detach() for each in hx) if isinstance(hx, tuple) else hx.detach()
    leaves = [second, *layer.parameters()]
    cut = [second, *plain.parameters()]
    gradients = torch.autograd.grad(loss(found), leaves)
    assert distance(gradients, torch.autograd.grad(loss(plain(second, hx)), cut)) < TOLERANCE
    with pytest.raises(ArgumentError, match="had 3 rows, this one has 2: call `reset_state`"):
        layer(x[:, :2])
    layer.reset_state()
    assert distance(flat(layer(x)), flat(whole)) < TOLERANCE


def test_settings_of_the_cell_go_with_its_name() -> None:
    x = torch.randn(5, 3, 4)
    found = gatewright.torch.layer("elman", 4, 6, activation="relu")(x)[0]
    assert found.min() == 0.0
    with pytest.raises(SpecError, match="no choice `activatio`"):
        gatewright.torch.layer("elman", 4, 6, activatio="relu")
    with pytest.raises(ArgumentError, match="a loaded cell has its settings: beta come late"):
        gatewright.torch.layer(gatewright.load("janet"), 4, 6, beta=0.5)


PROJECTED = """cell: lstm_projected
title: LSTM with a recurrent projection
cite: [sak2014long]
inputs: {x: input}
states: {h: projection, c: hidden}
parameters:
  W_i, W_f, W_g, W_o: [hidden, input]
  U_i, U_f, U_g, U_o: [hidden, projection]
  P: [projection, hidden]
  b_i, b_f, b_g, b_o: [hidden]
equations:
  i: sigmoid(W_i @ x + U_i @ h + b_i)
  f: sigmoid(W_f @ x + U_f @ h + b_f)
  g: tanh(W_g @ x + U_g @ h + b_g)
  c': f * c + i * g
  o: sigmoid(W_o @ x + U_o @ h + b_o)
  m: o * tanh(c')
  h': P @ m
output: h'
gates: [i, f, o]
"""


def test_a_cell_of_a_file_with_a_projection_is_that_of_pytorch(tmp_path: Any) -> None:
    path = tmp_path / "lstm_projected.yaml"
    path.write_text(PROJECTED)
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "proj_size": 3}
    ours = gatewright.torch.layer(path, 4, 6, **options, dtype=torch.float64)
    theirs = torch.nn.LSTM(4, 6, **options, dtype=torch.float64)
    with torch.no_grad():
        for group, parameters in ours.named_cell_parameters():
            for key, first in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "b")):
                stacked = torch.cat([parameters[f"{first}_{gate}"] for gate in "ifgo"])
                getattr(theirs, f"{key}_{group}").copy_(stacked)
            getattr(theirs, f"bias_hh_{group}").zero_()
            getattr(theirs, f"weight_hr_{group}").copy_(parameters["P"])
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    found, expected = ours(x), theirs(x)
    assert distance(flat(found), flat(expected)) < TOLERANCE
    gradients = [torch.autograd.grad(loss(each), x) for each in (found, expected)]
    assert distance(*gradients) < TOLERANCE


def make(cell: Any = "lstm", **options: Any) -> Any:
    return gatewright.torch.layer(cell, 4, 6, **options)


X = torch.zeros(5, 3, 4)
MISTAKES: dict[str, Any] = {
    "`x` must be a tensor; got list": lambda: make()([1.0]),
    "`x` must have shape [T, B, 4]; got [5, 3, 9]": lambda: make()(torch.zeros(5, 3, 9)),
    "`x` must have shape [B, T, 4]; got [9]": lambda: make(batch_first=True)(torch.zeros(9)),
    "`x` must have dtype float32, as the layer has; got float64": lambda: make()(X.double()),
    "`x` must have dtype float32, as the layer has; got int64": lambda: make()(X.long()),
    "`x` is on meta, but the layer is on cpu": lambda: make()(X.to("meta")),
    "`hx` must be a tuple (h, c)": lambda: make()(X, torch.zeros(1, 3, 6)),
    "`hx` must be the tensor h": lambda: make("gru")(X, (X, X)),
    "`hx: c` must have shape [1, 3, 6]; got [1, 1, 6]": lambda: make()(
        X, (torch.zeros(1, 3, 6), torch.zeros(1, 1, 6))
    ),
    "`num_layers` must be between 1 and": lambda: make(num_layers=0),
    "`hidden_size` must be a whole number; got 2.5": lambda: gatewright.torch.layer("gru", 4, 2.5),  # type: ignore[arg-type]
    "`dropout` must be a number from 0 to 1; got 2": lambda: make(dropout=2),
    "`backend` must be one of auto, kernel, eager; got 'cuda'": lambda: make(backend="cuda"),
    "kernels compute in float32 or float64, not bfloat16: use backend='eager'": lambda: make(
        backend="kernel"
    ).bfloat16()(X.bfloat16()),
    "`lengths` need x [T, B, input]": lambda: make()(X[:, 0], lengths=[5]),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_mistake_gets_a_sentence(sentence: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        MISTAKES[sentence]()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_eager_backend_has_other_precisions() -> None:
    layer = make(backend="eager").bfloat16()
    assert layer(X.bfloat16())[0].dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_layer_that_is_halved_runs_in_plain_operations_after_a_warning(dtype: Any) -> None:
    layer, eager = make().to(dtype), make(backend="eager").to(dtype)
    eager.load_state_dict(layer.state_dict())
    with pytest.warns(UserWarning, match="kernels compute in float32 or float64, not .*: plain"):
        y = layer(X.to(dtype))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(X.to(dtype))
    assert torch.equal(y, eager(X.to(dtype))[0])
    assert "step by step: kernels compute in float32" in layer.explain(3)
    assert "nothing: kernels compute" in make(backend="kernel").to(dtype).explain(3)


def test_a_layer_shows_its_arguments() -> None:
    shown = repr(make(num_layers=2, bidirectional=True)).splitlines()[0]
    assert shown.startswith("RecurrentLayer(")
    assert "'lstm', 4, 6, num_layers=2, bidirectional=True, backend='auto'" in repr(
        make(num_layers=2, bidirectional=True)
    )
