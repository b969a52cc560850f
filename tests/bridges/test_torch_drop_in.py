"""A layer in the place of an `nn.LSTM`: what code and checkpoints written for that do to it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

from torch.nn.utils import parametrizations, prune  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import gatewright.torch  # noqa: E402
from gatewright.runtime.validate import ArgumentError  # noqa: E402
from tests.bridges.cases import backward, distance, flat, pair  # noqa: E402
from tests.bridges.test_torch_layer import LIBRARY, both  # noqa: E402

TOLERANCE = 1e-11
Module: Any = torch.nn.Module


def draw(*shape: int) -> Any:
    return torch.randn(*shape, dtype=torch.float64)


class Model(Module):  # type: ignore[misc]
    """A model of somebody's, around one recurrent layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.encoder = layer
        self.head = torch.nn.Linear(6, 2, dtype=torch.float64)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(input=x)[0])


# Checkpoints.


@pytest.mark.parametrize("cell", LIBRARY)
@pytest.mark.parametrize("assign", [False, True])
def test_the_checkpoint_of_a_model_loads_with_our_layer_in_it(cell: str, assign: bool) -> None:
    theirs = Model(LIBRARY[cell](4, 6, num_layers=2, dtype=torch.float64))
    place: dict[str, Any] = {"device": "meta"} if assign else {}
    ours = Model(gatewright.torch.layer(cell, 4, 6, num_layers=2, dtype=torch.float64, **place))
    before = dict(theirs.state_dict())
    found = ours.load_state_dict(before, assign=assign)
    assert not found.missing_keys and not found.unexpected_keys
    assert before.keys() == theirs.state_dict().keys()
    x = draw(5, 3, 4)
    assert distance([ours(x)], [theirs(x)]) < TOLERANCE
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        other = Model(LIBRARY[cell](4, 6, num_layers=2, dtype=torch.float64))
        copied.load_state_dict(other.state_dict())
        assert distance([copied(x)], [other(x)]) < TOLERANCE
    assert distance([ours(x)], [theirs(x)]) < TOLERANCE
    # What is loaded is no part of a larger tensor, which would be stored with it.
    sizes = [each.untyped_storage().nbytes() for each in ours.encoder.parameters()]
    assert sizes == [8 * each.numel() for each in ours.encoder.parameters()]


@pytest.mark.parametrize(
    ("cell", "theirs", "sentence"),
    [
        ("gru", torch.nn.GRU(4, 6), r"encoder: `gru` is none of nn.*nn\.GRU is `gru_reset_after`"),
        ("lstm", torch.nn.LSTM(4, 6, 2), "encoder: the state_dict has unknown bias_hh_l1"),
        ("lstm", torch.nn.LSTM(4, 7), r"encoder: `weight_ih_l0` must have shape \[24, 4\]; got"),
        ("lstm", torch.nn.GRU(4, 6), r"encoder: `weight_ih_l0` must have shape \[24, 4\]; got"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_checkpoint_of_another_layer_is_an_error_and_changes_nothing(
    cell: str, theirs: Any, sentence: str, strict: bool
) -> None:
    model = Model(gatewright.torch.layer(cell, 4, 6, dtype=torch.float64))
    before = copy.deepcopy(model.encoder.state_dict())
    with pytest.raises(RuntimeError, match=sentence):
        model.load_state_dict(Model(theirs).state_dict(), strict=strict)
    assert all(torch.equal(each, before[n]) for n, each in model.encoder.state_dict().items())


# Names and numbers that others touch.


def test_the_surface_has_the_names_of_an_lstm() -> None:
    ours, theirs = both("lstm", num_layers=2, bidirectional=True)
    x = draw(5, 3, 4)
    assert distance(flat(ours(input=x, hx=None)), flat(theirs(input=x, hx=None))) < TOLERANCE
    assert len(ours.all_weights) == len(theirs.all_weights) == 4
    assert ours.all_weights[1][0] is ours.l0_reverse["W_i"]
    plain = {n for n in dir(theirs) if not n.startswith("_")} - set(theirs.state_dict())
    missing = {n for n in plain if not hasattr(ours, n)}
    # How PyTorch checks its arguments and looks its weights up is its own affair.
    assert missing == {
        *("check_forward_args", "check_hidden_size", "check_input"),
        *("get_expected_cell_size", "get_expected_hidden_size", "mode", "permute_hidden"),
    }


def test_dropout_that_drops_nothing_is_warned_of_as_pytorch_does() -> None:
    for make in (gatewright.torch.layer, gatewright.layer):
        with pytest.warns(UserWarning, match="dropout is between layers, and this is one") as seen:
            make("lstm", 4, 6, dropout=0.5)
        assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gatewright.torch.layer("lstm", 4, 6, 2, dropout=0.5)


# Parameters that are made elsewhere, frozen or computed.


def test_a_layer_made_without_memory_gets_it_and_new_numbers() -> None:
    with torch.device("meta"):
        layer = gatewright.torch.layer("lstm", 4, 6, learn_initial_state=True)
    layer.to_empty(device="cpu")
    with torch.no_grad():
        for each in layer.parameters():
            each.fill_(float("nan"))
    layer.reset_parameters()
    bound = 1 / 6**0.5
    for name, each in layer.named_parameters():
        assert not each.any() if name.startswith("initial") else 0 < each.abs().max() <= bound
    assert layer(torch.zeros(5, 3, 4))[0].isfinite().all()


def test_only_what_is_not_frozen_gets_gradients() -> None:
    ours, theirs = both("lstm", num_layers=2)
    for each in ours.l0.parameters():
        each.requires_grad_(False)
    ours.l1["U_f"].requires_grad_(False)
    x = draw(5, 3, 4)
    for layer in (ours, theirs):
        backward(layer(x)[0].sum())
    learned = {name for name, each in ours.named_parameters() if each.grad is not None}
    assert learned == {f"l1.{n}" for n in ours.l1} - {"l1.U_f"}
    assert distance([ours.l1["U_i"].grad], [theirs.weight_hh_l1.grad[:6]]) < TOLERANCE
    ours.requires_grad_(False)
    assert not ours(x)[0].requires_grad


def pruned(layer: Any) -> tuple[Any, Any]:
    cut: Any = prune.l1_unstructured
    cut(layer.l0, "U_f", 0.5)
    return layer.l0.U_f_orig, lambda: layer.l0.U_f_orig * layer.l0.U_f_mask


def normed(layer: Any) -> tuple[Any, Any]:
    # The older norm, which PyTorch has come to warn of.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nn.utils.weight_norm(layer.l0, "U_f")
    g, v = layer.l0.U_f_g, layer.l0.U_f_v
    return v, lambda: g * v / v.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("change", [pruned, normed])
def test_a_weight_that_is_computed_before_each_call_is_computed_anew(change: Any) -> None:
    layer, plain = pair("lstm")
    source, computed = change(layer)
    for _ in range(2):
        with torch.no_grad():
            source.add_(draw(6, 6))
            plain.l0["U_f"].copy_(computed())
        x = draw(5, 3, 4)
        y = layer(x)[0]
        assert distance([y], [plain(x)[0]]) < TOLERANCE
        (found,) = torch.autograd.grad(y.sum(), source)
        assert found.any()
    with torch.no_grad():
        source.add_(draw(6, 6))
    saved = layer.torch_state_dict()["weight_hh_l0"][6:12]
    assert distance([saved], [computed()]) < TOLERANCE
    with pytest.raises(ArgumentError, match=r"`l0\.U_f` is computed from other parameters"):
        layer.load_torch_state_dict(torch.nn.LSTM(4, 6).state_dict())


def test_weights_of_pytorch_reach_a_parametrized_weight() -> None:
    ours, theirs = both("lstm")
    parametrizations.weight_norm(ours.l0, "U_f")
    assert distance(flat(ours(x := draw(5, 3, 4))), flat(theirs(x))) < TOLERANCE
    norms = ours.l0.parametrizations.U_f.original0.clone()
    ours.reset_parameters()
    assert distance([ours.l0.parametrizations.U_f.original0], [norms]) > 1e-3
    assert distance(flat(ours(x)), flat(theirs(x))) > 1e-3
    ours.load_torch_state_dict(theirs.state_dict())
    assert distance(flat(ours(x)), flat(theirs(x))) < TOLERANCE


def test_weights_of_another_precision_reach_a_parametrized_weight() -> None:
    ours = gatewright.torch.layer("lstm", 4, 6, dtype=torch.float64)
    held: Any = ours.l0
    parametrizations.weight_norm(held, "U_f")
    theirs = torch.nn.LSTM(4, 6)
    ours.load_torch_state_dict(theirs.state_dict())
    found = ours.torch_state_dict()["weight_hh_l0"]
    assert found.dtype == torch.float64
    assert distance([found], [theirs.weight_hh_l0.double()]) < TOLERANCE


def test_who_reads_weights_does_not_advance_a_norm() -> None:
    layer = gatewright.torch.layer("lstm", 4, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nn.utils.spectral_norm(layer.l0, "U_f")
    held: Any = layer.l0
    before = held.U_f_u.clone()
    layer.torch_state_dict()
    assert layer.all_weights
    assert torch.equal(held.U_f_u, before)
    assert held.training
    layer(draw(5, 3, 4).float())
    assert not torch.equal(held.U_f_u, before)


# Gradients under the hands of others.


def changed(what: str, layer: Any) -> Any:
    """Run a layer, change something in place, and run backward."""
    x, h, c = draw(5, 3, 4).requires_grad_() * 1.0, draw(1, 3, 6), draw(1, 3, 6)
    y, final = layer(x, (h, c))
    with torch.no_grad():
        {
            "x": x,
            "y": y,
            "h": h,
            "U_f": layer.l0["U_f"],
            "final": final[0],
        }[what].add_(1.0)
    backward(y.sum())


@pytest.mark.parametrize("what", ["x", "y", "h", "U_f"])
def test_what_the_gradient_reads_may_not_be_changed_before_it(what: str) -> None:
    with pytest.raises(RuntimeError, match=r"modified (by an )?inplace"):
        changed(what, pair("lstm")[0])


def test_final_states_may_be_changed_and_outputs_not_even_by_autograd() -> None:
    layer, _ = pair("lstm")
    changed("final", layer)
    # As an `nn.LSTM` in single precision, which says so in `backward`.
    y = layer(draw(5, 3, 4))[0]
    with pytest.raises(RuntimeError, match="replace the inplace operation by an out-of-place one"):
        y += 1.0
    with torch.no_grad():
        y = layer(draw(5, 3, 4))[0]
        y += 1.0


def test_outputs_changed_in_place_before_the_loss_have_right_gradients() -> None:
    found = []
    for layer in both("lstm"):
        torch.manual_seed(0)
        x = draw(5, 3, 4).requires_grad_()
        _, (h, c) = layer(x)
        h.mul_(2.0)
        c.tanh_()
        found.append(torch.autograd.grad((h * c).sum(), x))
    assert distance(*found) < TOLERANCE


def test_backward_twice_needs_the_graph_to_be_retained() -> None:
    layer, _ = pair("gru")
    x = draw(5, 3, 4).requires_grad_()
    total = layer(x)[0].square().sum()
    first = torch.autograd.grad(total, x, retain_graph=True)
    assert distance(torch.autograd.grad(total, x), first) == 0.0
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, x)


def gradient(layer: Any, x: Any, run: Any = None) -> Any:
    leaf = x.clone().requires_grad_()
    backward((run or layer)(leaf)[0].square().sum())
    return leaf.grad


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_layer_that_is_run_again_for_its_gradient_has_the_same(reentrant: bool) -> None:
    ours, theirs = both("lstm")
    x = draw(5, 3, 4)
    again = gradient(ours, x, lambda leaf: checkpoint(ours, leaf, use_reentrant=reentrant))
    assert distance([again], [gradient(theirs, x)]) < TOLERANCE


def test_hooks_on_the_module_see_its_outputs_and_gradients() -> None:
    ours, theirs = both("lstm")
    x, seen = draw(5, 3, 4), []
    for layer in (ours, theirs):
        layer.register_full_backward_hook(lambda module, inner, outer: seen.append(inner[0]))
        seen.append(gradient(layer, x))
    assert distance(seen[:2], seen[2:]) < TOLERANCE


def test_threads_of_the_caller_do_not_meet() -> None:
    ours, theirs = both("lstm")
    xs = [draw(5, rows, 4) for rows in (3, 1, 8, 3)]
    found: dict[int, Any] = {}

    def run(k: int) -> None:
        for _ in range(20):
            found[k] = gradient(ours, xs[k])

    jobs = [threading.Thread(target=run, args=(k,)) for k in range(len(xs))]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    for k, x in enumerate(xs):
        assert distance([found[k]], [gradient(theirs, x)]) < TOLERANCE


# Modes.


def test_inference_mode_leaves_nothing_behind_in_a_stateful_layer() -> None:
    layer, plain = pair("lstm", stateful=True)[0], pair("lstm")[0]
    plain.load_state_dict(layer.state_dict())
    x = draw(4, 3, 4)
    with torch.inference_mode():
        _, final = layer(x[:2])
        for each in final:
            each.zero_()
    y = layer(x[2:])[0]
    assert distance([y], [plain(x)[0][2:]]) < TOLERANCE
    backward(y.sum())
    assert layer.l0["W_i"].grad.any()


def test_a_stateful_layer_keeps_nothing_of_a_transform() -> None:
    layer, _ = pair("lstm", stateful=True)
    x = draw(2, 5, 3, 4)
    with pytest.raises(NotImplementedError, match="a stateful layer cannot keep its states inside"):
        torch.vmap(lambda each: layer(each)[0])(x)
    assert layer(x[0])[0].isfinite().all()


def test_lengths_may_be_anything_that_counts_and_nothing_else() -> None:
    layer, _ = pair("lstm")
    x = draw(5, 3, 4)
    expected = flat(layer(x, lengths=[2, 5, 1]))
    for lengths in (torch.tensor([2, 5, 1]), torch.tensor([2, 5, 1], dtype=torch.int32)):
        assert distance(flat(layer(x, lengths=lengths)), expected) == 0.0
    for lengths in ([True, True, True], [1.0, 2.0, 3.0], [[1], [2, 3], [4]], "abc", [[1, 2, 3]]):
        with pytest.raises(ArgumentError, match="`lengths` must be 3 whole numbers"):
            layer(x, lengths=lengths)
    with pytest.raises(ArgumentError, match="x has no time steps"):
        layer(x[:0], lengths=[0, 0, 0])
    y, (h, _) = layer(x[:, :0], lengths=[])
    assert (y.shape, h.shape) == ((5, 0, 6), (1, 0, 6))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_an_exported_layer_takes_other_sizes() -> None:
    layer, _ = pair("lstm", num_layers=2, bidirectional=True)
    auto = torch.export.Dim.AUTO
    exported = torch.export.export(
        layer, (draw(5, 3, 4),), dynamic_shapes={"input": {0: auto, 1: auto}}, strict=False
    )
    for steps, rows in ((5, 3), (7, 2)):
        x = draw(steps, rows, 4)
        assert distance(flat(exported.module()(x)), flat(layer(x))) < TOLERANCE


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_stateful_layer_that_is_run_again_is_refused_and_not_differentiated_elsewhere(
    reentrant: bool,
) -> None:
    layer, _ = pair("lstm", stateful=True)
    x = draw(2, 3, 4)
    leaf = x.clone().requires_grad_()
    y = checkpoint(lambda x: layer(x)[0], leaf, use_reentrant=reentrant)
    with pytest.raises(NotImplementedError, match="cannot be run again in a backward pass"):
        backward(y.sum())
    # Beginning with states that are given, it is not the layer that remembers.
    plain, _ = pair("lstm")
    state = (draw(1, 3, 6), draw(1, 3, 6))
    again = gradient(plain, x, lambda leaf: checkpoint(plain, leaf, state, use_reentrant=reentrant))
    assert distance([again], [gradient(plain, x, lambda leaf: plain(leaf, state))]) < TOLERANCE


def test_arguments_may_be_given_by_position_to_the_last() -> None:
    arguments = (4, 6, 2, False, True, 0.5, True, 3, "cpu", torch.float64)
    ours, theirs = gatewright.torch.layer("lstm", *arguments), torch.nn.LSTM(*arguments)
    ours.load_torch_state_dict(theirs.state_dict())
    x = draw(3, 5, 4)
    assert distance(flat(ours.eval()(x)), flat(theirs.eval()(x))) < TOLERANCE


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_model_with_a_layer_inside_is_refused_by_torchscript_with_a_way_out() -> None:
    model = Model(pair("lstm")[0])
    with pytest.raises(NotImplementedError, match="TorchScript cannot express a layer"):
        torch.jit.script(model)
    assert model(draw(5, 3, 4)).isfinite().all()


LOADED = """
import sys, torch, gatewright.torch
path, cell = sys.argv[1:]
if cell:
    gatewright.torch.layer(cell, 1, 1)
program = torch.export.load(path).module()
print(program(torch.ones(5, 3, 4, dtype=torch.float64))[0].sum().item())
"""


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_another_process_runs_an_exported_layer_once_it_knows_the_cell(tmp_path: Any) -> None:
    layer, _ = pair("gru", num_layers=2)
    path = tmp_path / "layer.pt2"
    x = torch.ones(5, 3, 4, dtype=torch.float64)
    torch.export.save(torch.export.export(layer, (x,)), path)

    def load(cell: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LOADED, str(path), cell]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert load("").returncode != 0
    known = load("gru")
    assert known.returncode == 0, known.stderr
    assert abs(float(known.stdout) - layer(x)[0].sum().item()) < TOLERANCE
