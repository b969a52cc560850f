"""Sequences of tensors: every cell, both tiers, graphs, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.cuda.test_cuda_cells import cells, check, loaded, problem, solved  # noqa: E402

from gatewright.loaded import load  # noqa: E402
from gatewright.runtime.cuda import steps as steps_module  # noqa: E402
from gatewright.runtime.cuda.devices import EmulatedDevice  # noqa: E402
from gatewright.runtime.cuda.emulator_memory import EmulationError  # noqa: E402
from gatewright.runtime.cuda.launch import bound  # noqa: E402
from gatewright.runtime.cuda.matrices import TorchMatrices  # noqa: E402
from gatewright.runtime.cuda.sequences import Sequences  # noqa: E402
from gatewright.runtime.cuda.tensors import tf32  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from gatewright.verify.reference import ReferenceKernels  # noqa: E402

SIZES = (3, 3, 8, 5)


class Recorder:
    """Stands for CUDA graphs: records without running, and runs at every replay."""

    def recorded(self, launches: Callable[[], None]) -> Callable[[], None]:
        return launches

    def recording(self) -> bool:
        return False


def sequences(cell: Any, dtype: str = "float64", **options: Any) -> Sequences:
    own = loaded(cell)
    device = EmulatedDevice(tensors=True)
    return Sequences(own.source("cuda"), dtype, device, **options)


def tensors(given: dict[str, Any]) -> dict[str, Any]:
    def tensor(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: tensor(each) for name, each in value.items()}
        return torch.from_numpy(np.array(value, order="C"))

    return {name: tensor(value) for name, value in given.items()}


def ran(own: Sequences, given: dict[str, Any]) -> dict[str, Any]:
    inputs = given["x"] if isinstance(given["x"], dict) else {"x": given["x"]}
    run = own.forward(given["parameters"], inputs, given["state"])
    found = own.backward(run, given["parameters"], given["ct_y"], given["ct_state"])
    named = {"y": run.y, "d_x": found.inputs["x"]}
    for group, arrays in (
        ("state", run.state),
        ("d_state", found.state),
        ("d_parameter", found.parameters),
    ):
        named.update((f"{group} {name}", array) for name, array in arrays.items())
    return {name: array.numpy() for name, array in named.items()}


@cache
def wanted(cell: Any, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    own = loaded(cell)
    found = solved(ReferenceKernels(own.programs), problem(own, sizes, "float64"))
    return {name: array for name, array in found.items() if not name.startswith("states ")}


@pytest.mark.parametrize("tier", [1, 2])
@cells
def test_tensors_agree_with_the_reference(cell: Any, tier: int) -> None:
    for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-5)):
        own = sequences(cell, dtype, tier=tier)
        assert {plan.tier for plan in own.plans(8, 3).values()} == {tier}
        given = tensors(problem(loaded(cell), SIZES, dtype))
        check(wanted(cell), ran(own, given), tolerance)


@pytest.mark.parametrize("sizes", [(0, 2, 4, 3), (2, 0, 4, 3), (1, 1, 1, 1)])
def test_empty_and_smallest_sequences(sizes: tuple[int, ...]) -> None:
    cell = ("gru", ())
    given = tensors(problem(loaded(cell), sizes, "float64"))
    check(wanted(cell, sizes), ran(sequences(cell), given), 1e-13)


@cells
def test_steps_are_recorded_when_the_same_memory_comes_again(cell: Any) -> None:
    own = sequences(cell, graphs=Recorder(), tier=1)
    given = tensors(problem(loaded(cell), SIZES, "float64"))
    for _ in range(6):
        check(wanted(cell), ran(own, given), 1e-13)
    for graphed in own.graphed.values():
        assert graphed.made <= graphed.replayed <= 5


def test_a_graph_is_made_at_the_second_time_and_replayed_for_other_numbers() -> None:
    from gatewright.runtime.cuda.graphs import KEPT, GraphedSteps

    class Counting(Recorder):
        recordings = 0

        def recorded(self, launches: Callable[[], None]) -> Callable[[], None]:
            self.recordings += 1
            return super().recorded(launches)

    seen: list[float] = []
    graphs = Counting()
    graphed = GraphedSteps(lambda T, array: seen.append(float(array[0])), graphs)
    array, other = torch.zeros(2), torch.zeros(2)
    for number in range(4):
        array[0] = number
        graphed(3, array)
    assert seen == [0, 1, 2, 3]
    assert (graphs.recordings, graphed.made, graphed.replayed) == (1, 1, 3)
    graphed(3, other)
    graphed(4, array)
    assert graphs.recordings == 1
    for each in [torch.zeros(1) for _ in range(KEPT)]:
        graphed(1, each)
    graphed(3, array)
    assert graphs.recordings == 1


def test_steps_go_into_the_graph_that_a_caller_records() -> None:
    from gatewright.runtime.cuda.graphs import GraphedSteps

    class Outer(Recorder):
        outside = True

        def recorded(self, launches: Callable[[], None]) -> Callable[[], None]:
            assert self.outside, "a graph cannot be recorded inside another"
            return super().recorded(launches)

        def recording(self) -> bool:
            return not self.outside

    seen: list[int] = []
    graphs = Outer()
    graphed = GraphedSteps(lambda T, array: seen.append(T), graphs)
    array = torch.zeros(2)
    graphed(1, array)
    for outside in (False, True, False):
        graphs.outside = outside
        graphed(1, array)
    assert len(seen) == 4
    assert (graphed.made, graphed.replayed) == (1, 1)


def test_nothing_is_kept_without_being_asked_for() -> None:
    cell = ("lstm", ())
    own = sequences(cell)
    given = tensors(problem(loaded(cell), SIZES, "float64"))
    inputs = {"x": given["x"]}
    run = own.forward(given["parameters"], inputs, given["state"], keep=False)
    assert np.allclose(run.y.numpy(), wanted(cell)["y"], atol=1e-13)
    with pytest.raises(ArgumentError, match="this run kept nothing"):
        own.backward(run, given["parameters"], given["ct_y"], given["ct_state"])


@pytest.fixture(params=["allow_tf32", "fp32_precision"])
def switch(request: pytest.FixtureRequest) -> Iterator[str]:
    """Set one of PyTorch's two switches for products of float32, as a user may have."""
    name, own = request.param, torch.backends.cuda.matmul
    if not hasattr(own, name):
        pytest.skip("this PyTorch has the older switch only")
    before = getattr(own, name)
    setattr(own, name, {"allow_tf32": False, "fp32_precision": "ieee"}[name])
    yield name
    setattr(own, name, before)


def test_a_switch_that_nobody_set_still_follows_the_global_one() -> None:
    own = torch.backends.cuda.matmul
    before = getattr(own, "fp32_precision", None), own.allow_tf32
    with tf32():
        assert own.allow_tf32
    assert (getattr(own, "fp32_precision", None), own.allow_tf32) == before


@pytest.mark.parametrize("products", ["", "bfloat16"])
def test_products_over_all_steps_are_no_finer_than_those_of_steps(
    products: str, switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, seen = torch.backends.cuda.matmul, []
    wanted = {"allow_tf32": True, "fp32_precision": "tf32"}[switch]
    before, right = getattr(own, switch), TorchMatrices.multiply

    def multiply(*arguments: Any) -> None:
        seen.append(getattr(own, switch))
        right(*arguments)

    monkeypatch.setattr(TorchMatrices, "multiply", multiply)
    given = tensors(problem(loaded(("elman", ())), SIZES, "float32"))
    ran(sequences(("elman", ()), "float32", products=products), given)
    assert set(seen) == ({wanted} if products else {before})
    assert getattr(own, switch) == before


class Counting(EmulatedDevice):
    """Counts the numbers in the memory that is asked for."""

    asked = 0

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        self.asked += math.prod(shape)
        return super().empty(shape, dtype)


def asked(cell: Any, tier: int, T: int, keep: bool) -> tuple[int, dict[str, Any]]:
    """Return how many numbers a forward run asks memory for, and its results."""
    device = Counting(tensors=True)
    own = Sequences(loaded(cell).source("cuda"), "float32", device, tier=tier)
    given = tensors(problem(loaded(cell), (T, *SIZES[1:]), "float32"))
    run = own.forward(given["parameters"], {"x": given["x"]}, given["state"], keep)
    return device.asked, {"y": run.y, **run.state}


@pytest.mark.parametrize("tier", [1, 2])
@cells
def test_inference_has_no_memory_for_what_only_the_reverse_reads(cell: Any, tier: int) -> None:
    layout = bound(loaded(cell).source("cuda"), "float32", EmulatedDevice()).layout
    places = {name: place for name, (place, *_) in layout.forward.items()}
    B, H = SIZES[1:3]
    short, (few, found), (many, kept) = (
        asked(cell, tier, *how) for how in ((2, False), (4, False), (4, True))
    )
    # What is computed for all steps at once, and states: a caller sees those.
    whole = [name for name, place in places.items() if place in ("chunk", "saved", "carried")]
    assert few - short[0] == 2 * B * H * len(whole)
    saved = [name for name, place in places.items() if place == "stepped"]
    assert many - few == 3 * B * H * len(saved)
    assert all(torch.equal(found[name], kept[name]) for name in kept)


def test_a_store_that_inference_should_not_make_is_out_of_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps_module, "unkept", lambda text, kernel, names: text)
    with pytest.raises(EmulationError, match="leaves i with index"):
        asked(("lstm", ()), 2, 3, keep=False)


def test_a_result_belongs_to_its_caller() -> None:
    cell = ("lstm", ())
    own = sequences(cell)
    given = tensors(problem(loaded(cell), SIZES, "float64"))
    run = own.forward(given["parameters"], {"x": given["x"]}, given["state"])
    run.y.zero_()
    found = own.backward(run, given["parameters"], given["ct_y"], given["ct_state"])
    assert np.allclose(found.inputs["x"].numpy(), wanted(cell)["d_x"], atol=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": 1}, "`x` must be a tensor; got int"),
        ({"x": "float"}, "`x` must be float64; got torch.float32"),
        ({"x": "narrow"}, r"`x` must have shape \[T, B, 5\]; got \[3, 3, 4\]"),
        ({"x": "strided"}, "`x` must be contiguous"),
        ({"z": None}, "inputs have unknown `z`"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    cell = ("elman", ())
    given = tensors(problem(loaded(cell), SIZES, "float64"))
    x = given["x"]
    changed = {
        "float": x.float(),
        "narrow": x[..., :4].contiguous(),
        "strided": x.transpose(0, 1),
    }
    inputs = {"x": x, **{name: changed.get(str(how), how) for name, how in change.items()}}
    with pytest.raises(ArgumentError, match=message):
        sequences(cell).forward(given["parameters"], inputs, given["state"])


def test_constants_can_be_given() -> None:
    found = [cell for cell in (load("janet"),) if cell.cell.constants]
    for own in found:
        name = own.cell.constants[0].name
        other = load(own.cell.name, **{name: 0.25})
        given = problem(own, SIZES, "float64")
        right = solved(ReferenceKernels(other.programs, "float64", {name: 0.25}), given)
        device = EmulatedDevice(tensors=True)
        kernels = Sequences(own.source("cuda"), "float64", device, constants={name: 0.25})
        assert np.allclose(ran(kernels, tensors(given))["y"], right["y"], atol=1e-13)
    assert found


@pytest.mark.parametrize("tier", [1, 2])
def test_cotangents_of_every_state_and_clipped_ones(tier: int) -> None:
    cell = ("lstm", ())
    own = loaded(cell).with_reverse(every_state=True, clip=0.05)
    given = problem(own, SIZES, "float64")
    ct_states = {"c": np.random.default_rng(1).standard_normal((3, 3, 8))}
    reference = own.compile("reference", "float64")
    run = reference.forward(given["parameters"], given["x"], given["state"])
    right = reference.backward(run, given["ct_y"], given["ct_state"], ct_states)
    device = EmulatedDevice(tensors=True)
    kernels = Sequences(own.source("cuda"), "float64", device, tier=tier)
    there = tensors(given)
    started = kernels.forward(there["parameters"], {"x": there["x"]}, there["state"])
    arguments = (started, there["parameters"], there["ct_y"], there["ct_state"])
    found = kernels.backward(*arguments, tensors({"ct": ct_states})["ct"])
    for name, array in right.parameters.items():
        assert np.allclose(found.parameters[name].numpy(), array, atol=1e-12), name
    without = kernels.backward(*arguments)
    assert not np.allclose(without.parameters["U_f"].numpy(), right.parameters["U_f"], atol=1e-3)
    with pytest.raises(ArgumentError, match="no cotangent of `c` at every step"):
        sequences(cell).backward(*arguments, tensors({"ct": ct_states})["ct"])
