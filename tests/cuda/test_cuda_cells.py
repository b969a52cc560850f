"""Whole sequences, forward and backward, of every cell: the host's code with emulated kernels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from gatewright.language import catalogue
from gatewright.loaded import LoadedCell, load
from gatewright.runtime.cuda.devices import EmulatedDevice
from gatewright.runtime.cuda.emulator_memory import EmulationError
from gatewright.runtime.cuda.kernels import CudaKernels
from gatewright.runtime.kernels import Gradients, Kernels, Run
from gatewright.verify.reference import ReferenceKernels

CELLS = [
    (name, tuple(sorted(choices.items())))
    for name in catalogue.names()
    for choices in catalogue.variants(catalogue.read_spec(name))
]
TOLERANCE = {"float64": 1e-13, "float32": 2e-5}
# T, B, hidden, input.
SIZES = ((3, 2, 3, 5), (1, 1, 1, 1), (2, 3, 9, 4), (2, 9, 1, 2), (3, 0, 3, 5), (0, 2, 3, 5))
cells = pytest.mark.parametrize(
    "cell", CELLS, ids=lambda cell: "-".join((cell[0], *map(str, cell[1])))
)


@cache
def loaded(cell: tuple[str, tuple[tuple[str, str], ...]]) -> LoadedCell:
    return load(cell[0], **dict(cell[1]))


def problem(cell: LoadedCell, sizes: tuple[int, ...], dtype: str) -> dict[str, Any]:
    T, B, H, I = sizes  # noqa: E741
    rng = np.random.default_rng(sizes)

    def normal(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    known = {"hidden": H, "input": I}
    return {
        "parameters": cell.init(hidden=H, input=I, dtype=dtype),
        "x": normal(T, B, I),
        "state": {s.name: normal(B, *(known[d] for d in s.dims)) for s in cell.cell.states},
        "ct_state": {s.name: normal(B, *(known[d] for d in s.dims)) for s in cell.cell.states},
        "ct_y": normal(T, B, H),
    }


def solved(kernels: Kernels, given: dict[str, Any]) -> dict[str, Any]:
    run = kernels.forward(given["parameters"], given["x"], given["state"])
    gradients = kernels.backward(run, given["ct_y"], given["ct_state"])
    return dict(named(run, gradients))


def named(run: Run, gradients: Gradients) -> Iterator[tuple[str, Any]]:
    yield "y", run.y
    yield "d_x", gradients.x
    for group, arrays in (
        ("state", run.state),
        ("states", run.states),
        ("d_state", gradients.state),
        ("d_parameter", gradients.parameters),
    ):
        for name, array in arrays.items():
            yield f"{group} {name}", array


def check(wanted: dict[str, Any], found: dict[str, Any], tolerance: float) -> None:
    assert wanted.keys() == found.keys()
    for name, array in wanted.items():
        assert array.shape == found[name].shape, name
        scale = float(np.abs(array).max(initial=0)) or 1.0
        error = float(np.abs(array - found[name]).max(initial=0)) / scale
        assert error <= tolerance, name


@pytest.mark.parametrize(("dtype", "tier"), [("float64", 1), ("float32", 1), ("float32", None)])
@cells
def test_an_emulated_device_agrees_with_the_reference(
    cell: Any, dtype: str, tier: int | None
) -> None:
    own = loaded(cell)
    device = EmulatedDevice()
    kernels = CudaKernels(own.source("cuda"), dtype, device=device, fill=np.nan, tier=tier)
    reference = ReferenceKernels(own.programs)
    for sizes in SIZES[:1] if (dtype, tier) == ("float32", 1) else SIZES:
        given = problem(own, sizes, "float64")
        wanted = solved(reference, given)
        rounded = problem(own, sizes, dtype)
        check(wanted, solved(kernels, rounded), TOLERANCE[dtype])
    assert set(device.launches) >= {"sums"}
    assert ("steps_whole" in device.launches) == (tier is None)


def test_a_kernel_with_a_wrong_sign_is_seen() -> None:
    own = load("gru")
    text = own.source("cuda").replace("d_h_next * (n - h)", "d_h_next * (n + h)")
    assert text != own.source("cuda")
    given = problem(own, SIZES[0], "float64")
    kernels = CudaKernels(text, "float64", device=EmulatedDevice())
    with pytest.raises(AssertionError):
        check(solved(ReferenceKernels(own.programs), given), solved(kernels, given), 1e-3)


def test_a_kernel_that_takes_a_wrong_column_is_seen() -> None:
    own = load("gru")
    text = own.source("cuda").replace(
        "at_3 = row * (3 * unit_count)", "at_3 = row * (2 * unit_count)"
    )
    kernels = CudaKernels(text, "float64", device=EmulatedDevice(), tier=1)
    with pytest.raises(EmulationError, match="leaves W_r_x"):
        solved(kernels, problem(own, SIZES[0], "float64"))


def test_what_a_run_kept_can_be_handed_back() -> None:
    own = load("gru_reset_after")
    kernels = CudaKernels(own.source("cuda"), "float64", device=EmulatedDevice(), fill=np.nan)
    given = problem(own, SIZES[0], "float64")
    run = kernels.forward(given["parameters"], given["x"], given["state"])
    wanted = kernels.backward(run, given["ct_y"], given["ct_state"])
    assert run.kept is not None
    kept = {name: np.array(run.kept[name]) for name in (*kernels.kept_shapes(run.sizes), "x")}
    again = kernels.revived(given["parameters"], kept)
    found = kernels.backward(again, given["ct_y"], given["ct_state"])
    assert all((found.parameters[n] == wanted.parameters[n]).all() for n in wanted.parameters)


def test_a_step_has_one_product_and_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatewright.runtime.cuda.matrices import NumpyMatrices

    products: list[tuple[int, ...]] = []
    multiply = NumpyMatrices.multiply

    def counted(self: Any, left: Any, right: Any, target: Any, add: bool) -> None:
        products.append(target.shape)
        multiply(self, left, right, target, add)

    monkeypatch.setattr(NumpyMatrices, "multiply", counted)
    T, B, H, I = 3, 2, 4, 5  # noqa: E741
    for name, gates, stages in (("lstm", 4, 1), ("gru_reset_after", 3, 1), ("gru", 3, 2)):
        own = load(name)
        device = EmulatedDevice()
        kernels = CudaKernels(own.source("cuda"), "float64", device=device, tier=1)
        given = problem(own, (T, B, H, I), "float64")
        products.clear()
        run = kernels.forward(given["parameters"], given["x"], given["state"])
        # The input's products for all steps at once, and those of each step.
        assert products[0] == (T * B, gates * H)
        assert len(products) == 1 + stages * T
        assert sum(device.launches.values()) == stages * T
        products.clear()
        kernels.backward(run, given["ct_y"], given["ct_state"])
        outers = 3 if name == "gru" else 2
        assert len(products) == stages * T + 1 + outers
