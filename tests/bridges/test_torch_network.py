"""What a layer has beyond `nn.LSTM`: projections, zoneout, all states, clipping, several inputs."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence  # noqa: E402

import gatewright.torch  # noqa: E402
from gatewright.language.diagnostics import SpecError  # noqa: E402
from gatewright.language.format import write_spec  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import backward, distance, flat, loss, pair  # noqa: E402

TOLERANCE = 1e-11
T, B = 6, 3


def draw(*shape: int) -> Any:
    return torch.randn(*shape, dtype=torch.float64)


# Projection.


@pytest.mark.parametrize("backend", ["kernel", "eager"])
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}],
    ids=str,
)
def test_a_projected_lstm_is_that_of_pytorch_both_ways(backend: str, options: Any) -> None:
    options = {**options, "proj_size": 2, "dtype": torch.float64}
    ours = gatewright.torch.layer("lstm", 4, 6, **options, backend=backend)
    theirs = torch.nn.LSTM(4, 6, **options)
    assert list(ours.torch_state_dict()) == list(theirs.state_dict())
    ours.load_torch_state_dict(theirs.state_dict())
    x = draw(T, B, 4).requires_grad_()
    count, rows = len(ours.network.groups), T if ours.batch_first else B
    hx = (draw(count, rows, 2), draw(count, rows, 6))
    for given in ((x,), (x, hx)):
        found, expected = ours(*given), theirs(*given)
        assert distance(flat(found), flat(expected)) < TOLERANCE
        gradients = [torch.autograd.grad(loss(each), x) for each in (found, expected)]
        assert distance(*gradients) < TOLERANCE
    back = torch.nn.LSTM(4, 6, **options)
    back.load_state_dict(ours.torch_state_dict())
    assert distance(flat(back(x)), flat(theirs(x))) < TOLERANCE


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_single_precision_agrees_to_a_millionth() -> None:
    ours = gatewright.torch.layer("lstm", 8, 16, proj_size=5)
    theirs = torch.nn.LSTM(8, 16, proj_size=5)
    theirs.load_state_dict(ours.torch_state_dict())
    x = torch.randn(T, B, 8)
    with torch.no_grad():
        pairs = zip(flat(ours(x)), flat(theirs(x)), strict=True)
        assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-6


def test_a_projected_cell_of_a_file_loads_weights_of_pytorch_too(tmp_path: Path) -> None:
    path = tmp_path / "lstm_projected.yaml"
    path.write_text(write_spec(gatewright.transforms.projected("lstm").cell))
    ours = gatewright.torch.layer(path, 4, 6, proj_size=2, dtype=torch.float64)
    theirs = torch.nn.LSTM(4, 6, proj_size=2, dtype=torch.float64)
    ours.load_torch_state_dict(theirs.state_dict())
    x = draw(T, B, 4)
    assert distance(flat(ours(x)), flat(theirs(x))) < TOLERANCE


def test_other_cells_are_projected_and_have_no_counterpart() -> None:
    kernel, eager = pair("lstm_peephole", num_layers=2, proj_size=2)
    x = draw(T, B, 4)
    assert distance(flat(kernel(x)), flat(eager(x))) < TOLERANCE
    assert kernel(x)[0].shape == (T, B, 2)
    with pytest.raises(ArgumentError, match="`lstm_peephole` is none of nn"):
        kernel.torch_state_dict()
    with pytest.raises(ArgumentError, match=r"nn\.RNN has no proj_size, as nn\.LSTM has"):
        gatewright.torch.layer("elman", 4, 6, proj_size=2).torch_state_dict()
    with pytest.raises(SpecError, match=r"E0506.*`gru` cannot be projected"):
        gatewright.torch.layer("gru", 4, 6, proj_size=2)


# Zoneout.


def test_zoneout_draws_in_training_and_takes_the_mean_otherwise() -> None:
    layer, eager = pair("lstm", num_layers=2, zoneout={"h": 0.3, "c": 0.5})
    x = draw(T, B, 4)
    layer.eval(), eager.eval()
    assert distance(flat(layer(x)), flat(layer(x))) == 0.0
    assert distance(flat(layer(x)), flat(eager(x))) < TOLERANCE
    layer.train(), eager.train()
    results = []
    for each in (layer, eager):
        torch.manual_seed(3)
        results.append(each(x))
    assert distance(*map(flat, results)) < TOLERANCE
    assert distance(flat(layer(x)), flat(results[0])) > 1e-3


def test_zoneout_is_the_formula_of_its_paper_step_by_step() -> None:
    layer, _ = pair("lstm", zoneout={"h": 0.3, "c": 0.6})
    layer.eval()
    cell = torch.nn.LSTMCell(4, 6, dtype=torch.float64)
    cell.load_state_dict(
        {name.removesuffix("_l0"): each for name, each in layer.torch_state_dict().items()}
    )
    x = draw(T, B, 4)
    h, c = draw(B, 6), draw(B, 6)
    found, (h_n, c_n) = layer(x, (h[None], c[None]))
    for t in range(T):
        h_new, c_new = cell(x[t], (h, c))
        h, c = 0.3 * h + 0.7 * h_new, 0.6 * c + 0.4 * c_new
        assert distance([found[t]], [h]) < TOLERANCE
    assert distance([h_n[0], c_n[0]], [h, c]) < TOLERANCE


@pytest.mark.parametrize("backend", [0, 1], ids=["kernel", "eager"])
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_under_vmap_the_caller_says_whether_masks_are_the_same(
    randomness: str, backend: int
) -> None:
    layer = pair("lstm", zoneout=0.5)[backend]
    xs = draw(T, B, 4).expand(3, T, B, 4)
    y = torch.vmap(lambda x: layer(x)[0], randomness=randomness)(xs)
    assert torch.equal(y[0], y[1]) == (randomness == "same")


def test_zoneout_of_everything_keeps_states_and_of_nothing_is_the_cell() -> None:
    x, hx = draw(T, B, 4), draw(1, B, 6)
    kept, _ = pair("gru", zoneout=1.0)
    assert distance([kept(x, hx)[1]], [hx]) == 0.0
    plain, _ = pair("gru", zoneout=0.0)
    assert plain.loaded.cell.name == "gru"


def test_the_rate_of_zoneout_is_that_of_the_draws() -> None:
    layer = gatewright.torch.layer("gru", 4, 64, zoneout=0.25)
    torch.manual_seed(0)
    (mask,) = layer._masks(torch.zeros(50, 20, 4))
    assert set(mask.flatten().tolist()) == {0.0, 1.0}
    assert abs(float(mask.mean()) - 0.25) < 0.01


def test_zoneout_with_packed_rows_and_in_a_projected_cell() -> None:
    layer, eager = pair("lstm", zoneout=0.4, proj_size=2, bidirectional=True)
    layer.eval(), eager.eval()
    x = draw(T, B, 4)
    results = [each(x, lengths=[6, 2, 4]) for each in (layer, eager)]
    assert distance(*map(flat, results)) < TOLERANCE
    alone = layer(x[:2, 1:2])
    assert distance([results[0][0][:2, 1:2]], [alone[0]]) < TOLERANCE


# All states of all steps.


def every(layer: Any, x: Any, **options: Any) -> list[Any]:
    y, final, states = layer(x, return_states=True, **options)
    return [*flat((y, final)), *(states if isinstance(states, tuple) else (states,))]


def test_all_states_of_an_lstm_are_those_of_a_loop_and_have_its_gradients() -> None:
    layer, _ = pair("lstm")
    cell = torch.nn.LSTMCell(4, 6, dtype=torch.float64)
    cell.load_state_dict(
        {name.removesuffix("_l0"): each for name, each in layer.torch_state_dict().items()}
    )
    x = draw(T, B, 4).requires_grad_()
    y, _, (h, c) = layer(x, return_states=True)
    state, steps = (torch.zeros(B, 6, dtype=torch.float64),) * 2, []
    for t in range(T):
        state = cell(x[t], state)
        steps.append(state)
    expected = [torch.stack(each) for each in zip(*steps, strict=True)]
    assert distance([y, h[0], c[0]], [expected[0], *expected]) < TOLERANCE
    weight = draw(T, B, 6)
    gradients = [
        torch.autograd.grad((torch.sin(each) * weight).sum(), x) for each in (c[0], expected[1])
    ]
    assert distance(*gradients) < TOLERANCE


@pytest.mark.parametrize("cell", ["lstm_peephole", "gru", "fast_grnn"])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"proj_size": 2}], ids=str
)
def test_losses_on_all_states_agree_between_kernels_and_plain_operations(
    cell: str, options: dict[str, Any]
) -> None:
    if cell != "lstm_peephole" and "proj_size" in options:
        options = {"batch_first": True}
    layers = pair(cell, **options)
    x = draw(T, B, 4).requires_grad_()
    for lengths in (None, [6, 1, 4]):
        lengths = [3, 6, 1, 2, 2, 1][: x.shape[0]] if options.get("batch_first") else lengths
        if options.get("batch_first") and lengths:
            lengths = [min(each, B) for each in lengths]
        found = [every(layer, x, lengths=lengths) for layer in layers]
        assert distance(*found) < TOLERANCE
        gradients = [
            torch.autograd.grad(loss((each[0], tuple(each[1:]))), [x, *layer.parameters()])
            for each, layer in zip(found, layers, strict=True)
        ]
        assert distance(*gradients) < TOLERANCE


def test_states_of_all_steps_end_in_the_final_ones() -> None:
    layer, _ = pair("lstm", num_layers=2, bidirectional=True)
    x = draw(T, B, 4)
    y, (h_n, c_n), (h, c) = layer(x, return_states=True)
    assert h.shape == c.shape == (4, T, B, 6)
    assert distance([h[::2, -1], c[::2, -1]], [h_n[::2], c_n[::2]]) == 0.0
    assert distance([h[1::2, 0], c[1::2, 0]], [h_n[1::2], c_n[1::2]]) == 0.0
    assert distance([torch.cat((h[2], h[3]), -1)], [y]) == 0.0
    plain = layer(x)
    assert distance(flat(plain), [y, h_n, c_n]) == 0.0
    one = layer(x[:, 0], return_states=True)[2]
    assert distance(list(one), [h[:, :, 0], c[:, :, 0]]) < TOLERANCE


def test_states_of_packed_rows_are_packed_as_they_are() -> None:
    layer, _ = pair("lstm")
    x = draw(T, B, 4)
    rows = pack_padded_sequence(x, [6, 4, 2])
    y, _, (h, c) = layer(rows, return_states=True)
    assert isinstance(y, PackedSequence)
    assert distance([h[0]], [y.data]) == 0.0
    assert c.shape == (1, 12, 6)


def test_second_derivatives_of_all_states_are_those_of_plain_operations() -> None:
    results = []
    for layer in pair("lstm", 2, 3):
        torch.manual_seed(0)
        x = draw(3, 2, 2).requires_grad_()
        c = layer(x, return_states=True)[2][1]
        (first,) = torch.autograd.grad(torch.sin(c).sum(), x, create_graph=True)
        results.append(torch.autograd.grad(first.square().sum(), [x, *layer.parameters()]))
    assert distance(*results) < TOLERANCE


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("options", [{}, {"proj_size": 2, "zoneout": 0.3, "clip": 0.5}], ids=str)
def test_compile_takes_all_states_as_one_graph(options: dict[str, Any]) -> None:
    layer = pair("lstm", num_layers=2, **options)[0].eval()
    x = draw(T, B, 4).requires_grad_()
    compiled = torch.compile(
        lambda x: every(layer, x, lengths=None), fullgraph=True, backend="aot_eager"
    )
    found, expected = compiled(x), every(layer, x)
    assert distance(found, expected) < TOLERANCE
    gradients = [torch.autograd.grad(each[-1].sum(), x) for each in (found, expected)]
    assert distance(*gradients) < TOLERANCE


def test_vmap_maps_all_states() -> None:
    layer, _ = pair("lstm", bidirectional=True)
    xs = draw(2, T, B, 4)
    found = torch.vmap(lambda x: layer(x, return_states=True)[2][1])(xs)
    expected = torch.stack([layer(x, return_states=True)[2][1] for x in xs])
    assert distance([found], [expected]) < TOLERANCE


# Clipping.


def test_clipping_bounds_what_each_step_hands_back_as_hooks_would() -> None:
    kernel, eager = pair("lstm", clip=0.1)
    cell = torch.nn.LSTMCell(4, 6, dtype=torch.float64)
    cell.load_state_dict(
        {name.removesuffix("_l0"): each for name, each in kernel.torch_state_dict().items()}
    )
    x = draw(T, B, 4).requires_grad_()
    state, outputs = (torch.zeros(B, 6, dtype=torch.float64, requires_grad=True),) * 2, []
    for t in range(T):
        passed = tuple(each * 1.0 for each in state)
        for each in passed:
            each.register_hook(lambda gradient: gradient.clamp(-0.1, 0.1))
        state = cell(x[t], passed)
        outputs.append(state[0])
    expected = torch.autograd.grad(torch.stack(outputs).square().sum(), x)
    for layer in (kernel, eager):
        found = torch.autograd.grad(layer(x)[0].square().sum(), x)
        assert distance(found, expected) < TOLERANCE
    free = pair("lstm")[0]
    free.load_state_dict(kernel.state_dict())
    assert distance(torch.autograd.grad(free(x)[0].square().sum(), x), expected) > 1e-3


def test_a_clipped_layer_of_several_layers_agrees_between_backends() -> None:
    layers = pair("gru", num_layers=2, bidirectional=True, clip=0.05)
    x = draw(T, B, 4).requires_grad_()
    found = [
        torch.autograd.grad(loss(layer(x, lengths=[6, 3, 1])), [x, *layer.parameters()])
        for layer in layers
    ]
    assert distance(*found) < TOLERANCE
    with pytest.raises(ArgumentError, match="`clip` must be a positive number; got -1"):
        gatewright.torch.layer("gru", 4, 6, clip=-1)


# Several inputs.

GAPS = """cell: decay
title: A state that decays with the time since the last step
cite: [none2026]
inputs: {x: input, gap: time}
states: {h: hidden}
parameters:
  W: [hidden, input]
  V: [hidden, time]
  U: [hidden, hidden]
equations:
  k: sigmoid(V @ gap)
  h': tanh(W @ x + U @ (k * h))
output: h'
gates: [k]
"""


@pytest.fixture
def decay(tmp_path: Path) -> Path:
    path = tmp_path / "decay.yaml"
    path.write_text(GAPS)
    return path


def test_a_cell_with_several_inputs_takes_a_dict_and_every_layer_gets_the_others(
    decay: Path,
) -> None:
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "sizes": {"time": 2}}
    kernel, eager = pair(str(decay), **options)
    x, gap = draw(T, B, 4).requires_grad_(), draw(T, B, 2).requires_grad_()
    for lengths in (None, [2, 6, 3]):
        results = [layer({"x": x, "gap": gap}, lengths=lengths) for layer in (kernel, eager)]
        assert distance(*map(flat, results)) < TOLERANCE
        gradients = [torch.autograd.grad(loss(each), [x, gap]) for each in results]
        assert distance(*gradients) < TOLERANCE
    # By hand, a layer at a time.
    one = gatewright.torch.layer(str(decay), 4, 6, sizes={"time": 2}, dtype=torch.float64)
    held = dict(kernel.named_cell_parameters())
    one.load_state_dict({f"l0.{name}": each for name, each in held["l0"].items()})
    assert distance([one({"x": x, "gap": gap})[1][0]], [kernel({"x": x, "gap": gap})[1][0]]) == 0


def test_several_inputs_packed_and_batch_first(decay: Path) -> None:
    layer, _ = pair(str(decay), sizes={"time": 2})
    x, gap, lengths = draw(T, B, 4), draw(T, B, 2), [6, 4, 1]
    packs = {"x": pack_padded_sequence(x, lengths), "gap": pack_padded_sequence(gap, lengths)}
    expected = layer({"x": x, "gap": gap}, lengths=lengths)
    assert distance([layer(packs)[1]], [expected[1]]) == 0.0
    first, _ = pair(str(decay), sizes={"time": 2}, batch_first=True)
    first.load_state_dict(layer.state_dict())
    turned = first({"x": x.transpose(0, 1), "gap": gap.transpose(0, 1)})
    whole = layer({"x": x, "gap": gap})
    assert distance([turned[0].transpose(0, 1), turned[1]], list(whole)) == 0.0
    with pytest.raises(ArgumentError, match="`gap` is packed otherwise than the first input"):
        layer({**packs, "gap": pack_padded_sequence(gap, [6, 4, 2])})
    with pytest.raises(ArgumentError, match="`gap` must be a PackedSequence, as the first"):
        layer({**packs, "gap": gap})


def mistakes(decay: Path) -> dict[str, Any]:
    def made(**options: Any) -> Any:
        return gatewright.torch.layer(str(decay), 4, 6, **options)

    x, gap = torch.zeros(T, B, 4), torch.zeros(T, B, 2)
    layer = made(sizes={"time": 2})
    plain = gatewright.torch.layer("lstm", 4, 6)
    return {
        "x must be a dict of the inputs x, gap; got one": lambda: layer(x),
        "inputs lack `gap`": lambda: layer({"x": x}),
        "inputs have unknown `hx`": lambda: layer({"x": x, "gap": gap, "hx": x}),
        "`gap` must have shape [6, 3, 2]; got [5, 3, 2]": lambda: layer({"x": x, "gap": gap[1:]}),
        "`gap` must have dtype float32, as the layer has": lambda: layer(
            {"x": x, "gap": gap.double()}
        ),
        "`decay` needs `proj_size`, or `sizes` with `time`": made,
        "`sizes` has `tim`, but the dimensions of `decay`": lambda: made(sizes={"tim": 2}),
        "`sizes: time` must be a whole number; got 2.5": lambda: made(sizes={"time": 2.5}),
        "`zoneout` must be a number from 0 to 1; got 2": lambda: gatewright.torch.layer(
            "lstm", 4, 6, zoneout=2
        ),
        "`zoneout: h` must be a number from 0 to 1; got 'a'": lambda: gatewright.torch.layer(
            "lstm", 4, 6, zoneout={"h": "a"}
        ),
        "`lengths` must be 3 whole numbers, one for each row": lambda: plain(x, lengths=[1, 2]),
        "`lengths` must be from 1 to 6, the time steps of x": lambda: plain(x, lengths=[0, 2, 3]),
        "`proj_size` must be a whole number; got 1.5": lambda: gatewright.torch.layer(
            "lstm",
            4,
            6,
            proj_size=1.5,  # type: ignore[arg-type]
        ),
    }


def test_a_mistake_gets_a_sentence(decay: Path) -> None:
    for sentence, call in mistakes(decay).items():
        with pytest.raises(ArgumentError) as caught:
            call()
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_state_with_the_size_of_the_input_makes_one_layer_and_not_several(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lagged.yaml"
    path.write_text(
        "cell: lagged\ntitle: Input of the step before\ncite: [none2026]\n"
        "inputs: {x: input}\nstates: {h: hidden, p: input}\n"
        "parameters:\n  W, V: [hidden, input]\n  U: [hidden, hidden]\n"
        "equations:\n  h': tanh(W @ x + V @ p + U @ h)\n  p': x\noutput: h'\n"
    )
    x = draw(T, B, 4)
    kernel, eager = pair(str(path))
    assert distance(every(kernel, x), every(eager, x)) < TOLERANCE
    with pytest.raises(ArgumentError, match="can be one layer, not several"):
        gatewright.torch.layer(str(path), 4, 6, num_layers=2)


# Devices.


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make every tensor one of a device that the kernels do not run on."""
    monkeypatch.setattr("gatewright.bridges.torch.guards.KERNEL_DEVICES", ())
    return draw(T, B, 4).requires_grad_()


def test_on_another_device_plain_operations_run_and_a_warning_says_so(elsewhere: Any) -> None:
    x, options = elsewhere, {"dtype": torch.float64}
    layer = gatewright.torch.layer("lstm", 4, 6, **options)
    with pytest.warns(
        UserWarning, match="run on the CPU and on CUDA devices, the layer is on cpu: plain"
    ):
        found = layer(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x)
        eager = gatewright.torch.layer("lstm", 4, 6, **options, backend="eager")
        eager.load_state_dict(layer.state_dict())
        assert distance(flat(eager(x)), flat(found)) == 0.0
    backward(loss(found))


def test_kernels_that_were_asked_for_are_refused_on_another_device(elsewhere: Any) -> None:
    layer = gatewright.torch.layer("lstm", 4, 6, backend="kernel", dtype=torch.float64)
    with pytest.raises(ArgumentError, match="the layer is on cpu: use backend='eager'"):
        layer(elsewhere)


def test_on_the_cpu_kernels_run_and_nothing_is_said() -> None:
    layer = gatewright.torch.layer("lstm", 4, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = torch.randn(T, B, 4)
        assert layer(x)[0].grad_fn.name().startswith("gatewright_lstm")
    empty = gatewright.torch.layer("lstm", 4, 6, device="meta")
    assert empty(torch.empty(T, B, 4, device="meta"))[0].shape == (T, B, 6)


def test_a_copy_of_a_layer_with_everything_computes_the_same() -> None:
    layer, _ = pair("lstm", proj_size=2, zoneout=0.2, clip=1.0, learn_initial_state=True)
    layer.eval()
    x = draw(T, B, 4)
    assert distance(every(copy.deepcopy(layer), x), every(layer, x)) == 0.0
    backward(loss(layer(x)))
    assert all(each.grad is not None for each in layer.parameters())
