"""Cell, way -> Finding: what PyTorch's users do with kernels on a GPU, held against float64.

The ways are gradients by autograd, `torch.compile` of the whole as one graph, `torch.vmap`, and on
a device also a layer of the cell and a CUDA graph that a caller records.

Why beside the checks of sequences: between a layer and its kernels are PyTorch's dispatcher, its
threads and its recording of graphs, of which an emulator shows little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gatewright.loaded import LoadedCell
from gatewright.runtime.cuda.tensors import torch
from gatewright.studies.cuda_check import Finding, Problem, Sizes, problem, reference, worst

TOLERANCE = 2e-5
SIZES = Sizes(5, 3, 64, 7)
# What is batched has twice as many rows.
ROWS = (SIZES, Sizes(5, 6, 64, 7))
# One stage and two, one operand and several, units apart.
CELLS = ("elman", "gru", "gru_reset_after", "lstm", "indrnn")
LAYER = "layer"
Results = tuple[Any, ...]
Run = Callable[[Sequence[Any]], Any]


def ways(cell: LoadedCell, emulated: bool) -> list[str]:
    """Return the ways of a cell: a layer has states and inputs of sizes of their own."""
    known = EMULATED_WAYS if emulated else WAYS
    (first,) = cell.cell.inputs[0].dims
    layered = "hidden" in cell.cell.dims and first != "hidden"
    return [way for way in known if layered or way != LAYER]


def layer_finding(cell: LoadedCell, sizes: Sizes, way: str, place: str) -> Finding:
    """Return how far a cell in one way is from what is wanted; an exception is a failure."""
    try:
        got = WAYS[way](cell, problem(cell, sizes), place)
    except Exception as error:  # one way that fails must not hide the others
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        return Finding(cell.cell.identifier, way, sizes, "fail", None, why, TOLERANCE, {})
    apart, where = worst({n: each for n, each in reference(cell, sizes).items() if n in got}, got)
    verdict = "pass" if apart <= TOLERANCE else "fail"
    return Finding(cell.cell.identifier, way, sizes, verdict, apart, where, TOLERANCE, {})


def _tensors(given: Problem, place: str) -> list[Any]:
    """Return inputs, states and parameters in single precision, all of them leaves."""
    arrays = (*given.inputs.values(), *given.state.values(), *given.parameters.values())
    return [_there(array, place).requires_grad_() for array in arrays]


def _there(array: Any, place: str) -> Any:
    return torch().from_numpy(array.astype("float32")).to(place)


def _sequence(cell: LoadedCell, first: Any) -> Run:
    from gatewright.bridges.torch.gpu import GpuSequences

    found: Run = GpuSequences(cell, False).sequence(first, False)
    return found


def _named(given: Problem, results: Any, leaves: Sequence[Any], place: str) -> dict[str, Any]:
    """Return outputs, final states and all gradients, by name."""
    y, final, _ = results
    cts = [given.ct_y, *given.ct_state.values()]
    gradients = torch().autograd.grad([y, *final], leaves, [_there(ct, place) for ct in cts])
    names = ["y", *given.state]
    names += [f"d_{name}" for name in (*given.inputs, *given.state, *given.parameters)]
    arrays = (each.detach().cpu().numpy() for each in (y, *final, *gradients))
    return dict(zip(names, arrays, strict=True))


def _autograd(cell: LoadedCell, given: Problem, place: str) -> dict[str, Any]:
    tensors = _tensors(given, place)
    return _named(given, _sequence(cell, tensors[0])(tensors), tensors, place)


def _compiled(cell: LoadedCell, given: Problem, place: str) -> dict[str, Any]:
    tensors = _tensors(given, place)
    sequence = _sequence(cell, tensors[0])
    run = torch().compile(
        lambda *given: sequence(given), fullgraph=True, backend="aot_eager", dynamic=False
    )
    return _named(given, run(*tensors), tensors, place)


def _batched(cell: LoadedCell, given: Problem, place: str) -> dict[str, Any]:
    """Run the same rows twice at once; what is returned is of the second time."""
    tensors = _tensors(given, place)
    sequence = _sequence(cell, tensors[0])
    count = len(given.inputs) + len(given.state)
    twice = [torch().stack((each.detach() * 0.5, each)) for each in tensors[:count]]
    run = torch().vmap(lambda *rows: sequence((*rows, *tensors[count:])))
    y, final, _ = run(*twice)
    return _named(given, (y[1], tuple(each[1] for each in final), ()), tensors, place)


def _layer(cell: LoadedCell, given: Problem, place: str) -> dict[str, Any]:
    from gatewright.bridges.torch.layer import layer

    H, width = given.ct_y.shape[-1], next(iter(given.inputs.values())).shape[-1]
    others = dict.fromkeys({*cell.cell.dims} - {*cell.cell.inputs[0].dims, "hidden"}, H)
    made = layer(cell, width, H, backend="kernel", device=place, sizes=others or None)
    tensors = _tensors(given, place)
    held = dict(made.named_cell_parameters())["l0"]
    with torch().no_grad():
        for name, tensor in zip(held, tensors[-len(held) :], strict=True):
            held[name].copy_(tensor)
    states = tuple(each[None] for each in tensors[len(given.inputs) : -len(held)])
    named = dict(zip(given.inputs, tensors, strict=False))
    x = named if len(named) > 1 else tensors[0]
    y, final = made(x, states if len(states) > 1 else states[0])
    last = tuple(each[0] for each in (final if isinstance(final, tuple) else (final,)))
    leaves = [*tensors[: -len(held)], *held.values()]
    return _named(given, (y, last, ()), leaves, place)


def _recorded(cell: LoadedCell, given: Problem, place: str) -> dict[str, Any]:
    """Record inference in a graph of the caller's, and replay it for other numbers."""
    tensors = [each.detach() for each in _tensors(given, place)]
    sequence, numbers = _sequence(cell, tensors[0]), tensors[0].clone()
    graph = torch().cuda.CUDAGraph()
    with torch().no_grad():
        tensors[0].zero_()
        sequence(tensors)
        torch().cuda.synchronize()
        with torch().cuda.graph(graph):
            y, final, _ = sequence(tensors)
        tensors[0].copy_(numbers)
        graph.replay()
    names = ("y", *given.state)
    return {n: each.cpu().numpy() for n, each in zip(names, (y, *final), strict=True)}


WAYS: dict[str, Callable[[LoadedCell, Problem, str], dict[str, Any]]] = {
    "autograd": _autograd,
    "torch.compile, one graph": _compiled,
    "torch.vmap": _batched,
    LAYER: _layer,
    "a caller's CUDA graph": _recorded,
}
# Where kernels are emulated, tensors of the CPU are those of the CPU's own kernels to a layer.
EMULATED_WAYS = ("autograd", "torch.compile, one graph", "torch.vmap")
