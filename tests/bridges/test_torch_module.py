"""A layer is a module like any other: copied, stored, trained, in autocast and on two ranks."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")

import gatewright.torch  # noqa: E402
from gatewright.resources import data_folder  # noqa: E402
from tests.bridges.cases import backward, distance, flat, loss, pair  # noqa: E402


def stored(layer: Any) -> Any:
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "torch.save": stored,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("backend", [0, 1], ids=["kernel", "eager"])
def test_a_copy_computes_the_same_and_is_its_own(how: str, backend: int) -> None:
    layer = pair("lstm_peephole", num_layers=2)[backend]
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    layer(x)
    other = COPIES[how](layer)
    assert distance(flat(other(x)), flat(layer(x))) == 0.0
    with torch.no_grad():
        other.l0["W_i"].zero_()
    assert layer.l0["W_i"].any()


def test_a_layer_is_stored_with_its_cell_and_not_the_path_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((data_folder("specs") / "gru.yaml").read_text())
    layer = gatewright.torch.layer(path, 4, 6)
    data = pickle.dumps(layer)
    path.unlink()
    x = torch.randn(5, 3, 4)
    assert torch.equal(pickle.loads(data)(x)[0], layer(x)[0])
    assert str(tmp_path).encode() not in data


def test_a_state_dict_has_the_names_of_the_spec() -> None:
    layer, other = (gatewright.torch.layer("gru", 4, 6, bidirectional=True) for _ in range(2))
    names = list(layer.state_dict())
    assert names[:3] == ["l0.W_r", "l0.W_z", "l0.W_n"]
    assert names[9] == "l0_reverse.W_r"
    other.load_state_dict(layer.state_dict())
    x = torch.randn(5, 3, 4)
    assert torch.equal(other(x)[0], layer(x)[0])


@pytest.mark.parametrize("backend", ["kernel", "eager"])
def test_autocast_lowers_nothing_in_a_recurrence(backend: str) -> None:
    layer = gatewright.torch.layer("lstm", 4, 6, backend=backend)
    dense = torch.nn.Linear(4, 4)
    x = torch.randn(5, 3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = dense(x)
        assert lowered.dtype == torch.bfloat16
        found = layer(lowered)
        assert found[0].dtype == torch.float32
        total = found[0].sum()
    backward(total)
    assert dense.weight.grad is not None
    assert distance(flat(found), flat(layer(lowered.float()))) == 0.0


def test_training_lowers_the_loss_and_uses_new_parameters() -> None:
    torch.manual_seed(0)
    layer = gatewright.torch.layer("ugrnn", 2, 8)
    head = torch.nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    x = torch.randn(12, 16, 2)
    target = x[..., :1].cumsum(0)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(head(layer(x)[0]), target)
        backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_outputs_stay_what_they_were() -> None:
    """The kernels use memory again: never that of a tensor somebody holds."""
    layer, _ = pair("lstm", 64, 64)
    x = torch.randn(20, 8, 64, dtype=torch.float64, requires_grad=True)
    y = layer(x)[0]
    kept = y.detach().clone()
    for _ in range(5):
        backward(loss(layer(torch.randn_like(x, requires_grad=True))))
    assert torch.equal(y, kept)


RANK = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
import gatewright.torch

rank, world, folder, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.manual_seed(0)
layer = gatewright.torch.layer("lstm_peephole", 3, 5, num_layers=2, dtype=torch.float64, threads=1)
model = layer
if world > 1:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world
    )
    if how == "copied":
        model = DistributedDataParallel(layer)
    else:
        from torch.distributed.fsdp import fully_shard
        fully_shard(layer)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
x = torch.randn(4, 6, 8, 3, dtype=torch.float64)
share = 8 // world
for batch in x:
    optimizer.zero_grad()
    part = batch[:, rank * share : (rank + 1) * share]
    model(part)[0].square().mean().backward()
    optimizer.step()
state = layer.state_dict()
if world > 1 and how == "sharded":
    state = {name: each.full_tensor() for name, each in state.items()}
if rank == 0:
    torch.save(state, f"{folder}/world{world}.pt")
if world > 1:
    dist.destroy_process_group()
"""


@pytest.mark.parametrize("parameters", ["copied", "sharded"])
def test_two_ranks_are_one_process(parameters: str, tmp_path: Path) -> None:
    if not torch.distributed.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    script = tmp_path / "rank.py"
    script.write_text(RANK)

    def start(rank: int, world: int) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(rank), str(world), str(tmp_path), parameters]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    # What the first compiles the others find.
    for world in (1, 2):
        for process in [start(rank, world) for rank in range(world)]:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
    alone, together = (torch.load(tmp_path / f"world{world}.pt") for world in (1, 2))
    torch.manual_seed(0)
    untrained = gatewright.torch.layer("lstm_peephole", 3, 5, num_layers=2, dtype=torch.float64)
    before = untrained.state_dict()
    assert distance(list(together.values()), list(alone.values())) < 1e-12
    assert distance(list(alone.values()), list(before.values())) > 1e-6
