"""Layers on NumPy arrays: the numbers and gradients of the PyTorch layer and of `nn.LSTM`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the truth is PyTorch's")

import gatewright  # noqa: E402
import gatewright.torch  # noqa: E402
from gatewright.language.diagnostics import SpecError  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402

T, B, INPUT, HIDDEN = 6, 4, 3, 5
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"num_layers": 2, "batch_first": True},
    {"num_layers": 2, "bidirectional": True, "learn_initial_state": True},
    {"num_layers": 2, "proj_size": 2, "clip": 0.05},
    {"bidirectional": True, "zoneout": {"h": 0.4}},
]
LENGTHS = [None, [6, 6, 6, 6], [2, 6, 1, 4]]


def made(cell: str, **options: Any) -> tuple[Any, Any, Any]:
    """Return our layer, its parameters and the PyTorch layer with the same ones, in float64."""
    ours = gatewright.layer(cell, INPUT, HIDDEN, **options, dtype="float64")
    theirs = gatewright.torch.layer(cell, INPUT, HIDDEN, **options, dtype=torch.float64).eval()
    stream = np.random.default_rng(0)
    parameters = {
        name: array + 0.1 * stream.normal(size=array.shape) for name, array in ours.init().items()
    }
    theirs.load_state_dict({name: torch.tensor(array) for name, array in parameters.items()})
    return ours, parameters, theirs


def apart(found: Any, expected: Any) -> float:
    found, expected = np.asarray(found), expected.detach().numpy()
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max()) if found.size else 0.0


def named(layer: Any, hidden: Any) -> dict[str, Any]:
    names = layer.network.states
    return dict(zip(names, hidden if isinstance(hidden, tuple) else (hidden,), strict=True))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["no states", "states"])
def test_numbers_and_gradients_are_those_of_the_pytorch_layer(
    options: dict[str, Any], lengths: Any, given: bool
) -> None:
    ours, parameters, theirs = made("lstm_peephole", **options)
    stream = np.random.default_rng(1)
    x = stream.normal(size=(B, T, INPUT) if ours.batch_first else (T, B, INPUT))
    groups, sizes = len(ours.network.groups), ours.network.states
    state = {n: stream.normal(size=(groups, B, *s)) for n, s in sizes.items()} if given else None
    run = ours.forward(parameters, x, state, lengths=lengths, every_state=True)

    leaf = torch.tensor(x, requires_grad=True)
    hx = tuple(torch.tensor(each, requires_grad=True) for each in state.values()) if state else None
    y, final, states = theirs(leaf, hx, lengths, return_states=True)
    assert apart(run.y, y) < 1e-13
    assert max(apart(run.state[n], each) for n, each in named(theirs, final).items()) < 1e-13
    assert max(apart(run.states[n], each) for n, each in named(theirs, states).items()) < 1e-13

    ct_y = stream.normal(size=run.y.shape)
    ct_state = {n: stream.normal(size=a.shape) for n, a in run.state.items()}
    ct_states = {n: stream.normal(size=a.shape) for n, a in run.states.items()}
    found = ours.backward(run, ct_y, ct_state, ct_states)
    total = (y * torch.tensor(ct_y)).sum()
    for n, each in named(theirs, final).items():
        total = total + (each * torch.tensor(ct_state[n])).sum()
    for n, each in named(theirs, states).items():
        total = total + (each * torch.tensor(ct_states[n])).sum()
    held = dict(theirs.named_parameters())
    assert set(found.parameters) == set(held) == set(parameters)
    leaves = [leaf, *(hx or ()), *held.values()]
    d_x, *rest = torch.autograd.grad(total, leaves, materialize_grads=True)
    assert apart(found.x, d_x) < 1e-12
    if hx:
        assert max(apart(found.state[n], rest.pop(0)) for n in sizes) < 1e-12
    expected = dict(zip(held, rest, strict=True))
    assert max(apart(found.parameters[n], expected[n]) for n in held) < 1e-12

    part = ours.backward(run, ct_y, ct_state, ct_states, inputs=False)
    assert part.x is None
    for mine, whole in ((part.state, found.state), (part.parameters, found.parameters)):
        assert all(np.array_equal(mine[n], each) for n, each in whole.items())


@pytest.mark.parametrize("proj_size", [0, 2])
def test_an_lstm_is_that_of_pytorch(proj_size: int) -> None:
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "proj_size": proj_size}
    ours, parameters, between = made("lstm", **options)
    theirs = torch.nn.LSTM(INPUT, HIDDEN, **options, dtype=torch.float64)
    theirs.load_state_dict(between.torch_state_dict())
    x = np.random.default_rng(2).normal(size=(T, B, INPUT))
    leaf = torch.tensor(x, requires_grad=True)
    run, (y, (h, c)) = ours.forward(parameters, x), theirs(leaf)
    assert max(apart(run.y, y), apart(run.state["h"], h), apart(run.state["c"], c)) < 1e-13
    ct_y = np.random.default_rng(3).normal(size=run.y.shape)
    found = ours.backward(run, ct_y)
    (d_x,) = torch.autograd.grad((y * torch.tensor(ct_y)).sum(), leaf)
    assert apart(found.x, d_x) < 1e-12


def test_dropout_and_zoneout_are_drawn_only_with_a_generator_and_have_right_gradients() -> None:
    options: dict[str, Any] = {"num_layers": 2, "dropout": 0.5, "zoneout": 0.3}
    layer = gatewright.layer("gru", INPUT, HIDDEN, **options, dtype="float64", target="reference")
    parameters = layer.init(seed=1)
    stream = np.random.default_rng(4)
    x, ct_y = stream.normal(size=(T, B, INPUT)), stream.normal(size=(T, B, HIDDEN))

    def loss(parameters: Any, x: Any) -> float:
        run = layer.forward(parameters, x, rng=np.random.default_rng(7))
        return float((run.y * ct_y).sum())

    plain = layer.forward(parameters, x)
    np.testing.assert_array_equal(plain.y, layer.forward(parameters, x).y)
    run = layer.forward(parameters, x, rng=np.random.default_rng(7))
    assert np.abs(run.y - plain.y).max() > 1e-3
    dropped = run.stages[0].dropped
    assert dropped is not None and run.stages[1].dropped is None
    assert set(np.unique(dropped)) == {0.0, 2.0}
    found = layer.backward(run, ct_y)
    change = {name: stream.normal(size=array.shape) for name, array in parameters.items()}
    step, moved = 1e-6, stream.normal(size=x.shape)
    ends = [
        loss(
            {n: a + sign * step * change[n] for n, a in parameters.items()}, x + sign * step * moved
        )
        for sign in (1, -1)
    ]
    expected = (ends[0] - ends[1]) / (2 * step)
    total = (found.x * moved).sum()
    total += sum((found.parameters[n] * change[n]).sum() for n in parameters)
    assert abs(total - expected) < 1e-6 * abs(expected)


@pytest.mark.parametrize("batch_first", [False, True])
def test_windows_are_the_stateful_layer_of_pytorch(batch_first: bool) -> None:
    ours, parameters, _ = made("lstm", num_layers=2, batch_first=batch_first)
    theirs = gatewright.torch.layer(
        "lstm", INPUT, HIDDEN, 2, batch_first=batch_first, stateful=True, dtype=torch.float64
    )
    theirs.load_state_dict({name: torch.tensor(array) for name, array in parameters.items()})
    x = np.random.default_rng(5).normal(size=(B, 7, INPUT) if batch_first else (7, B, INPUT))
    seen = []
    for steps, run in ours.windows(parameters, x, 3):
        part = torch.tensor(x[:, steps] if batch_first else x[steps], requires_grad=True)
        y, _ = theirs(part)
        assert apart(run.y, y) < 1e-13
        gradients = ours.backward(run, np.ones_like(run.y))
        held = dict(theirs.named_parameters())
        d_x, *rest = torch.autograd.grad(y.sum(), [part, *held.values()])
        assert apart(gradients.x, d_x) < 1e-12
        for name, expected in zip(held, rest, strict=True):
            assert apart(gradients.parameters[name], expected) < 1e-12
        seen.append((steps.start, steps.stop))
    assert seen == [(0, 3), (3, 6), (6, 7)]
    whole = ours.forward(parameters, x)
    np.testing.assert_allclose(run.state["c"], whole.state["c"], atol=1e-13)


@pytest.mark.parametrize("sizes", [(0, 3), (4, 0)], ids=str)
def test_nothing_in_gives_nothing_out(sizes: tuple[int, int]) -> None:
    layer = gatewright.layer("lstm", INPUT, HIDDEN, num_layers=2, bidirectional=True)
    parameters = layer.init()
    run = layer.forward(parameters, np.zeros((*sizes, INPUT), "float32"))
    assert run.y.shape == (*sizes, 2 * HIDDEN)
    found = layer.backward(run, np.zeros_like(run.y))
    assert not any(array.any() for array in found.parameters.values())


def test_no_rows_have_no_lengths() -> None:
    layer = gatewright.layer("gru", INPUT, HIDDEN)
    run = layer.forward(layer.init(), np.zeros((5, 0, INPUT), "float32"), lengths=[])
    assert run.y.shape == (5, 0, HIDDEN) and run.y.dtype == np.float32
    found = layer.backward(run, np.zeros_like(run.y))
    assert isinstance(found.x, np.ndarray) and found.x.shape == (5, 0, INPUT)


def test_an_option_is_offered_and_its_room_for_settings_is_not() -> None:
    with pytest.raises(ArgumentError, match="did you mean `num_layers`"):
        gatewright.layer("lstm", INPUT, HIDDEN, num_layer=2)
    with pytest.raises(SpecError):
        gatewright.layer("lstm", INPUT, HIDDEN, setting=1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bidirectional": True, "learn_initial_state": True},
        {"batch_first": True, "zoneout": 0.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("given", [False, True], ids=["no states", "states"])
def test_a_sequence_without_a_batch_is_the_one_row_of_one(
    options: dict[str, Any], given: bool
) -> None:
    layer = gatewright.layer("lstm", INPUT, HIDDEN, **options, dtype=np.float64, target="reference")
    stream, row = np.random.default_rng(6), int(not layer.batch_first)
    parameters = {n: a + stream.normal(size=a.shape) for n, a in layer.init().items()}
    x, count = stream.normal(size=(T, INPUT)), len(layer.network.groups)
    state = {n: stream.normal(size=(count, HIDDEN)) for n in "hc"} if given else None
    whole = {n: each[:, None] for n, each in state.items()} if state else None
    alone = layer.forward(parameters, x, state, every_state=True)
    rows = layer.forward(parameters, np.expand_dims(x, row), whole, every_state=True)
    cts = [{n: stream.normal(size=a.shape) for n, a in each.items()} for each in
           (alone.state, alone.states)]  # fmt: skip
    ct_y = stream.normal(size=alone.y.shape)
    found = layer.backward(alone, ct_y, *cts)
    expected = layer.backward(
        rows,
        np.expand_dims(ct_y, row),
        {n: each[:, None] for n, each in cts[0].items()},
        {n: np.expand_dims(each, row + 1) for n, each in cts[1].items()},
    )
    assert np.array_equal(alone.y, rows.y.squeeze(row))
    assert np.array_equal(found.x, expected.x.squeeze(row))
    for n in "hc":
        assert np.array_equal(alone.state[n], rows.state[n][:, 0])
        assert np.array_equal(alone.states[n], rows.states[n].squeeze(row + 1))
        assert np.array_equal(found.state[n], expected.state[n][:, 0])
    assert all(np.array_equal(found.parameters[n], expected.parameters[n]) for n in parameters)
    windows = list(layer.windows(parameters, x, 4, state))
    assert [steps.stop for steps, _ in windows] == [4, 6]


def test_new_parameters_depend_on_the_seed_and_their_name_alone() -> None:
    layer = gatewright.layer("gru", INPUT, HIDDEN, num_layers=2, learn_initial_state=True)
    first, second = layer.init(seed=3), layer.init(seed=3)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["l0.U_r"], first["l1.U_r"])
    assert not first["initial_l0.h"].any()
    assert all(np.abs(array).max() <= 1 / np.sqrt(HIDDEN) for array in first.values())
    assert "gru" in repr(layer)


X = np.zeros((T, B, INPUT), "float32")


def mistakes() -> dict[str, Any]:
    layer = gatewright.layer("lstm", INPUT, HIDDEN, target="reference")
    parameters = layer.init()
    run = layer.forward(parameters, X)
    light = layer.forward(parameters, X, keep=False)
    zeros = np.zeros_like(run.y)
    short = {name: array for name, array in parameters.items() if name != "l0.U_f"}
    wide = {**parameters, "l0.U_f": np.zeros((2, 2), "float32")}

    def forward(x: Any, **options: Any) -> Any:
        return lambda: layer.forward(parameters, x, **options)

    return {
        "`x` must be a NumPy array; got list": forward([1.0]),
        "`x` must have shape [T, B, 3]; got [6, 4, 9]": forward(np.zeros((6, 4, 9), "float32")),
        "`x` must have dtype float32; got float64": forward(X.astype("float64")),
        "parameters lack `l0.U_f`": lambda: layer.forward(short, X),
        "`l0.U_f` must have shape [5, 5]; got [2, 2]": lambda: layer.forward(wide, X),
        "state lack `c`": forward(X, state={"h": zeros[:1]}),
        "`state: h` must have shape [1, 4, 5]; got [6, 4, 5]": forward(
            X, state={"h": zeros, "c": zeros}
        ),
        "`lengths` must be 4 whole numbers": forward(X, lengths=[1.5, 2, 2, 2]),
        "`lengths` must be from 1 to 6": forward(X, lengths=[7, 2, 2, 2]),
        "`lengths` must be 4 whole": forward(X, lengths=[[1], [2, 3], [1], [1]]),
        "`lengths` need x [T, B, input]": forward(X[:, 0], lengths=[1]),
        "`rng` must be a numpy.random.Generator; got 3": forward(X, rng=3),
        "this run kept nothing": lambda: layer.backward(light, zeros),
        "`ct_y` must have shape [6, 4, 5]": lambda: layer.backward(run, zeros[1:]),
        "these kernels take no cotangent of `c`": lambda: layer.backward(
            run, zeros, None, {"c": zeros[None]}
        ),
        "ct_states have unknown `z`": lambda: layer.backward(run, zeros, None, {"z": zeros}),
        "`every` must be between 1 and": lambda: next(layer.windows(parameters, X, 0)),
        "`x` must be a NumPy array; got str": lambda: next(layer.windows(parameters, "x", 2)),
        "`dtype` must be float32 or float64": lambda: gatewright.layer(
            "lstm", 3, 5, dtype="float16"
        ),
        "`dropout` must be a number from 0 to 1; got 2": lambda: gatewright.layer(
            "lstm", 3, 5, dropout=2
        ),
        "no option `dropuot`: did you mean `dropout`?": lambda: gatewright.layer(
            "lstm", 3, 5, dropuot=0.5
        ),
        "no option `batchfirst`: did you mean `batch_first`?": lambda: gatewright.torch.layer(
            "janet", 3, 5, batchfirst=True
        ),
        "no option `thread`: did you mean `threads`?": lambda: gatewright.layer(
            "lstm", 3, 5, thread=2
        ),
        "`clip` must be a positive number; got 'a'": lambda: gatewright.layer(
            "lstm", 3, 5, clip="a"
        ),
        "`sizes` must be a dict of sizes by dimension; got 3": lambda: gatewright.layer(
            "lstm", 3, 5, sizes=3
        ),
        "`beta` must be a number, or a name; got None": lambda: gatewright.layer(
            "janet", 3, 5, beta=None
        ),
    }


def test_a_mistake_gets_a_sentence() -> None:
    for sentence, call in mistakes().items():
        with pytest.raises(ArgumentError) as caught:
            call()
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(SpecError, match="no cell 'lstn'"):
        gatewright.layer("lstn", 3, 5)


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_a_step_of_plain_arithmetic_leaves_parameters_that_a_layer_takes(target: str) -> None:
    # Of arrays without axes it makes NumPy's scalars.
    layer = gatewright.layer("fast_grnn", 3, 5, dtype="float64", target=target)
    parameters = layer.init()
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    losses = []
    for _ in range(3):
        run = layer.forward(parameters, x)
        losses.append(np.sum(run.y**2))
        found = layer.backward(run, 2 * run.y).parameters
        parameters = {name: array - 0.01 * found[name] for name, array in parameters.items()}
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_of_a_layer_computes_the_same(again: Callable[[Any], Any]) -> None:
    layer = gatewright.layer("lstm", 3, 5, num_layers=2, proj_size=2, zoneout=0.2, threads=1)
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype("float32")
    parameters = layer.init()
    layer.forward(parameters, x)
    assert np.array_equal(again(layer).forward(parameters, x).y, layer.forward(parameters, x).y)
