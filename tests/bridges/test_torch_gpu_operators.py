"""Operators on a GPU: traced, compiled, batched and differentiated as those of the CPU are.

They run in the emulator on tensors of the CPU; where only shapes matter, tensors are PyTorch's
fake ones of a CUDA device.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

from torch import Tensor  # noqa: E402

import gatewright.torch  # noqa: E402
from gatewright.bridges.torch.cuda import ALLOWED, CudaOperators, cuda_operators  # noqa: E402
from gatewright.loaded import LoadedCell, load  # noqa: E402
from gatewright.runtime.cuda.devices import EmulatedDevice  # noqa: E402
from gatewright.runtime.cuda.sequences import Sequences  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import distance, flat, loss  # noqa: E402

# PyTorch's own, when it first compiles.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
KINDS = ("sequence", "kept", "backward")
T, B, H, I = 2, 2, 4, 3  # noqa: E741
TOLERANCE = 1e-12


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedDevice]:
    """Make every tensor one of an emulated GPU."""
    device = EmulatedDevice(tensors=True)
    monkeypatch.setattr("gatewright.bridges.torch.gpu.GPU_DEVICES", ("cpu",))
    monkeypatch.setattr("gatewright.bridges.torch.cuda.device_of", lambda tensor: device)
    torch._dynamo.reset()
    yield device


def pair(cell: str, **options: Any) -> tuple[Any, Any]:
    """Return the same layer on kernels and in plain operations, in float64."""
    made = [
        gatewright.torch.layer(cell, I, H, backend=backend, dtype=torch.float64, **options)
        for backend in ("kernel", "eager")
    ]
    made[1].load_state_dict(made[0].state_dict())
    return made[0], made[1]


def given(cell: LoadedCell, **place: Any) -> list[Tensor]:
    """Return inputs, initial states and parameters of a cell."""
    sizes = {"hidden": H, "input": I}
    rows = [((T, B), cell.cell.inputs), ((B,), cell.cell.states), ((), cell.cell.parameters)]
    shapes = [(*first, *(sizes[d] for d in v.dims)) for first, group in rows for v in group]
    return [torch.randn(shape, dtype=torch.float64, **place) for shape in shapes]


def arguments(known: CudaOperators, kind: str, tensors: list[Tensor]) -> list[Any]:
    """Return what an operator takes after its option."""
    if kind != "backward":
        return tensors
    found, contract = known.kept(ALLOWED, *tensors), known.contract
    cotangents = [torch.randn_like(each) for each in found[: contract.results]]
    return [True, True, *cotangents, *tensors, *contract.saved(found)]


# What is kept of the first are columns of one array; of the second states of all steps are seen.
CASES = [("gru_reset_after", False), ("lstm", True)]


@pytest.mark.parametrize(
    ("cell", "every", "kind"),
    [*(("gru_reset_after", False, k) for k in KINDS), (*CASES[1], "kept")],
)
def test_opcheck_passes(cell: str, every: bool, kind: str, gpu: EmulatedDevice) -> None:
    loaded = load(cell).with_reverse(every_state=every)
    known = cuda_operators(loaded)
    tensors = arguments(known, kind, given(loaded))
    if kind != "kept":
        tensors = [t if t is True else t.detach().requires_grad_() for t in tensors]
    results = torch.library.opcheck(getattr(known, kind).overload, (ALLOWED, *tensors))
    assert set(results.values()) == {"SUCCESS"}
    assert gpu.launches


def laid(tensors: Any) -> list[Any]:
    return [(tuple(t.shape), t.stride(), t.storage_offset(), t.dtype) for t in tensors]


@pytest.mark.parametrize(("cell", "every"), CASES)
def test_what_is_promised_of_cuda_tensors_is_what_kernels_return(
    cell: str, every: bool, gpu: EmulatedDevice
) -> None:
    fakes: Any = torch._subclasses.FakeTensorMode
    loaded = load(cell).with_reverse(every_state=every)
    known, tensors = cuda_operators(loaded), given(loaded)
    found = [getattr(known, k)(ALLOWED, *arguments(known, k, tensors)) for k in KINDS]
    gpu.launches.clear()
    # A PyTorch without CUDA cannot differentiate there, not even without numbers.
    with torch.no_grad(), fakes():
        there = given(loaded, device="cuda")
        promised = [getattr(known, k)(ALLOWED, *arguments(known, k, there)) for k in KINDS]
    for real, fake in zip(found, promised, strict=True):
        assert {each.device.type for each in fake} == {"cuda"}
        assert laid(fake) == laid(real)
    assert not gpu.launches


def test_a_layer_on_cuda_is_exported_where_there_is_none() -> None:
    fakes: Any = torch._subclasses.FakeTensorMode
    layer: Any = gatewright.torch.layer("gru", I, H).requires_grad_(False)
    with torch.no_grad(), fakes(allow_non_fake_inputs=True):
        for name, parameter in layer.l0.items():
            there = torch.empty(parameter.shape, device="cuda")
            layer.l0[name] = torch.nn.Parameter(there, requires_grad=False)
        program = torch.export.export(layer, (torch.empty(T, B, I, device="cuda"),))
    called = re.findall(r"torch\.ops\.gatewright\.(\w+)\.default", program.graph_module.code)
    assert called == [cuda_operators(load("gru")).name]
    assert not any("tanh" in str(node.target) for node in program.graph.nodes)


@pytest.mark.parametrize("cell", ["lstm", "indrnn"])
def test_compile_takes_the_whole_layer_as_one_graph(cell: str, gpu: EmulatedDevice) -> None:
    layer, plain = pair(cell, bidirectional=True)
    compiled: Any = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)
    for steps, rows in ((T, B), (T + 1, B + 1)):
        x = torch.randn(steps, rows, I, dtype=torch.float64, requires_grad=True)
        found, expected = compiled(x), plain(x)
        assert distance(flat(found), flat(expected)) < TOLERANCE
        wanted = [x, *plain.parameters()]
        gradients = torch.autograd.grad(loss(found), [x, *layer.parameters()])
        assert distance(gradients, torch.autograd.grad(loss(expected), wanted)) < TOLERANCE
    assert {"steps_whole", "steps_vjp_whole"} <= gpu.launches.keys()


def test_a_compiled_layer_takes_plain_operations_where_kernels_cannot_run(
    gpu: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.bridges.torch.gpu.why_not", lambda index: "no driver")
    layer = gatewright.torch.layer("gru", I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    expected = layer(x)
    gpu.launches.clear()
    compiled: Any = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert distance(flat(compiled(x)), flat(expected)) < TOLERANCE
    assert not gpu.launches


@pytest.mark.parametrize("cell", ["lstm_peephole", "gru"])
def test_vmap_is_a_loop(cell: str, gpu: EmulatedDevice) -> None:
    layer, plain = pair(cell)
    xs = torch.randn(3, T, B, I, dtype=torch.float64)
    expected = torch.stack([plain(x)[0] for x in xs])
    assert distance([torch.vmap(lambda x: layer(x)[0])(xs)], [expected]) < TOLERANCE
    # Parameters are shared: all rows are those of one call.
    assert gpu.launches == {"steps_whole": 1}


def test_vmap_over_parameters_is_an_ensemble(gpu: EmulatedDevice) -> None:
    layers = [pair("gru") for _ in range(2)]
    x = torch.randn(T, B, I, dtype=torch.float64)
    stacked, _ = torch.func.stack_module_state([layer for layer, _ in layers])
    expected = torch.stack([plain(x)[0] for _, plain in layers])

    def run(parameters: Any) -> Any:
        return torch.func.functional_call(layers[0][0], parameters, (x,))[0]

    assert distance([torch.vmap(run)(stacked)], [expected]) < TOLERANCE


def test_several_cotangents_at_once_are_one_at_a_time(gpu: EmulatedDevice) -> None:
    layer, _ = pair("elman")
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    y = layer(x)[0]
    cts = torch.randn(2, *y.shape, dtype=y.dtype)
    found = torch.autograd.grad(y, x, cts, is_grads_batched=True, retain_graph=True)
    rows = [torch.autograd.grad(y, x, ct, retain_graph=True)[0] for ct in cts]
    assert distance(found, [torch.stack(rows)]) < TOLERANCE


def test_second_derivatives_are_derivatives(gpu: EmulatedDevice) -> None:
    known = cuda_operators(load("elman"))
    tensors = [each.requires_grad_() for each in given(load("elman"))]

    def run(x: Tensor) -> Tensor:
        return known.sequence(ALLOWED, x, *tensors[1:])[0]

    assert torch.autograd.gradcheck(run, tensors[0], fast_mode=True)
    assert torch.autograd.gradgradcheck(run, tensors[0], fast_mode=True)


def wrong(tensors: list[Any], k: int, how: str) -> list[Any]:
    changed = tensors[k].float() if how == "single" else tensors[k][..., :-1]
    return [*tensors[:k], changed, *tensors[k + 1 :]]


@pytest.mark.parametrize(
    ("kind", "k", "how", "says"),
    [
        ("sequence", 0, "narrow", "`W_x?` must have shape|`W` must have shape"),
        ("sequence", 1, "narrow", "must have shape"),
        ("kept", 2, "single", "`W` is of torch.float32, but the inputs of torch.float64"),
        ("backward", 2, "narrow", "cotangent 0 must have shape"),
        ("backward", 3, "single", "what the reverse is given` is of torch.float32"),
        ("backward", -1, "narrow", "kept array 0 must have shape"),
    ],
)
def test_operators_refuse_what_does_not_fit(
    kind: str, k: int, how: str, says: str, gpu: EmulatedDevice
) -> None:
    """Kernels index without bounds checks: no call may reach them."""
    known, operator = cuda_operators(load("elman")), kind
    tensors = arguments(known, kind, given(load("elman")))
    launched = dict(gpu.launches)
    with pytest.raises(ArgumentError, match=says):
        getattr(known, operator)(ALLOWED, *wrong(tensors, k % len(tensors), how))
    assert gpu.launches == launched


def test_tensors_of_the_cpu_are_refused_unless_kernels_are_emulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, tensors = cuda_operators(load("elman")), given(load("elman"))
    monkeypatch.delenv("GATEWRIGHT_CUDA", raising=False)
    with pytest.raises(ArgumentError, match="run on CUDA devices, the tensors are on cpu"):
        known.sequence(ALLOWED, *tensors)
    monkeypatch.setenv("GATEWRIGHT_CUDA", "emulate")
    (y, _) = known.sequence(ALLOWED, *tensors)
    layer = gatewright.torch.layer("elman", I, H, dtype=torch.float64, backend="eager")
    with torch.no_grad():
        for parameter, tensor in zip(layer.parameters(), tensors[2:], strict=True):
            parameter.copy_(tensor)
    assert distance([y], [layer(tensors[0], tensors[1][None])[0]]) < TOLERANCE


@pytest.mark.parametrize("cell", ["lstm", "gru", "minimal_rnn"])
def test_gradients_of_inputs_that_nobody_wants_change_no_other(
    gpu: EmulatedDevice, cell: str
) -> None:
    layer, eager = pair(cell)
    x = torch.randn(T, B, I, dtype=torch.float64)
    found = torch.autograd.grad(loss(layer(x)), [*layer.parameters()])
    all_wanted = torch.autograd.grad(loss(layer(x.clone().requires_grad_())), [*layer.parameters()])
    expected = torch.autograd.grad(loss(eager(x)), [*eager.parameters()])
    assert distance(found, all_wanted) == 0.0
    assert distance(found, expected) < TOLERANCE


def test_gradients_of_inputs_that_a_step_computes_may_be_unwanted_too(
    gpu: EmulatedDevice, tmp_path: Path
) -> None:
    path = tmp_path / "added.yaml"
    path.write_text(
        "cell: added\ntitle: T\ninputs: {x: input, m: hidden}\nstates: {h: hidden}\n"
        "parameters:\n  W: [hidden, input]\n  U: [hidden, hidden]\nequations:\n"
        "  h': tanh(W @ x + U @ h + m)\noutput: h'\n"
    )
    layer, eager = pair(str(path))
    x = {"x": torch.randn(T, B, I).double(), "m": torch.randn(T, B, H).double()}
    found, expected = (
        torch.autograd.grad(loss(each(x)), [*each.parameters()]) for each in (layer, eager)
    )
    assert distance(found, expected) < TOLERANCE


def test_gradients_of_inputs_that_nobody_wants_have_no_memory(
    gpu: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, _ = pair("lstm")
    there: list[bool] = []
    run = Sequences._run

    def noted(self: Sequences, direction: str, sizes: Any, values: Any) -> None:
        there.extend([values["d_x"] is not None] if direction == "backward" else [])
        run(self, direction, sizes, values)

    monkeypatch.setattr(Sequences, "_run", noted)
    x = torch.randn(T, B, I, dtype=torch.float64)
    torch.autograd.backward(loss(layer(x)))
    torch.autograd.backward(loss(layer(x.requires_grad_())))
    assert there == [False, True]
