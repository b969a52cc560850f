"""Layers on a GPU: the kernels of an emulated one, on tensors of the CPU that pass for its own."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

from torch import Tensor  # noqa: E402

import gatewright.torch  # noqa: E402
from gatewright.runtime.cuda.availability import CudaUnavailableError  # noqa: E402
from gatewright.runtime.cuda.devices import EmulatedDevice, Limits  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import backward, distance, flat, loss  # noqa: E402

# PyTorch's own, when it first compiles or differentiates forward.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
CELLS = ("lstm", "gru", "gru_reset_after", "elman", "indrnn", "lstm_peephole")
LIBRARY = {"lstm": torch.nn.LSTM, "gru_reset_after": torch.nn.GRU, "elman": torch.nn.RNN}
ONE_BY_ONE = "run one by one on the GPU"
T, B = 3, 2


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedDevice]:
    """Make every tensor one of an emulated GPU."""
    device = EmulatedDevice(tensors=True)
    monkeypatch.setattr("gatewright.bridges.torch.gpu.GPU_DEVICES", ("cpu",))
    monkeypatch.setattr("gatewright.bridges.torch.cuda.device_of", lambda tensor: device)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield device


def made(cell: str, backend: str = "auto", hidden: int = 8, **options: Any) -> Any:
    options = {"dtype": torch.float64, **options}
    return gatewright.torch.layer(cell, 4, hidden, backend=backend, **options)


def both(cell: str, **options: Any) -> tuple[Any, Any]:
    """Return the same layer on the GPU and in plain operations."""
    ours, plain = made(cell, **options), made(cell, "eager", **options)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def draw(*shape: int, dtype: Any = torch.float64) -> Tensor:
    found: Tensor = torch.randn(shape, dtype=dtype, requires_grad=True)
    return found


def start(layer: Any, rows: int = B) -> Any:
    groups = layer.num_layers * (2 if layer.bidirectional else 1)
    states = tuple(draw(groups, rows, layer.hidden_size) for _ in layer.loaded.cell.states)
    return states if len(states) > 1 else states[0]


def solved(layer: Any, x: Tensor, hx: Any, **options: Any) -> list[Tensor]:
    """Return outputs, states and the gradients of everything that there is one of."""
    y, final, *every = layer(x, hx, **options)
    results = flat((y, final)) + [s for each in every for s in flat((y, each))[1:]]
    leaves = [x, *(hx if isinstance(hx, tuple) else (hx,)), *layer.parameters()]
    total = sum((torch.sin(r) * (k + 1)).sum() for k, r in enumerate(results))
    return results + list(torch.autograd.grad(total, leaves, allow_unused=True))


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_states_and_gradients_are_those_of_plain_operations(
    cell: str, gpu: EmulatedDevice
) -> None:
    ours, plain = both(cell)
    x, hx = draw(T, B, 4), start(ours)
    found = solved(ours, x, hx)
    assert distance(found, solved(plain, x, hx)) < 1e-12
    assert {"steps_whole", "steps_vjp_whole"} <= gpu.launches.keys()


@pytest.mark.parametrize("cell", LIBRARY)
def test_outputs_states_and_gradients_are_those_of_pytorch(cell: str, gpu: EmulatedDevice) -> None:
    ours = made(cell, num_layers=2, bidirectional=True, batch_first=True)
    theirs = LIBRARY[cell](4, 8, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
    theirs.load_state_dict(ours.torch_state_dict())
    x = draw(B, T, 4)
    found, wanted = ours(x), theirs(x)
    assert distance(flat(found), flat(wanted)) < 1e-12
    gradients = [torch.autograd.grad(loss(each), [x]) for each in (found, wanted)]
    assert distance(*gradients) < 1e-12
    assert gpu.launches


@pytest.mark.parametrize("options", [{}, {"clip": 0.05}, {"zoneout": {"h": 0.25}}], ids=str)
def test_states_of_all_steps_and_bounds_have_their_gradients(
    options: dict[str, Any], gpu: EmulatedDevice
) -> None:
    ours, plain = both("lstm", **options)
    for layer in (ours, plain):
        layer.eval()
    x, hx = draw(T, B, 4), start(ours)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ONE_BY_ONE)
        found = solved(ours, x, hx, return_states=True)
    assert distance(found, solved(plain, x, hx, return_states=True)) < 1e-12
    with torch.no_grad():
        y, _, states = ours(x, hx, return_states=True)
        assert distance([y, *states], [found[0], *found[3:5]]) < 1e-12
    assert gpu.launches


def test_rows_of_several_lengths_and_none(gpu: EmulatedDevice) -> None:
    ours, plain = both("gru")
    x, hx = draw(T, B, 4), start(ours)
    for options in ({"lengths": [3, 1]}, {}):
        given = x if options else x[:0]
        found = [flat(layer(given, hx, **options)) for layer in (ours, plain)]
        assert distance(*found) < 1e-12


def test_derivatives_of_second_order_are_those_of_plain_operations(gpu: EmulatedDevice) -> None:
    ours, plain = both("lstm")
    x, hx = draw(T, B, 4), start(ours)
    found = []
    for layer in (ours, plain):
        (first,) = torch.autograd.grad(loss(layer(x, hx)), [x], create_graph=True)
        parameters = list(layer.parameters())
        found.append(torch.autograd.grad((first**2).sum(), [x, *hx, *parameters]))
    assert distance(*found) < 1e-11


def moved(tensor: Tensor) -> Tensor:
    """Return a tensor as one that was kept on another device comes back."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_after"])
def test_a_gradient_of_one_result_from_tensors_saved_elsewhere(
    cell: str, gpu: EmulatedDevice
) -> None:
    ours, plain = both(cell)
    x = draw(T, B, 4)
    for which in range(2):
        found = []
        for layer in (ours, plain):
            with torch.autograd.graph.saved_tensors_hooks(moved, lambda tensor: tensor):
                result = flat(layer(x))[which]
            found.append(torch.autograd.grad(result.sum(), [x]))
        assert distance(*found) < 1e-12


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_under_autocast_products_are_of_half_the_bits(half: Any, gpu: EmulatedDevice) -> None:
    ours, plain = both("lstm", hidden=32, dtype=torch.float32)
    x, hx = draw(T, B, 4, dtype=torch.float32), None
    wanted = flat(plain(x, hx))
    with torch.autocast("cpu", dtype=half):
        found = flat(ours(x, hx))
        assert f"products in {str(half).removeprefix('torch.')} at tier 2" in ours.explain(B)
    assert {each.dtype for each in found} == {torch.float32}
    # Eight bits of a number, or eleven, and no more: another result, and not another cell's.
    assert 1e-6 < distance(found, wanted) < 3e-2
    gradients = [torch.autograd.grad(each[0].sum(), [x]) for each in (found, wanted)]
    assert 1e-6 < distance(*gradients) < 5e-2
    assert distance(flat(ours(x, hx)), wanted) < 1e-5


def test_double_precision_is_not_halved(gpu: EmulatedDevice) -> None:
    ours, plain = both("elman")
    x = draw(T, B, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert distance(flat(ours(x)), flat(plain(x))) < 1e-12


@pytest.fixture
def tf32() -> Iterator[None]:
    """Let PyTorch's own products of float32 be tf32, as a user does."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


def test_products_are_tf32_where_those_of_pytorch_may_be(gpu: EmulatedDevice, tf32: None) -> None:
    ours, plain = both("lstm", hidden=19, dtype=torch.float32)
    x = draw(T, B, 4, dtype=torch.float32)
    wanted, found = flat(plain(x)), flat(ours(x))
    assert "products in tf32 at tier 2" in ours.explain(B)
    assert 1e-6 < distance(found, wanted) < 3e-3
    gradients = [torch.autograd.grad(each[0].sum(), [x]) for each in (found, wanted)]
    assert 1e-6 < distance(*gradients) < 5e-3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert "products in bfloat16 at tier 2" in ours.explain(B)
    assert "products" not in made("lstm").explain(B)
    torch.set_float32_matmul_precision("highest")
    assert "products" not in ours.explain(B)
    assert distance(flat(ours(x)), wanted) < 1e-5


def test_the_newer_switch_of_pytorch_is_listened_to(gpu: EmulatedDevice, tf32: None) -> None:
    switch = torch.backends.cuda.matmul
    if not hasattr(switch, "fp32_precision"):
        pytest.skip("this PyTorch has the older switch only")
    layer = made("lstm", dtype=torch.float32)
    for name, said in (("ieee", False), ("tf32", True)):
        switch.fp32_precision = name
        assert ("products in tf32" in layer.explain(B)) == said


@pytest.mark.parametrize("half", [False, True])
def test_sizes_that_do_not_make_one_kernel_run_one_by_one_and_a_warning_says_why(
    half: bool, gpu: EmulatedDevice
) -> None:
    gpu._limits = Limits(4, 2, 2, 1, 1024)
    reason = "4 matrices of 32 x 32 and what is multiplied with them, 2 rows, do not fit into the "
    ours, plain = both("lstm", hidden=32, dtype=torch.float32)
    x = draw(T, B, 4, dtype=torch.float32)
    with torch.autocast("cpu", enabled=half, dtype=torch.bfloat16):
        with pytest.warns(UserWarning, match=ONE_BY_ONE) as caught:
            found = flat(ours(x))
        ours(x)
        explained = ours.explain(B)
    assert reason in str(caught[0].message) and len(caught) == 1
    assert "forward and backward" in str(caught[0].message)
    assert explained.count("tier 1") == 2 and reason in explained
    assert distance(found, flat(plain(x))) < 1e-5
    assert not {"steps_whole", "steps_vjp_whole"} & gpu.launches.keys()


def test_what_runs_is_explained(gpu: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    text = made("lstm").explain(B).splitlines()
    assert text[0] == "cpu: kernels on the GPU"
    assert [line.split(":")[0] for line in text[1:]] == ["  forward", "  backward"]
    assert all("tier 2, " in line for line in text[1:])
    with pytest.raises(ArgumentError, match="`batch` must be between 1 and"):
        made("lstm").explain(0)
    assert made("lstm", "eager").explain(B).endswith("backend='eager' was asked for")
    assert "not bfloat16" in made("lstm", dtype=torch.bfloat16).explain(B)
    monkeypatch.undo()
    assert made("lstm").explain(B) == "cpu: compiled kernels for the CPU"


def missing(tensor: Tensor) -> Any:
    raise CudaUnavailableError("CUDA is not available (there is no driver)")


def test_without_a_driver_plain_operations_run_and_one_warning_says_why(
    gpu: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.bridges.torch.cuda.device_of", missing)
    ours, plain = both("lstm")
    x, hx = draw(T, B, 4), start(ours)
    with pytest.warns(UserWarning, match="there is no driver.; plain PyTorch operations") as caught:
        found = solved(ours, x, hx)
    assert len(caught) == 1
    assert distance(found, solved(plain, x, hx)) == 0.0
    ours(x, hx)
    assert "plain PyTorch operations, step by step: CUDA is not available" in ours.explain(B)
    asked = made("lstm", "kernel")
    with pytest.raises(CudaUnavailableError, match="there is no driver"):
        asked(x)
    assert asked.explain(B) == "cpu: nothing: CUDA is not available (there is no driver)"


def test_without_a_compiler_plain_operations_run(
    gpu: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise CudaUnavailableError("the package numba-cuda is missing")

    other = EmulatedDevice(tensors=True)
    monkeypatch.setattr(other, "prepared", refuse)
    monkeypatch.setattr("gatewright.bridges.torch.cuda.device_of", lambda tensor: other)
    ours, plain = both("gru")
    x, hx = draw(T, B, 4), start(ours)
    with pytest.warns(UserWarning, match="numba-cuda is missing; plain PyTorch operations"):
        found = solved(ours, x, hx)
    assert distance(found, solved(plain, x, hx)) == 0.0
    with pytest.raises(CudaUnavailableError, match="numba-cuda is missing"):
        made("gru", "kernel")(x)


def test_a_precision_without_kernels_runs_in_plain_operations(gpu: EmulatedDevice) -> None:
    x = torch.randn(T, B, 4, dtype=torch.bfloat16)
    with pytest.warns(UserWarning, match="float32 or float64, not bfloat16; plain PyTorch"):
        assert made("gru", dtype=torch.bfloat16)(x)[0].dtype == torch.bfloat16
    with pytest.raises(ArgumentError, match="not bfloat16: use backend='eager'"):
        made("gru", "kernel", dtype=torch.bfloat16)(x)


def test_parameters_on_another_device_are_refused(gpu: EmulatedDevice) -> None:
    layer = made("lstm", num_layers=2)
    layer.l1.to("meta")
    with pytest.raises(ArgumentError) as caught:
        layer(draw(T, B, 4))
    assert str(caught.value) == (
        "`W_i` is on meta, but the inputs are on cpu: move the whole layer with `.to('cpu')`"
    )


def test_transforms_that_the_kernels_do_not_have_are_refused(gpu: EmulatedDevice) -> None:
    layer, x = made("gru"), draw(T, B, 4).detach()
    with pytest.raises(NotImplementedError, match="vjp and jacrev cannot see"):
        torch.func.grad(lambda each: layer(each)[0].sum())(x)
    with pytest.raises(NotImplementedError, match="no forward-mode derivative"):
        torch.func.jvp(lambda each: layer(each)[0], (x,), (x,))


def test_a_copy_and_a_pickle_run_too(gpu: EmulatedDevice) -> None:
    layer, x = made("elman"), draw(T, B, 4)
    wanted = flat(layer(x))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert distance(flat(other(x)), wanted) == 0.0


def test_training_ends_where_it_does_in_plain_operations(gpu: EmulatedDevice) -> None:
    layers = both("lstm")
    x = draw(T, B, 4).detach()
    for layer in layers:
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            backward(loss(layer(x)))
            optimizer.step()
    assert distance(*([*layer.parameters()] for layer in layers)) < 1e-12


def test_a_wrong_gradient_would_be_noticed(
    gpu: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatewright.bridges.torch.cuda import TensorKernels

    right = TensorKernels.reversed
    monkeypatch.setattr(
        TensorKernels, "reversed", lambda *given: tuple(1.001 * g for g in right(*given))
    )
    ours, plain = both("gru")
    x, hx = draw(T, B, 4), start(ours)
    assert distance(solved(ours, x, hx), solved(plain, x, hx)) > 1e-4
