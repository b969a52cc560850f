"""A loss on any state at any step, and bounds on what steps hand back: as PyTorch has them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import gatewright
from gatewright.language import catalogue
from gatewright.loaded import LoadedCell
from gatewright.program.compile import compile_cell
from gatewright.program.options import ReverseOptions
from gatewright.runtime.validate import ArgumentError
from gatewright.verify.reference import ReferenceKernels

torch = pytest.importorskip("torch", reason="the truth is PyTorch's")

T, B, INPUT, HIDDEN = 6, 3, 4, 5
GATES = {"lstm": ("_i", "_f", "_g", "_o"), "gru_reset_after": ("_r", "_z", "_n")}
Arrays = dict[str, Any]


def problem(name: str, seed: int = 0) -> Any:
    """Return parameters, inputs, initial states and cotangents of everything, float64."""
    stream = np.random.default_rng(seed)
    loaded = gatewright.load(name)
    parameters = loaded.init(input=INPUT, hidden=HIDDEN, dtype="float64", seed=seed)
    states = [state.name for state in loaded.cell.states]
    initial = {each: stream.normal(size=(B, HIDDEN)) for each in states}
    x = stream.normal(size=(T, B, INPUT))
    ct_y = stream.normal(size=(T, B, HIDDEN))
    final = {each: stream.normal(size=(B, HIDDEN)) for each in states}
    cts = {each: stream.normal(size=(T, B, HIDDEN)) for each in states}
    return parameters, x, initial, ct_y, final, cts


def truth(name: str, given: Any, clip: float | None = None) -> Arrays:
    """Return gradients by PyTorch's own cells, a Python loop and autograd."""
    parameters, x, initial, ct_y, final, cts = given
    leaf = {n: torch.tensor(a, requires_grad=True) for n, a in parameters.items()}
    start = {n: torch.tensor(a, requires_grad=True) for n, a in initial.items()}
    inputs = torch.tensor(x, requires_grad=True)
    gates = GATES[name]
    W, U = (torch.cat([leaf[f"{kind}{gate}"] for gate in gates]) for kind in "WU")
    b = torch.cat([leaf[f"b{gate}"] for gate in gates])
    second = torch.zeros_like(b)
    if name != "lstm":
        second = torch.cat([second[: 2 * HIDDEN], leaf["b_hn"]])
    total, state = torch.zeros((), dtype=torch.float64), dict(start)
    for t in range(T):
        passed = {n: each * 1.0 for n, each in state.items()}
        for each in passed.values():
            if clip is not None:
                each.register_hook(lambda gradient: gradient.clamp(-clip, clip))
        if name == "lstm":
            h, c = torch._VF.lstm_cell(inputs[t], (passed["h"], passed["c"]), W, U, b, second)
            state = {"h": h, "c": c}
        else:
            state = {"h": torch._VF.gru_cell(inputs[t], passed["h"], W, U, b, second)}
        total = total + (state["h"] * torch.tensor(ct_y[t])).sum()
        for n, each in cts.items():
            total = total + (state[n] * torch.tensor(each[t])).sum()
    for n, each in final.items():
        total = total + (state[n] * torch.tensor(each)).sum()
    leaves = {"x": inputs, **start, **leaf}
    found = torch.autograd.grad(total, list(leaves.values()))
    return {n: each.numpy() for n, each in zip(leaves, found, strict=True)}


def ours(loaded: LoadedCell, given: Any, target: str, **options: Any) -> Arrays:
    parameters, x, initial, ct_y, final, cts = given
    kernels = loaded.compile(target, "float64")
    run = kernels.forward(parameters, x, initial, **options)
    found = kernels.backward(run, ct_y, final, cts)
    return {"x": found.x, **found.state, **found.parameters}


def apart(found: Arrays, expected: Arrays) -> float:
    assert set(found) == set(expected)
    return max(float(np.abs(found[n] - expected[n]).max()) for n in found)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_a_loss_on_every_state_of_every_step_has_the_gradients_of_pytorch(
    name: str, target: str
) -> None:
    given = problem(name)
    loaded = gatewright.load(name).with_reverse(every_state=True)
    assert apart(ours(loaded, given, target), truth(name, given)) < 1e-13


def test_in_pieces_too() -> None:
    given = problem("lstm")
    loaded = gatewright.load("lstm").with_reverse(every_state=True, clip=0.05)
    assert apart(ours(loaded, given, "cpu", checkpoint=4), truth("lstm", given, 0.05)) < 1e-13


# A bound stands in the text of a kernel: each is compiled anew.
CLIPPED = [(name, clip, "reference") for name in GATES for clip in (0.05, 0.5)]
CLIPPED += [("lstm", 0.05, "cpu"), ("gru_reset_after", 0.5, "cpu")]


@pytest.mark.parametrize(("name", "clip", "target"), CLIPPED)
def test_what_steps_hand_back_is_clipped_as_hooks_would(
    name: str, clip: float, target: str
) -> None:
    given = problem(name)
    loaded = gatewright.load(name).with_reverse(every_state=True, clip=clip)
    found, expected = ours(loaded, given, target), truth(name, given, clip)
    assert apart(found, expected) < 1e-13
    assert max(np.abs(found[state]).max() for state in ("h",)) <= clip
    # The bound was met: without it, the numbers are others.
    assert apart(expected, truth(name, given)) > 1e-2


@pytest.mark.parametrize("name", catalogue.names())
def test_a_bound_that_nothing_reaches_changes_nothing(name: str) -> None:
    cell = catalogue.load(name)
    kernels = [
        ReferenceKernels(compile_cell(cell, options))
        for options in (ReverseOptions(), ReverseOptions(every_state=True, clip=1e9))
    ]
    sizes = {dim: 3 + k for k, dim in enumerate(cell.dims)}
    loaded = LoadedCell(cell)
    parameters = loaded.init(dtype="float64", **sizes)
    stream = np.random.default_rng(1)
    inputs = {v.name: stream.normal(size=(T, B, sizes[v.dims[0]])) for v in cell.inputs}
    found = []
    for each in kernels:
        run = each.forward(parameters, inputs)
        found.append(each.backward(run, np.ones_like(run.y)))
    for n, array in found[0].parameters.items():
        np.testing.assert_allclose(found[1].parameters[n], array, atol=1e-13)


def test_without_every_state_only_the_output_takes_one() -> None:
    parameters, x, initial, ct_y, _, cts = problem("lstm")
    kernels = gatewright.load("lstm").compile("reference", "float64")
    run = kernels.forward(parameters, x, initial)
    both = kernels.backward(run, ct_y, None, {"h": cts["h"]})
    sum_of = kernels.backward(run, ct_y + cts["h"])
    np.testing.assert_array_equal(both.x, sum_of.x)
    with pytest.raises(ArgumentError, match="take no cotangent of `c` at every step: ask for"):
        kernels.backward(run, ct_y, None, cts)


def test_mistakes_get_a_sentence() -> None:
    parameters, x, initial, ct_y, _, cts = problem("lstm")
    kernels = gatewright.load("lstm").with_reverse(every_state=True).compile("reference", "float64")
    run = kernels.forward(parameters, x, initial)
    with pytest.raises(ArgumentError, match=r"`ct_states: c` must have shape \[6, 3, 5\]; got"):
        kernels.backward(run, ct_y, None, {"c": cts["c"][:2]})
    with pytest.raises(ArgumentError, match="ct_states have unknown `z`; this cell has `h`, `c`"):
        kernels.backward(run, ct_y, None, {"z": cts["c"]})
    for clip in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="`clip` must be a positive number; got"):
            gatewright.load("lstm").with_reverse(clip=clip)


EMULATED = """
import numpy as np
import gatewright

loaded = gatewright.load("lstm").with_reverse(every_state=True, clip=0.1)
parameters = loaded.init(input=3, hidden=5, dtype="float64")
stream = np.random.default_rng(0)
x, ct_y = stream.normal(size=(4, 2, 3)), stream.normal(size=(4, 2, 5))
cts = {name: stream.normal(size=(4, 2, 5)) for name in "hc"}
found = []
for target in ("reference", "cuda"):
    kernels = loaded.compile(target, "float64")
    found.append(kernels.backward(kernels.forward(parameters, x), ct_y, None, cts).parameters)
print(max(np.abs(found[0][name] - found[1][name]).max() for name in parameters))
"""


def test_the_cuda_target_takes_and_clips_the_same() -> None:
    environment = {**os.environ, "GATEWRIGHT_CUDA": "emulate"}
    command = [sys.executable, "-c", EMULATED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1e-14
