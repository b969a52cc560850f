"""Kernels take plain arrays and refuse what does not fit with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.conftest import KernelsOf

from gatewright.language import catalogue
from gatewright.loaded import load
from gatewright.runtime.kernels import Kernels, Run
from gatewright.runtime.validate import ArgumentError, Array

SIZES = {"T": 4, "B": 3, "input": 5, "hidden": 7}


def arguments(
    name: str, dtype: str = "float64", **sizes: int
) -> tuple[dict[str, Array], Array, dict[str, Array]]:
    """Return parameters, a sequence and states of a cell, drawn from one stream."""
    known = {**SIZES, **sizes}
    loaded = load(name)
    parameters = loaded.init(input=known["input"], hidden=known["hidden"], seed=1, dtype=dtype)
    stream = np.random.default_rng(2)
    x = stream.standard_normal((known["T"], known["B"], known["input"])).astype(dtype)
    state = {
        variable.name: stream.standard_normal((known["B"], known["hidden"])).astype(dtype)
        for variable in loaded.cell.states
    }
    return parameters, x, state


def gradients(kernels: Kernels, run: Run) -> dict[str, Array]:
    stream = np.random.default_rng(3)
    ct_y = stream.standard_normal(run.y.shape).astype(run.y.dtype)
    ct_state = {n: stream.standard_normal(a.shape).astype(a.dtype) for n, a in run.state.items()}
    found = kernels.backward(run, ct_y, ct_state)
    return {"x": found.x, **found.state, **found.parameters}


def same(first: dict[str, Array], second: dict[str, Array]) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_shapes_and_names_are_those_of_the_spec(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm_peephole")
    kernels = kernels_of("lstm_peephole")
    run = kernels.forward(parameters, x, state)
    assert run.y.shape == (4, 3, 7)
    assert {name: array.shape for name, array in run.states.items()} == {
        "h": (5, 3, 7),
        "c": (5, 3, 7),
    }
    found = kernels.backward(run, np.ones_like(run.y))
    assert found.x.shape == x.shape
    assert {n: a.shape for n, a in found.parameters.items()} == {
        n: a.shape for n, a in parameters.items()
    }
    assert {n: a.dtype for n, a in found.parameters.items()} == {
        n: a.dtype for n, a in parameters.items()
    }


def test_a_sequence_is_its_steps(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("gru")
    kernels = kernels_of("gru")
    run = kernels.forward(parameters, x, state)
    for t in range(len(x)):
        step = kernels.step(parameters, x[t], state)
        state = step.state
        np.testing.assert_array_equal(step.y, run.y[t])
    np.testing.assert_array_equal(state["h"], run.state["h"])


def test_states_are_zeros_if_none_are_given(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm")
    kernels = kernels_of("lstm")
    zeros = {name: np.zeros_like(array) for name, array in state.items()}
    np.testing.assert_array_equal(
        kernels.forward(parameters, x).y, kernels.forward(parameters, x, zeros).y
    )


@pytest.mark.parametrize("sizes", [{"B": 0}, {"T": 0}, {"T": 0, "B": 0}])
def test_nothing_in_gives_nothing_out_and_zero_gradients(
    sizes: dict[str, int], kernels_of: KernelsOf
) -> None:
    parameters, x, state = arguments("lstm_peephole", dtype="float64", **sizes)
    kernels = kernels_of("lstm_peephole", fill=np.nan)
    run = kernels.forward(parameters, x, state)
    assert run.y.shape == (*x.shape[:2], 7)
    found = kernels.backward(run, np.ones_like(run.y))
    for gradient in found.parameters.values():
        assert not gradient.any()
    for name, array in run.state.items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("fill", [np.nan, 1e300, -3.0])
def test_nothing_is_read_before_it_is_written(fill: float, kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("fast_grnn")
    plain, filled = kernels_of("fast_grnn"), kernels_of("fast_grnn", fill=fill)
    first = gradients(plain, plain.forward(parameters, x, state))
    second = gradients(filled, filled.forward(parameters, x, state))
    assert same(first, second)


def flavours(array: Array) -> dict[str, Array]:
    """Return the same numbers in memory laid out differently."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    frozen = array.copy()
    frozen.flags.writeable = False
    return {
        "fortran": np.asfortranarray(array),
        "strided": wide[..., ::2],
        "backwards": np.ascontiguousarray(array[..., ::-1])[..., ::-1],
        "read-only": frozen,
        "unaligned": np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].view(array.dtype)
        .reshape(array.shape),
    }  # fmt: skip


@pytest.mark.parametrize("flavour", ["fortran", "strided", "backwards", "read-only", "unaligned"])
def test_memory_layout_does_not_change_a_bit(flavour: str, kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm_peephole")
    kernels = kernels_of("lstm_peephole")
    expected = gradients(kernels, kernels.forward(parameters, x, state))
    run = kernels.forward(
        {name: flavours(array)[flavour] for name, array in parameters.items()},
        flavours(x)[flavour],
        {name: flavours(array)[flavour] for name, array in state.items()},
    )
    assert same(expected, gradients(kernels, run))


def test_aliased_arguments_are_only_read(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm", hidden=5)
    shared = parameters["U_i"]
    aliased = {
        name: shared if array.shape == shared.shape else array for name, array in parameters.items()
    }
    copies = {name: array.copy() for name, array in aliased.items()}
    kernels = kernels_of("lstm")
    both = {"h": state["h"], "c": state["h"]}
    apart = {name: array.copy() for name, array in both.items()}
    expected = gradients(kernels, kernels.forward(copies, x, apart))
    before = shared.copy()
    assert same(expected, gradients(kernels, kernels.forward(aliased, x, both)))
    np.testing.assert_array_equal(shared, before)


@pytest.mark.parametrize("name", ["lstm_peephole", "gru", "minimal_rnn", "fast_grnn"])
def test_a_run_that_keeps_nothing_gives_the_same_bits(name: str, kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments(name, T=40, B=20)
    kernels = kernels_of(name, fill=np.nan)
    kept, other = (kernels.forward(parameters, x, state, keep=keep) for keep in (True, False))
    np.testing.assert_array_equal(kept.y, other.y)
    assert same(kept.states, other.states)
    with pytest.raises(ArgumentError, match="this run kept nothing"):
        kernels.backward(other, other.y)


def test_prepared_parameters_are_those_of_their_moment(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm_peephole")
    kernels = kernels_of("lstm_peephole")
    expected = gradients(kernels, kernels.forward(parameters, x, state))
    prepared = kernels.prepare(parameters)
    for array in parameters.values():
        array[...] = np.nan
    for _ in range(2):
        assert same(expected, gradients(kernels, kernels.forward(prepared, x, state)))
    assert repr(prepared) == "Parameters('lstm_peephole', dtype='float64', hidden=7, input=5)"


def test_parameters_prepared_elsewhere_are_refused(kernels_of: KernelsOf) -> None:
    _, x, state = arguments("lstm")
    single, _, _ = arguments("lstm", dtype="float32")
    for prepared in (
        kernels_of("lstm_peephole").prepare(arguments("lstm_peephole")[0]),
        kernels_of("lstm", "float32").prepare(single),
    ):
        with pytest.raises(ArgumentError, match="these parameters were prepared by other kernels"):
            kernels_of("lstm").forward(prepared, x, state)


def test_a_result_is_not_changed_by_the_next_run(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm")
    kernels = kernels_of("lstm")
    run = kernels.forward(parameters, x, state)
    copy = run.y.copy()
    kernels.forward(parameters, 2 * x, state)
    np.testing.assert_array_equal(run.y, copy)


Change = dict[str, Any]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": np.zeros((4, 3, 6))}, "`x` must have shape [T, B, 5]; got [4, 3, 6]"),
        ({"x": np.zeros((3, 5))}, "`x` must have shape [T, B, 5]; got [3, 5]"),
        ({"x": np.zeros((4, 3, 5), np.int64)}, "`x` must have dtype float64; got int64"),
        ({"x": np.zeros((4, 3, 5), np.float32)}, "`x` must have dtype float64; got float32"),
        ({"x": np.zeros((4, 3, 5), complex)}, "`x` must have dtype float64; got complex128"),
        ({"x": np.zeros((4, 3, 5), ">f8")}, "`x` must have dtype float64; got >f8"),
        ({"x": [[1.0]]}, "`x` must be a NumPy array; got list"),
        ({"x": np.ma.masked_array(np.zeros((4, 3, 5)))}, "`x` is a masked array"),
        ({"h": np.zeros((4, 7))}, "`h` must have shape [3, 7]; got [4, 7]"),
        ({"h": np.zeros((3, 8))}, "`h` must have shape [3, 7]; got [3, 8]"),
        ({"state": {"h": np.zeros((3, 7))}}, "states lack `c`; this cell has `h`, `c`"),
        ({"state": np.zeros((3, 7))}, "states must be a dict of arrays; got ndarray"),
        ({"W_i": np.zeros((7, 4))}, "`W_f` must have shape [7, 4]; got [7, 5]"),
        ({"W_i": np.zeros((0, 5))}, "`W_i` is empty: `hidden` must be at least 1"),
        ({"U_i": np.zeros((7, 6))}, "`U_i` must have shape [7, 7]; got [7, 6]"),
        ({"b_i": np.zeros((7, 1))}, "`b_i` must have shape [7]; got [7, 1]"),
        ({"b_q": np.zeros(7)}, "parameters have unknown `b_q`"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(
    change: Change, sentence: str, kernels_of: KernelsOf
) -> None:
    parameters, x, state = arguments("lstm")
    given: Change = {"x": x, "state": state}
    for name, value in change.items():
        if name in given:
            given[name] = value
        elif name in state:
            given["state"] = {**state, name: value}
        else:
            parameters = {**parameters, name: value}
    with pytest.raises(ArgumentError) as caught:
        kernels_of("lstm").forward(parameters, given["x"], given["state"])
    assert sentence in str(caught.value)


def test_cotangents_that_do_not_fit_are_refused(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm")
    kernels = kernels_of("lstm")
    run = kernels.forward(parameters, x, state)
    with pytest.raises(ArgumentError, match=r"`ct_y` must have shape \[4, 3, 7\]"):
        kernels.backward(run, np.zeros((4, 3, 8)))
    with pytest.raises(ArgumentError, match=r"`c` must have shape \[3, 7\]"):
        kernels.backward(run, run.y, {"h": state["h"], "c": np.zeros((2, 7))})


@pytest.mark.parametrize("name", ["lstm", "gru", "fast_grnn", "elman"])
def test_a_nan_that_goes_in_comes_out(name: str, kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments(name)
    x[1, 2, 3] = np.nan
    run = kernels_of(name).forward(parameters, x, state)
    assert not np.isnan(run.y[0]).any()
    assert np.isnan(run.y[1:, 2]).all()
    assert not np.isnan(run.y[:, :2]).any()


def test_a_batch_is_its_rows(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("gru_reset_after")
    kernels = kernels_of("gru_reset_after")
    run = kernels.forward(parameters, x, state)
    one = kernels.forward(parameters, x[:, 1:2], {"h": state["h"][1:2]})
    np.testing.assert_allclose(one.y[:, 0], run.y[:, 1], rtol=0, atol=1e-15)


def test_a_constant_given_at_load_reaches_the_kernels() -> None:
    parameters, x, state = arguments("janet")
    default = load("janet").compile(dtype="float64").forward(parameters, x, state)
    given = load("janet", beta=0.0).compile(dtype="float64").forward(parameters, x, state)
    assert np.abs(default.y - given.y).max() > 1e-3


def test_parameters_depend_on_seed_name_and_shape_alone() -> None:
    first = load("lstm").init(input=3, hidden=4, seed=5, dtype="float64")
    second = load("lstm_peephole").init(input=3, hidden=4, seed=5, dtype="float64")
    assert all(np.array_equal(first[name], second[name]) for name in first)
    other = load("lstm").init(input=3, hidden=4, seed=6, dtype="float64")
    assert not np.array_equal(first["W_i"], other["W_i"])
    assert np.abs(first["U_i"]).max() <= 0.5


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda c: c.init(input=3), "give a size for hidden"),
        (lambda c: c.init(input=3, hidden=0), "`hidden` must be between 1 and"),
        (lambda c: c.init(input=3, hidden=2.5), "`hidden` must be a whole number"),
        (lambda c: c.init(input=3, hidden=-1), "`hidden` must be between 1 and"),
        (lambda c: c.init(inputs=3, hidden=4), "no dimension `inputs`"),
        (lambda c: c.init(input=3, hidden=4, dtype="int8"), "`dtype` must be float32 or float64"),
        (lambda c: c.compile(target="tpu"), "`target` must be one of"),
        (lambda c: c.compile(dtype="bfloat16"), "`dtype` must be float32 or float64"),
    ],
)
def test_sizes_targets_and_dtypes_are_checked(call: Any, sentence: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call(load("lstm"))
    assert sentence in str(caught.value)


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64")])
def test_a_dtype_may_be_numpys(target: str, dtype: Any) -> None:
    assert load("elman").compile(target, dtype).dtype == "float64"


def test_a_cell_shows_itself() -> None:
    lstm = load("lstm")
    assert "c' = f * c + i * g" in repr(lstm)
    assert r"\sigma" in lstm._repr_latex_()
    assert lstm._repr_html_().startswith("<")
    assert catalogue.load("lstm") == lstm.cell


@pytest.mark.parametrize("every", [1, 3, 7, 16, 100])
@pytest.mark.parametrize("name", ["lstm_peephole", "fast_grnn", "minimal_rnn"])
def test_checkpoints_change_no_bit(name: str, every: int, kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments(name, T=16)
    kernels = kernels_of(name, fill=np.nan)
    whole = kernels.forward(parameters, x, state)
    pieces = kernels.forward(parameters, x, state, checkpoint=every)
    np.testing.assert_array_equal(whole.y, pieces.y)
    assert same(whole.state, pieces.state)
    for each, states in pieces.states.items():
        np.testing.assert_array_equal(states[:-1], whole.states[each][:-1:every])
    assert same(gradients(kernels, whole), gradients(kernels, pieces))


@pytest.mark.parametrize("every", [None, 3])
@pytest.mark.parametrize("name", ["lstm_peephole", "gru", "fast_grnn"])
def test_gradients_of_inputs_are_left_out_where_nobody_wants_them(
    name: str, every: int | None, kernels_of: KernelsOf
) -> None:
    parameters, x, state = arguments(name, T=16)
    kernels = kernels_of(name, fill=np.nan)
    run = kernels.forward(parameters, x, state, checkpoint=every)
    ct_y = np.linspace(-1.0, 2.0, run.y.size).reshape(run.y.shape)
    whole, part = (kernels.backward(run, ct_y, inputs=inputs) for inputs in (True, False))
    assert part.x is None
    assert same(whole.state, part.state)
    assert same(whole.parameters, part.parameters)


def test_gradients_of_inputs_that_nobody_wants_are_not_computed(kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm")
    kernels = kernels_of("lstm", fill=np.nan)
    run = kernels.forward(parameters, x, state)
    cts, kept = {"ct_y": np.ones_like(run.y)}, run.kept or {}
    for inputs in (True, False):
        found = kernels.routines.backward(run.parameters, run.sizes, kept, cts, {}, inputs=inputs)
        assert np.isnan(found["d_x"]).all() != inputs


def test_the_reference_sums_gradients_over_pieces_too() -> None:
    parameters, x, state = arguments("gru", T=16)
    kernels = load("gru").compile("reference", "float64")
    whole = gradients(kernels, kernels.forward(parameters, x, state))
    pieces = gradients(kernels, kernels.forward(parameters, x, state, checkpoint=3))
    for name, array in whole.items():
        np.testing.assert_allclose(pieces[name], array, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [{"T": 0}, {"B": 0}])
def test_checkpoints_of_nothing(sizes: Any, kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm", **sizes)
    kernels = kernels_of("lstm")
    found = [
        gradients(kernels, kernels.forward(parameters, x, state, checkpoint=every))
        for every in (2, None)
    ]
    assert same(*found)


@pytest.mark.parametrize("every", [0, -1, 2.5, True, "2"])
def test_a_piece_has_at_least_one_step(every: Any, kernels_of: KernelsOf) -> None:
    parameters, x, state = arguments("lstm")
    with pytest.raises(ArgumentError, match="`checkpoint` must be a positive whole number"):
        kernels_of("lstm").forward(parameters, x, state, checkpoint=every)
