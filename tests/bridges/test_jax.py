"""Cells inside JAX: the pure function under every transformation, and the kernels through XLA.

The truth is twofold: our kernels' derived gradients for what JAX differentiates, and JAX's own
derivatives for what the kernels return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import gatewright
from gatewright.loaded import LoadedCell
from gatewright.runtime.validate import ArgumentError
from tests.oracles.catalogue import variants
from tests.oracles.compiled import compiled
from tests.oracles.evaluation import Arrays

jax = pytest.importorskip("jax", reason="the oracle is JAX")

import jax.numpy as jnp  # noqa: E402
from jax import export  # noqa: E402

from gatewright.bridges import jax as bridge  # noqa: E402
from gatewright.bridges import jax_kernels, xla_ffi  # noqa: E402

T, B, I, H = 6, 3, 4, 5  # noqa: E741
KERNEL_ROUTES = ("ffi", "callback")


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    # For all threads: `jax.enable_x64` is for one, and callbacks run in others.
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def drawn(cell: LoadedCell, dtype: str = "float64", *, batch: int = B) -> tuple[Any, Any, Any]:
    """Draw parameters, states and inputs; nothing is zero."""
    rng = np.random.default_rng(4)
    parameters = cell.init(input=I, hidden=H, dtype=dtype, seed=2)
    carry = {each.name: rng.uniform(-1, 1, (batch, H)).astype(dtype) for each in cell.cell.states}
    return parameters, carry, rng.uniform(-1, 1, (T, batch, I)).astype(dtype)


def scanned(cell: LoadedCell, params: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
    found: tuple[Any, Any] = jax.lax.scan(partial(gatewright.jax.cell(cell), params), carry, xs)
    return found


def loss(run: Any, params: Any, carry: Any, xs: Any) -> Any:
    """Weigh outputs and final states unevenly."""
    final, ys = run(params, carry, xs)
    weights = jnp.linspace(0.5, 1.5, ys.size).reshape(ys.shape).astype(ys.dtype)
    return jnp.sum(weights * ys**2) + sum(jnp.sum(jnp.sin(each)) for each in final.values())


def cotangents(run: Any, params: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
    """Return what `loss` sends back to outputs and final states."""
    final, ys = run(params, carry, xs)
    weights = np.linspace(0.5, 1.5, ys.size).reshape(ys.shape)
    return 2 * weights * np.asarray(ys), {n: np.cos(np.asarray(each)) for n, each in final.items()}


def furthest(found: Any, expected: Any) -> float:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in pairs)


# ---------------------------------------------------------------------------- the pure cell


@pytest.mark.parametrize(("name", "choices"), variants(), ids=str)
def test_scan_of_every_cell_agrees_with_kernels(name: str, choices: dict[str, str]) -> None:
    cell = gatewright.load(name, **choices)
    params, carry, xs = drawn(cell)
    kernels = cell.compile("reference", "float64")
    run = kernels.forward(params, xs, carry)
    final, ys = jax.jit(partial(scanned, cell))(params, carry, xs)
    assert furthest((final, ys), (run.state, run.y)) < 1e-13
    ct_y, ct_state = cotangents(partial(scanned, cell), params, carry, xs)
    expected = kernels.backward(run, ct_y, ct_state)
    by_jax = jax.grad(partial(loss, partial(scanned, cell)), argnums=(0, 1, 2))(params, carry, xs)
    assert furthest(by_jax, (expected.parameters, expected.state, expected.x)) < 1e-12


def test_a_row_a_batch_and_vmap_are_the_same() -> None:
    cell = gatewright.load("lstm_peephole")
    params, carry, xs = drawn(cell)
    one = gatewright.jax.cell(cell)
    together, y = one(params, carry, xs[0])
    mapped, y_mapped = jax.vmap(one, in_axes=(None, 0, 0))(params, carry, xs[0])
    row, y_row = one(params, {name: each[1] for name, each in carry.items()}, xs[0, 1])
    assert furthest((mapped, y_mapped), (together, y)) < 1e-15
    picked = {name: each[1] for name, each in together.items()}
    assert furthest((row, y_row), (picked, y[1])) < 1e-15
    assert y_row.shape == (H,)


def test_many_cells_at_once_under_vmap() -> None:
    cell = gatewright.load("gru")
    several = [cell.init(input=I, hidden=H, seed=seed, dtype="float64") for seed in range(3)]
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *several)
    _, carry, xs = drawn(cell)
    found = jax.vmap(partial(scanned, cell), in_axes=(0, None, None))(stacked, carry, xs)
    for k, params in enumerate(several):
        single = scanned(cell, params, carry, xs)
        assert furthest(jax.tree.map(lambda each, k=k: each[k], found), single) < 1e-15


def test_derivatives_of_any_order_and_mode() -> None:
    cell = gatewright.load("mgu")
    params, carry, xs = drawn(cell)
    run = partial(scanned, cell)
    slope = jax.grad(partial(loss, run))
    along = {
        name: np.cos(np.arange(each.size)).reshape(each.shape) for name, each in params.items()
    }
    forward_over_reverse = jax.jvp(lambda p: slope(p, carry, xs), (params,), (along,))[1]

    def directional(p: Any) -> Any:
        pairs = zip(jax.tree.leaves(slope(p, carry, xs)), jax.tree.leaves(along), strict=True)
        return sum(jnp.vdot(a, b) for a, b in pairs)

    reverse_over_reverse = jax.grad(directional)(params)
    assert furthest(reverse_over_reverse, forward_over_reverse) < 1e-12
    kernels, h = cell.compile("reference", "float64"), 1e-5

    def by_kernels(sign: float) -> Arrays:
        moved = {name: each + sign * h * along[name] for name, each in params.items()}
        ct_y, ct_state = cotangents(run, moved, carry, xs)
        return kernels.backward(kernels.forward(moved, xs, carry), ct_y, ct_state).parameters

    ahead, behind = by_kernels(1.0), by_kernels(-1.0)
    expected = {name: (ahead[name] - behind[name]) / (2 * h) for name in params}
    assert furthest(forward_over_reverse, expected) < 1e-7


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_dtype_that_is_given_is_kept(dtype: str) -> None:
    cell = gatewright.load("janet")
    params, carry, xs = jax.tree.map(lambda each: jnp.asarray(each, dtype), drawn(cell))
    final, ys = scanned(cell, params, carry, xs)
    assert {each.dtype for each in (*final.values(), ys)} == {jnp.dtype(dtype)}


def test_every_function_has_its_row() -> None:
    from gatewright.language.functions import AUTHOR_FUNCTIONS

    assert bridge.LIBRARY.keys() == {"@", *AUTHOR_FUNCTIONS}


def test_at_a_kink_the_derivative_is_that_of_the_kernels() -> None:
    for x, expected in ((1.0, 0.0), (-1.0, 0.0), (0.5, 1.0), (2.0, 0.0)):
        assert jax.grad(bridge.LIBRARY["hard_tanh"])(x) == expected
    assert jax.grad(bridge.LIBRARY["relu"])(0.0) == 0.0
    assert jax.grad(bridge.LIBRARY["max"])(1.0, 1.0) == 0.5


def test_a_wrong_function_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = gatewright.load("gru")
    params, carry, xs = drawn(cell)
    run = cell.compile("reference", "float64").forward(params, xs, carry)
    monkeypatch.setitem(bridge.LIBRARY, "sigmoid", lambda x: jax.nn.sigmoid(x) * (1 + 1e-9))
    assert furthest(scanned(cell, params, carry, xs)[1], run.y) > 1e-11


# ------------------------------------------------------------------- sequences by kernels


@pytest.mark.parametrize("route", KERNEL_ROUTES)
@pytest.mark.parametrize("name", ["lstm", "fast_grnn"])
def test_kernels_inside_jax_return_the_kernels_own_bits(name: str, route: str) -> None:
    cell = gatewright.load(name)
    params, carry, xs = drawn(cell)
    sequence = gatewright.jax.sequence(cell, route=route)
    kernels = compiled(name, "float64")
    run = kernels.forward(params, xs, carry)
    final, ys = jax.jit(sequence)(params, carry, xs)
    assert furthest((final, ys), (run.state, run.y)) == 0.0
    ct_y, ct_state = cotangents(sequence, params, carry, xs)
    (found, pull) = jax.vjp(sequence, params, carry, xs)
    assert furthest(found, (final, ys)) == 0.0
    expected = kernels.backward(run, ct_y, ct_state)
    gradients = pull((jax.tree.map(jnp.asarray, ct_state), jnp.asarray(ct_y)))
    assert furthest(gradients, (expected.parameters, expected.state, expected.x)) == 0.0
    jitted = jax.jit(jax.grad(partial(loss, sequence), argnums=(0, 1, 2)))(params, carry, xs)
    by_jax = jax.grad(partial(loss, partial(scanned, cell)), argnums=(0, 1, 2))(params, carry, xs)
    assert furthest(jitted, by_jax) < 1e-12


@pytest.mark.parametrize("route", KERNEL_ROUTES)
def test_the_second_derivative_of_kernels_is_that_of_the_pure_cell(route: str) -> None:
    cell = gatewright.load("lstm")
    params, carry, xs = drawn(cell)

    def second(run: Any) -> Any:
        def length(*given: Any) -> Any:
            found = jax.grad(partial(loss, run), argnums=(0, 1, 2))(*given)
            return sum(jnp.sum(each**2) for each in jax.tree.leaves(found))

        return jax.jit(jax.grad(length, argnums=(0, 1, 2)))(params, carry, xs)

    expected = second(partial(scanned, cell))
    assert furthest(second(gatewright.jax.sequence(cell, route=route)), expected) < 1e-10
    assert max(float(jnp.max(jnp.abs(each))) for each in jax.tree.leaves(expected)) > 0.1


def sliced(tree: Any, k: int) -> Any:
    return jax.tree.map(lambda each: each[k], tree)


@pytest.mark.parametrize("route", KERNEL_ROUTES)
@pytest.mark.parametrize("name", ["lstm", "fast_grnn"])
def test_vmap_of_kernels_is_the_same_sequence_by_sequence(name: str, route: str) -> None:
    cell = gatewright.load(name)
    params, carry, xs = drawn(cell)
    sequence = gatewright.jax.sequence(cell, route=route)
    several = jnp.stack([xs, -xs, 2 * xs])
    carries = jax.tree.map(lambda each: jnp.stack([each, -each, each / 2]), carry)
    weights = jax.tree.map(lambda each: jnp.stack([each, -each, each / 2]), params)
    for axes in ((None, None, 0), (None, 0, None), (None, 0, 0), (0, None, 0), (0, 0, None)):
        given = [
            mapped if axis == 0 else single
            for axis, mapped, single in zip(
                axes, (weights, carries, several), (params, carry, xs), strict=True
            )
        ]
        found = jax.jit(jax.vmap(sequence, in_axes=axes))(*given)
        pulled = jax.vmap(jax.grad(partial(loss, sequence), argnums=(0, 1, 2)), in_axes=axes)(
            *given
        )
        for k in range(3):
            one = [
                sliced(each, k) if axis == 0 else each
                for axis, each in zip(axes, given, strict=True)
            ]
            assert furthest(sliced(found, k), sequence(*one)) < 1e-14
            slope = jax.grad(partial(loss, sequence), argnums=(0, 1, 2))(*one)
            assert furthest(sliced(pulled, k), slope) < 1e-12
    twice = jax.vmap(jax.vmap(sequence, in_axes=(None, None, 0)), in_axes=(None, None, 0))
    deep = twice(params, carry, several[None])
    shallow = jax.vmap(sequence, in_axes=(None, None, 0))(params, carry, several)
    assert furthest(sliced(deep, 0), shallow) < 1e-14


def test_sequences_that_share_parameters_are_rows_of_one_call() -> None:
    cell = gatewright.load("lstm")
    params, carry, xs = drawn(cell)
    sequence = gatewright.jax.sequence(cell, route="callback")
    several = jnp.stack([xs, -xs, 2 * xs])
    weights = jax.tree.map(lambda each: jnp.stack([each, -each, each / 2]), params)
    shared = jax.make_jaxpr(jax.vmap(sequence, in_axes=(None, None, 0)))(params, carry, several)
    apart = jax.make_jaxpr(jax.vmap(sequence, in_axes=(0, None, 0)))(weights, carry, several)
    rows = f"f64[{T},{3 * B},{I}]"
    assert rows in str(shared)
    assert "scan" not in str(shared)
    assert rows not in str(apart)
    assert "scan" in str(apart)


@pytest.mark.parametrize("route", KERNEL_ROUTES)
def test_forward_mode_is_refused_by_kernels_and_right_by_scan(route: str) -> None:
    """Never a zero tangent without a word."""
    cell = gatewright.load("lstm")
    params, carry, xs = drawn(cell)
    along = jax.tree.map(lambda each: jnp.cos(jnp.arange(each.size)).reshape(each.shape), params)

    def pushed(run: Any, given: Any = (params,)) -> Any:
        return jax.jvp(lambda p: run(p, carry, xs)[1], given, (along,))[1]

    kernels = gatewright.jax.sequence(cell, route=route)
    refusals: tuple[Callable[[], Any], ...] = (
        lambda: pushed(kernels),
        lambda: jax.jit(partial(pushed, kernels))(),
        lambda: jax.jacfwd(lambda p: kernels(p, carry, xs)[1])(params),
        lambda: jax.jacfwd(jax.grad(partial(loss, kernels)))(params, carry, xs),
    )
    for refused in refusals:
        with pytest.raises(TypeError, match=r"forward-mode autodiff \(jvp\)"):
            refused()
    tangent = pushed(gatewright.jax.sequence(cell, route="scan"))
    h = 1e-6

    def moved(sign: float) -> Any:
        there = jax.tree.map(lambda each, step: each + sign * h * step, params, along)
        return kernels(there, carry, xs)[1]

    assert furthest(tangent, (moved(1.0) - moved(-1.0)) / (2 * h)) < 1e-8
    assert float(jnp.max(jnp.abs(tangent))) > 0.1


def test_sizes_that_several_threads_share_and_sizes_of_nothing() -> None:
    cell = gatewright.load("lstm")
    sequence = gatewright.jax.sequence(cell, threads=2)
    rng = np.random.default_rng(9)
    params = cell.init(input=32, hidden=96)
    xs = rng.uniform(-1, 1, (40, 64, 32)).astype("float32")
    carry = cell.zero_state(batch=64, hidden=96)
    found = jax.jit(jax.grad(partial(loss, sequence)))(params, carry, xs)
    expected = jax.jit(jax.grad(partial(loss, partial(scanned, cell))))(params, carry, xs)
    for name, each in found.items():
        scale = float(np.max(np.abs(expected[name])))
        assert furthest(each, expected[name]) < 1e-4 * scale, name
    final, ys = sequence(params, carry, xs[:0])
    assert (ys.shape, furthest(final, carry)) == ((0, 64, 96), 0.0)


def test_without_a_tried_interface_kernels_are_called_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert jax_kernels.supported(), "this jaxlib's interface is none that was tried"
    assert xla_ffi.version(tmp_path) is None
    header = tmp_path / "xla" / "ffi" / "api" / "c_api.h"
    header.parent.mkdir(parents=True)
    header.write_text("#define XLA_FFI_API_MAJOR 1\n#define XLA_FFI_API_MINOR 0\n")
    assert xla_ffi.version(tmp_path) == (1, 0)
    monkeypatch.setattr(bridge, "supported", lambda: False)
    cell = gatewright.load("lstm")
    with pytest.raises(ArgumentError, match="`route` must be one of callback, scan; got 'ffi'"):
        gatewright.jax.sequence(cell, route="ffi")
    params, carry, xs = drawn(cell)
    found = gatewright.jax.sequence(cell)
    text = str(jax.make_jaxpr(found)(params, carry, xs))
    assert "pure_callback" in text
    assert "ffi_call" not in text
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "scan" in str(jax.make_jaxpr(gatewright.jax.sequence(cell))(params, carry, xs))


def test_an_exception_in_a_handler_becomes_an_error_of_xla() -> None:
    def broken(arguments: Any, results: Any) -> None:
        raise ValueError("no such luck")

    jax_kernels._register("gatewright_test_broken", broken)
    shape = jax.ShapeDtypeStruct((2,), jnp.float32)
    call = jax.ffi.ffi_call("gatewright_test_broken", shape)
    with pytest.raises(Exception, match="ValueError: no such luck"):
        jax.block_until_ready(call(jnp.zeros(3, jnp.float32)))


@pytest.mark.parametrize("route", jax_kernels.ROUTES)
def test_a_clipped_cell_is_clipped_whatever_runs_it(route: str) -> None:
    cell = gatewright.load("lstm")
    params, carry, xs = drawn(cell)
    clipped = cell.with_reverse(clip=0.05)
    kernels = clipped.compile("reference", "float64")
    ct_y, ct_state = cotangents(partial(scanned, cell), params, carry, xs)
    expected = kernels.backward(kernels.forward(params, xs, carry), ct_y, ct_state)
    sequence = gatewright.jax.sequence(clipped, route=route)

    def slope(run: Any) -> Any:
        return jax.jit(jax.grad(partial(loss, run), argnums=(0, 1, 2)))(params, carry, xs)

    found = slope(sequence)
    assert furthest(found, (expected.parameters, expected.state, expected.x)) < 1e-12
    assert furthest(found, slope(partial(scanned, clipped))) < 1e-12
    assert furthest(found, slope(partial(scanned, cell))) > 1e-2


@pytest.mark.parametrize("route", jax_kernels.ROUTES)
def test_a_mesh_of_devices_gets_the_sum_of_their_gradients(route: str) -> None:
    cell = gatewright.load("gru")
    params, carry, xs = drawn(cell, batch=4)
    kinds = jax.sharding
    assert len(jax.devices()) > 1
    every, rows, steps = (kinds.PartitionSpec(*each) for each in ((), ("rows",), (None, "rows")))
    sequence = gatewright.jax.sequence(cell, route=route)
    mapped = jax.shard_map(
        sequence,
        mesh=kinds.Mesh(np.array(jax.devices()[:2]), ("rows",)),
        in_specs=(every, rows, steps),
        out_specs=(rows, steps),
    )
    assert furthest(jax.jit(mapped)(params, carry, xs), sequence(params, carry, xs)) < 1e-14

    def slope(run: Any) -> Any:
        return jax.jit(jax.grad(partial(loss, run), argnums=(0, 1, 2)))(params, carry, xs)

    assert furthest(slope(mapped), slope(sequence)) < 1e-12


@pytest.mark.parametrize("route", jax_kernels.ROUTES)
def test_transforms_that_recompute_donate_or_replicate_give_the_same(route: str) -> None:
    cell = gatewright.load("gru")
    params, carry, xs = drawn(cell)
    sequence = gatewright.jax.sequence(cell, route=route)
    plain = jax.grad(partial(loss, sequence))(params, carry, xs)
    again = jax.grad(partial(loss, jax.checkpoint(sequence)))(params, carry, xs)
    assert furthest(again, plain) < 1e-14
    expected = sequence(params, carry, xs)
    # The final states have the place of the initial ones.
    states = jax.tree.map(jnp.array, carry)
    donated = jax.jit(sequence, donate_argnums=1)(params, states, xs)
    assert furthest(donated, expected) < 1e-14
    twice = jax.tree.map(lambda each: jnp.stack([each, each]), (carry, xs))
    found = jax.pmap(sequence, in_axes=(None, 0, 0))(params, *twice)
    replicas = [jax.tree.map(lambda each, at=at: each[at], found) for at in range(2)]
    assert all(furthest(each, expected) < 1e-14 for each in replicas)


def test_a_scan_is_exported_and_kernels_are_refused_by_jax() -> None:
    cell = gatewright.load("gru")
    given = drawn(cell)
    scan, kernels = (gatewright.jax.sequence(cell, route=route) for route in ("scan", None))
    exported = export.export(jax.jit(scan))(*given)
    again: Any = export.deserialize(exported.serialize())
    assert furthest(again.call(*given), kernels(*given)) < 1e-12
    with pytest.raises(ValueError, match="no compatibility guarantees"):
        export.export(jax.jit(kernels))(*given)


# --------------------------------------------------------------------------------- mistakes


def test_mistakes_are_sentences_when_traced() -> None:
    cell = gatewright.load("gru")
    params, carry, xs = drawn(cell)
    one, sequence = gatewright.jax.cell(cell), gatewright.jax.sequence(cell)
    without = {name: each for name, each in params.items() if name != "U_r"}
    half = {name: jnp.asarray(each, "bfloat16") for name, each in params.items()}
    low = {name: jnp.asarray(each, "bfloat16") for name, each in carry.items()}
    cases: list[tuple[Any, tuple[Any, ...], str]] = [
        (one, (without, carry, xs[0]), "parameters lack `U_r`"),
        (one, (params, {"c": carry["h"]}, xs[0]), "states lack `h`"),
        (one, (params, carry, xs[0, :, 1:]), "`x` must have shape [3, 4]; got [3, 3]"),
        (one, (params, carry, xs[0, 1]), "`x` must have shape [3, 4]; got [4]"),
        (one, (params, carry, xs[0].astype(int)), "`x` must have dtype float64; got int64"),
        (sequence, (params, carry, xs[0]), "`x` must have shape [T, 3, 4]; got [3, 4]"),
        (sequence, (params, carry, xs.astype("float32")),
         "`x` must have dtype float64; got float32"),
        (sequence, ({**params, "U_z": params["U_z"][1:]}, carry, xs),
         "`U_z` must have shape [5, 5]; got [4, 5]"),
        (sequence, (half, low, xs.astype("bfloat16")),
         "kernels compute in float32 and float64; got bfloat16"),
    ]  # fmt: skip
    for function, given, sentence in cases:
        for called in (function, jax.jit(function)):
            with pytest.raises(ArgumentError) as caught:
                called(*given)
            assert sentence in str(caught.value)
    for nothing, kind in ((None, "NoneType"), ("abc", "str")):
        with pytest.raises(ArgumentError, match=f"`x` must be an array of numbers; got {kind}"):
            sequence(params, carry, nothing)
    with pytest.raises(ArgumentError, match=r"must come from gatewright\.load; got str"):
        gatewright.jax.cell("gru")
    with pytest.raises(ArgumentError, match="`threads` must be between 1"):
        gatewright.jax.sequence(cell, threads=0)
