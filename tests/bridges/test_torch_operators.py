"""The operators are what PyTorch asks of operators, and their gradients are right or refused."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

from gatewright.bridges.torch.operators import operators  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import CELLS, backward, distance, flat, given, loss, pair  # noqa: E402

# PyTorch's own, when it first compiles or differentiates forward.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
TOLERANCE = 1e-12


def called(layer: Any, every: bool = False) -> Callable[..., tuple[Any, ...]]:
    """Return a layer's sequence as a function of tensors that returns tensors."""

    def function(*tensors: Any) -> tuple[Any, ...]:
        y, final, states = layer._backend.sequence(tensors[0], every)(tensors)
        return (y, *final, *states)

    return function


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("every_state", [False, True])
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("sequence", ()),
        ("kept", ()),
        *(("backward", wanted) for wanted in product((True, False), repeat=2)),
    ],
)
def test_opcheck_passes(cell: str, every_state: bool, kind: str, wanted: Any) -> None:
    layer, _ = pair(cell)
    known = operators(layer.loaded.with_reverse(every_state=every_state))
    tensors = given(layer)
    arguments = tensors if kind == "sequence" else [each.detach() for each in tensors]
    if kind == "backward":
        found = known.kept(0, *arguments)
        cotangents = [torch.randn_like(each) for each in found[: known.contract.results]]
        seen = [found[0], *found[known.contract.final : known.contract.results]]
        arguments = [*wanted, *cotangents, *arguments, *seen, *found[known.contract.results :]]
    results = torch.library.opcheck(getattr(known, kind).overload, (0, *arguments))
    assert set(results.values()) == {"SUCCESS"}


def test_opcheck_notices_a_wrong_promise() -> None:
    rows = torch.library.custom_op(
        "gatewright_tests::rows",
        lambda x: x[1:].clone(),
        mutates_args=(),
        schema="(Tensor x) -> Tensor",
    )
    rows.register_fake(lambda x: x.new_empty(x.shape))
    with pytest.raises(Exception, match="test_faketensor"):
        torch.library.opcheck(rows, (torch.randn(3, 2),))


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_both_backends_are_derivatives(cell: str) -> None:
    for layer in pair(cell, 2, 3):
        tensors = given(layer, rows=2, steps=3)
        assert torch.autograd.gradcheck(called(layer, every=True), tensors)
        assert torch.autograd.gradgradcheck(called(layer), tensors)


def test_gradcheck_notices_a_gradient_that_is_one_per_cent_off() -> None:
    layer, _ = pair("gru", 2, 3)
    x, *rest = given(layer, rows=2, steps=3)

    def wrong(x: Any) -> Any:
        return called(layer)(x * 1.01 - (x * 0.01).detach(), *rest)[0]

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(wrong, (x,))


@pytest.mark.parametrize("cell", CELLS)
def test_third_derivatives_of_kernels_are_those_of_plain_operations(cell: str) -> None:
    found = []
    for layer in pair(cell, 2, 3):
        x, *rest = given(layer, rows=2, steps=3)
        value = called(layer)(x, *rest)[0].sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, x, create_graph=True)
            value = (gradient**2).sum()
        found.append([gradient])
    assert distance(*found) < TOLERANCE


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile_takes_the_whole_layer_as_one_graph(cell: str, backend: str) -> None:
    torch._dynamo.reset()
    layer, _ = pair(cell, num_layers=2, bidirectional=True)
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    leaves = [x, *layer.parameters()]
    found, expected = compiled(x), layer(x)
    assert distance(flat(found), flat(expected)) < TOLERANCE
    gradients = [torch.autograd.grad(loss(each), leaves) for each in (found, expected)]
    assert distance(*gradients) < TOLERANCE


def test_a_compiled_layer_takes_other_sizes() -> None:
    torch._dynamo.reset()
    layer, _ = pair("lstm")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)
    for steps, rows in ((5, 3), (7, 2), (2, 4)):
        x = torch.randn(steps, rows, 4, dtype=torch.float64)
        assert distance(flat(compiled(x)), flat(layer(x))) < TOLERANCE


@pytest.mark.parametrize("cell", CELLS)
def test_vmap_is_a_loop(cell: str) -> None:
    layer, _ = pair(cell)
    xs = torch.randn(6, 5, 3, 4, dtype=torch.float64)
    expected = torch.stack([layer(x)[0] for x in xs])
    assert distance([torch.vmap(lambda x: layer(x)[0])(xs)], [expected]) < TOLERANCE
    moved = torch.vmap(lambda x: layer(x)[0], in_dims=3, out_dims=2)(xs.movedim(0, 3))
    assert distance([moved.movedim(2, 0)], [expected]) < TOLERANCE


def test_vmap_over_parameters_is_an_ensemble() -> None:
    layers = [pair("lstm_peephole")[0] for _ in range(3)]
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    stacked, _ = torch.func.stack_module_state(layers)

    def run(parameters: Any) -> Any:
        return torch.func.functional_call(layers[0], parameters, (x,))[0]

    expected = torch.stack([layer(x)[0] for layer in layers])
    assert distance([torch.vmap(run)(stacked)], [expected]) < TOLERANCE


@pytest.mark.parametrize("cell", CELLS)
def test_several_cotangents_at_once_are_one_at_a_time(cell: str) -> None:
    layer, _ = pair(cell)
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    leaves, y = [x, *layer.parameters()], layer(x)[0]
    cts = torch.randn(4, *y.shape, dtype=y.dtype)
    found = torch.autograd.grad(y, leaves, cts, is_grads_batched=True, retain_graph=True)
    rows = [torch.autograd.grad(y, leaves, ct, retain_graph=True) for ct in cts]
    assert distance(found, [torch.stack(each) for each in zip(*rows, strict=True)]) < TOLERANCE


FORWARD_MODE = "no forward-mode derivative"


def dual(layer: Any, x: Any) -> None:
    with torch.autograd.forward_ad.dual_level():
        layer(torch.autograd.forward_ad.make_dual(x, torch.ones_like(x)))


@pytest.mark.parametrize(
    "differentiate",
    [
        lambda layer, x: torch.func.jvp(lambda x: layer(x)[0], (x,), (x,)),
        lambda layer, x: torch.func.jacfwd(lambda x: layer(x)[0])(x),
        dual,
    ],
    ids=["jvp", "jacfwd", "dual"],
)
def test_forward_mode_is_refused(differentiate: Callable[..., Any]) -> None:
    kernel, eager = pair("lstm")
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    with pytest.raises(NotImplementedError, match=FORWARD_MODE):
        differentiate(kernel, x)
    differentiate(eager, x)


def test_forward_mode_is_refused_because_pytorch_would_call_it_zero() -> None:
    layer, _ = pair("lstm")
    x, *rest = [each.detach() for each in given(layer)]
    with torch.autograd.forward_ad.dual_level():
        x = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        y = operators(layer.loaded).sequence(0, x, *rest)[0]
        assert torch.autograd.forward_ad.unpack_dual(y).tangent is None


def test_forward_mode_of_the_eager_backend_is_right() -> None:
    for cell in CELLS:
        _, eager = pair(cell, 2, 3)
        tensors = given(eager, rows=2, steps=3)
        assert torch.autograd.gradcheck(called(eager), tensors, check_forward_ad=True)


@pytest.mark.parametrize("transform", ["grad", "vjp", "jacrev"])
def test_transforms_of_torch_func_are_refused_with_a_way_out(transform: str) -> None:
    kernel, eager = pair("gru")
    x = torch.randn(5, 3, 4, dtype=torch.float64)

    def run(layer: Any) -> Any:
        function = getattr(torch.func, transform)
        arguments = (x,) if transform == "vjp" else ()
        found = function(lambda x: layer(x)[0].sum(), *arguments)
        return found if transform == "vjp" else found(x)

    with pytest.raises(NotImplementedError, match="use backend='eager'"):
        run(kernel)
    run(eager)


def test_outputs_that_were_moved_give_the_same_gradients() -> None:
    """Saved tensors may be packed away: what lay before an output in memory is then lost."""
    layer, _ = pair("lstm")
    x, *rest = given(layer)
    leaves = [x, *rest]

    def gradients() -> Any:
        return torch.autograd.grad(loss((called(layer)(*leaves)[0], ())), leaves, allow_unused=True)

    plain = gradients()
    room = torch.full((4096,), 7.0, dtype=torch.float64)

    def move(tensor: Any) -> Any:
        place = room.clone()[1024 : 1024 + tensor.numel()].view(tensor.shape)
        place.copy_(tensor)
        return place

    with torch.autograd.graph.saved_tensors_hooks(move, lambda tensor: tensor):
        moved = gradients()
    assert distance(moved, plain) == 0.0


def test_no_copies_are_made_of_contiguous_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, _ = pair("lstm")
    seen: dict[str, Any] = {}
    known = operators(layer.loaded)
    routines = known._kernels("float64", 0).routines
    whole = routines._call

    def call(direction: str, values: Any, plan: Any) -> None:
        seen.update(values)
        whole(direction, values, plan)

    monkeypatch.setattr(routines, "_call", call)
    # What is packed is copied: matrices are not what the routine is called with.
    tensors = [each.detach() for each in given(layer)]
    found = known.kept(0, *tensors)
    for name, tensor in zip(known.contract.dims, tensors, strict=True):
        if name not in (*known.contract.states, *known.contract.layout.matrices):
            assert seen[name].ctypes.data == tensor.data_ptr()
    assert found[0].data_ptr() == seen["h"][1:].ctypes.data
    assert found[known.contract.results].data_ptr() == seen[known.contract.kept[0]].ctypes.data


def wrong_calls() -> list[tuple[str, str, Callable[[list[Any]], None]]]:
    """Return an operator, what its refusal says, and a change of its arguments."""

    def resized(index: int, *shape: int) -> Callable[[list[Any]], None]:
        def change(arguments: list[Any]) -> None:
            arguments[index] = torch.zeros(shape, dtype=arguments[index].dtype)

        return change

    def single(arguments: list[Any]) -> None:
        arguments[3] = arguments[3].float()

    # Arguments of the forward: threads, x [5, 3, 4], h and c [3, 6], W_i [6, 4] and so on.
    forward = [
        ("`h` must have shape", resized(2, 2, 6)),
        ("`c` must have shape", resized(3, 3, 5)),
        ("`h` must have shape", resized(1, 5, 300, 4)),
        ("`x` must have shape", resized(1, 5, 3)),
        ("`W_i` must have shape", resized(4, 6, 3)),
        ("`U_i` must have shape", resized(8, 7, 6)),
        ("must have dtype float64", single),
    ]
    # Of the reverse: threads, whether inputs and states have gradients, three cotangents, those of
    # the forward, y, and what was kept.
    reverse = [
        ("cotangent 0 must have shape", resized(3, 5, 2, 6)),
        ("cotangent 2 must have shape", resized(5, 1, 6)),
        ("`h` must have shape", resized(6, 5, 300, 4)),
        ("kept array 0 must have shape", resized(21, 4, 3, 6)),
        ("kept array 1 must have shape", resized(22, 5, 3, 6)),
        ("kept array 2 must have shape", resized(23, 5, 2, 6)),
    ]
    found = [(kind, *each) for kind in ("sequence", "kept") for each in forward]
    return found + [("backward", *each) for each in reverse]


@pytest.mark.parametrize(
    ("kind", "says", "change"), wrong_calls(), ids=lambda each: each if type(each) is str else ""
)
def test_operators_refuse_what_does_not_fit(
    kind: str, says: str, change: Callable[[list[Any]], None]
) -> None:
    """Kernels index without bounds checks: no call may reach them, whatever was called before."""
    layer, _ = pair("lstm")
    known = operators(layer.loaded)
    arguments: list[Any] = [0, *(each.detach() for each in given(layer))]
    if kind == "backward":
        found = known.kept(*arguments)
        cotangents = [torch.randn_like(each) for each in found[: known.contract.results]]
        arguments[1:1] = [True, True, *cotangents]
        arguments += [found[0], *found[known.contract.results :]]
    operator = getattr(known, kind)
    expected = operator(*arguments)
    wrong = list(arguments)
    change(wrong)
    with pytest.raises(ArgumentError, match=says):
        operator(*wrong)
    assert distance(operator(*arguments), expected) == 0.0


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_inputs_that_nobody_wants_change_no_other(cell: str) -> None:
    for layer in pair(cell):
        x = torch.randn(5, 3, 4, dtype=torch.float64)
        parameters = [*layer.parameters()]
        found = torch.autograd.grad(loss(layer(x)), parameters)
        expected = torch.autograd.grad(loss(layer(x.clone().requires_grad_())), parameters)
        assert distance(found, expected) == 0.0
        twice = torch.autograd.grad(loss(layer(x)), parameters, create_graph=True)
        assert distance(twice, expected) < TOLERANCE
        assert any(each.requires_grad for each in twice)


def test_gradients_of_inputs_that_nobody_wants_are_not_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, _ = pair("lstm")
    asked: list[bool] = []
    routines = operators(layer.loaded)._kernels("float64", 0).routines
    whole = routines._call

    def call(direction: str, values: Any, plan: Any) -> None:
        asked.extend([values["inputs"]] if direction == "backward" else [])
        whole(direction, values, plan)

    monkeypatch.setattr(routines, "_call", call)
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    torch.autograd.backward(loss(layer(x)))
    torch.autograd.backward(loss(layer(x.requires_grad_())))
    assert asked == [False, True]


def test_outputs_changed_in_place_before_the_reverse_are_noticed() -> None:
    layer, _ = pair("gru")
    y, _ = layer(torch.randn(5, 3, 4, dtype=torch.float64))
    total = (y * 2.0).sum()
    y.detach().mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(total)


def test_weights_changed_in_place_before_the_reverse_are_noticed() -> None:
    layer, _ = pair("gru")
    total = loss(layer(torch.randn(5, 3, 4, dtype=torch.float64)))
    with torch.no_grad():
        next(layer.parameters()).mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(total)


def test_a_weight_that_has_got_another_shape_is_refused_by_the_reverse() -> None:
    layer, _ = pair("lstm")
    total = loss(layer(torch.randn(5, 3, 4, dtype=torch.float64)))
    weight = layer.l0["W_i"]
    weight.data = torch.zeros(6, 40, dtype=torch.float64)
    with pytest.raises(ArgumentError, match="`W_i` must have shape"):
        torch.autograd.backward(total)


@pytest.mark.parametrize("cell", CELLS)
def test_what_autograd_keeps_may_be_kept_elsewhere_and_read_twice(cell: str) -> None:
    layer, _ = pair(cell)
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    leaves = [x, *layer.parameters()]
    plain = loss(layer(x))
    expected = torch.autograd.grad(plain, leaves, retain_graph=True)
    assert distance(torch.autograd.grad(plain, leaves), expected) == 0.0
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t.clone()):
        moved = loss(layer(x))
    assert distance(torch.autograd.grad(moved, leaves), expected) == 0.0


def test_a_batch_of_another_size_after_the_first_has_its_own_sizes() -> None:
    layer, eager = pair("lstm")
    for rows, steps in ((3, 5), (40, 5), (3, 50), (1, 1), (3, 5)):
        x = torch.randn(steps, rows, 4, dtype=torch.float64, requires_grad=True)
        found, expected = layer(x), eager(x)
        assert distance(flat(found), flat(expected)) < TOLERANCE
        gradients = [torch.autograd.grad(loss(each), x) for each in (found, expected)]
        assert distance(*gradients) < TOLERANCE


def test_tensors_that_are_not_contiguous_are_read_as_they_are_meant() -> None:
    layer, _ = pair("lstm")
    known, plain = operators(layer.loaded), [each.detach() for each in given(layer)]
    odd = [torch.stack((each, each), -1)[..., 0] for each in plain]
    assert not any(each.is_contiguous() for each in odd if each.numel() > 1)
    assert distance(known.kept(0, *odd), known.kept(0, *plain)) == 0.0


def test_a_parametrized_weight_is_used_and_learns() -> None:
    Module: Any = torch.nn.Module

    class Doubled(Module):  # type: ignore[misc]
        def forward(self, weight: Any) -> Any:
            return 2.0 * weight

    layer, other = pair("gru")
    for each in (layer, other):
        torch.nn.utils.parametrize.register_parametrization(each.l0, "W_z", Doubled())
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    results = [each(x) for each in (layer, other)]
    assert distance(flat(results[0]), flat(results[1])) < TOLERANCE
    gradients = [
        torch.autograd.grad(loss(result), list(each.parameters()))
        for result, each in zip(results, (layer, other), strict=True)
    ]
    assert distance(*gradients) < TOLERANCE
    with torch.no_grad():
        torch.nn.utils.parametrize.remove_parametrizations(
            layer.l0, "W_z", leave_parametrized=False
        )
    assert distance(flat(layer(x)), flat(results[0])) > 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_the_short_way_to_an_operator_ends_where_the_dispatcher_leads(cell: str) -> None:
    layer, _ = pair(cell)
    known, tensors = operators(layer.loaded), given(layer)
    found = []
    for call in (known.sequence, known.sequence.overload):
        results = call(0, *tensors)
        total = sum(each.square().sum() for each in results)
        first = torch.autograd.grad(total, tensors, create_graph=True, allow_unused=True)
        further = sum(each.square().sum() for each in first if each is not None)
        found.append([*results, *first, *torch.autograd.grad(further, tensors, allow_unused=True)])
    assert distance(*found) == 0.0


def test_who_looks_on_sees_every_operator() -> None:
    modes: Any = importlib.import_module("torch.utils._python_dispatch")
    layer, _ = pair("lstm")
    known, tensors = operators(layer.loaded), given(layer)
    seen: list[Any] = []

    def look(self: Any, function: Any, types: Any, args: Any, kwargs: Any = None) -> Any:
        seen.append(function)
        return function(*args, **kwargs or {})

    functions = type("Look", (torch.overrides.TorchFunctionMode,), {"__torch_function__": look})
    with functions():
        called(layer)(*tensors)
    assert known.sequence.overload in seen
    seen.clear()
    dispatched = type("Look", (modes.TorchDispatchMode,), {"__torch_dispatch__": look})
    with dispatched():
        torch.autograd.grad(called(layer)(*tensors)[0].sum(), tensors[:1])
    assert {known.kept.overload, known.backward.overload} <= {*seen}


def test_a_tensor_of_another_kind_is_asked() -> None:
    layer, _ = pair("lstm")
    known, (x, *rest) = operators(layer.loaded), given(layer)
    asked: list[Any] = []

    def ask(cls: Any, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        asked.append(function)
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs or {})

    kind = type("Asking", (torch.Tensor,), {"__torch_function__": classmethod(ask)})
    found = known.sequence(0, x.detach().as_subclass(kind), *rest)
    assert known.sequence.overload in asked
    assert distance(found, known.sequence(0, x, *rest)) == 0.0


def test_a_view_of_the_opposite_sign_is_read_as_it_is_meant() -> None:
    layer, _ = pair("gru")
    tensors, known = [each.detach() for each in given(layer)], operators(layer.loaded)
    expected = known.sequence(0, *tensors)
    for k, each in enumerate(tensors):
        turned = torch._neg_view(-each)
        assert turned.is_neg()
        found = known.sequence(0, *tensors[:k], turned, *tensors[k + 1 :])
        assert all(map(torch.equal, found, expected))


def test_parameters_whose_memory_is_gone_or_is_another_now_are_refused() -> None:
    """Kernels read parameters by address: nothing may be read that is not there."""
    layer, _ = pair("lstm")
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    y, _ = layer(x)
    held = layer.l0["U_i"]
    whole = held.data
    held.data = whole.float()
    with pytest.raises(ArgumentError, match="must have dtype float64; got float32"):
        torch.autograd.backward(y.sum())
    held.data = whole
    held.untyped_storage().resize_(0)
    with pytest.raises(ArgumentError, match="the memory of a parameter has been freed"):
        layer(x)


def test_parameters_that_lie_at_odd_addresses_are_copied() -> None:
    layer, _ = pair("lstm")
    tensors, known = [each.detach() for each in given(layer)], operators(layer.loaded)
    whole = np.zeros(tensors[-1].numpy().nbytes + 1, np.uint8)
    odd = torch.from_numpy(np.frombuffer(whole.data, np.float64, offset=1))
    odd.copy_(tensors[-1])
    assert odd.data_ptr() % 8
    found = known.sequence(0, *tensors[:-1], odd)
    assert all(map(torch.equal, found, known.sequence(0, *tensors)))


@pytest.mark.parametrize("cell", ["lstm", "fast_grnn"])
def test_memory_of_parameters_may_be_freed_and_made_again(cell: str) -> None:
    # What FullyShardedDataParallel does between the two passes, and after them.
    layer, plain = pair(cell)
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    for each in (layer, plain):
        y, _ = each(x)
        for parameter in each.parameters():
            storage = parameter.untyped_storage()
            kept, size = parameter.detach().clone(), storage.size()
            storage.resize_(0)
            # Whoever still read the memory that was freed would read this.
            torch.full((size,), 7, dtype=torch.uint8)
            storage.resize_(size)
            with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(parameter):
                parameter.copy_(kept)
        backward(y.square().sum())
    found = [[each.grad for each in one.parameters()] for one in (layer, plain)]
    assert distance(*found) < TOLERANCE
