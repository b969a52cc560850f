"""Whole PyTorch models with our layers inside, written by PyTorch's own exporter to ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the bridge is to PyTorch")
onnxruntime = pytest.importorskip("onnxruntime", reason="it runs what was written")
pytest.importorskip("onnxscript", reason="PyTorch writes ONNX with it")

from torch import Tensor, nn  # noqa: E402

import gatewright.torch  # noqa: E402

# The exporter warns of its own and of packages that it does not find.
pytestmark = pytest.mark.filterwarnings("ignore")
TOLERANCE = 1e-5
CHARACTERS, EMBEDDED, HIDDEN = 11, 5, 6


class Model(nn.Module):
    """What a user has: something before the layer and something after it."""

    def __init__(self, cell: str, **options: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CHARACTERS, EMBEDDED)
        self.recurrent = gatewright.torch.layer(cell, EMBEDDED, HIDDEN, **options)
        self.readout = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        y, final = self.recurrent(self.embedding(x))
        return self.readout(y), final


def characters(*shape: int) -> Tensor:
    found: Tensor = torch.randint(CHARACTERS, shape)
    return found


def exported(model: Model, x: Tensor) -> Any:
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    return torch.onnx.export(model, (x,), dynamo=True, verbose=False, dynamic_shapes=(free,))


def agree(program: Any, model: Model, x: Tensor) -> None:
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    y, final = model(x)
    expected = [y, *(final if isinstance(final, tuple) else (final,))]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("cell", "backend"), [("lstm_peephole", "auto"), ("gru", "eager")])
def test_a_model_becomes_onnx_for_any_number_of_steps_and_rows(cell: str, backend: str) -> None:
    model = Model(cell, backend=backend).eval()
    model(characters(2, 2))
    program = exported(model, characters(5, 3))
    # The loop is a loop: no step of the five is written out.
    assert [node.op_type for node in program.model.graph].count("Scan") == 1
    assert len(program.model.graph) < 20
    for T, B in ((5, 3), (9, 2), (1, 1)):
        agree(program, model, characters(T, B))


def test_layers_with_everything_become_onnx() -> None:
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True, "proj_size": 4}
    more = {"zoneout": 0.2, "dropout": 0.1, "clip": 0.5, "learn_initial_state": True}
    model = Model("lstm", **options, **more).eval()
    model(characters(2, 2))
    with torch.no_grad():
        for each in model.recurrent.parameters():
            each.uniform_(-1.0, 1.0)
    program = exported(model, characters(3, 5))
    for B, T in ((3, 5), (2, 7)):
        agree(program, model, characters(B, T))
