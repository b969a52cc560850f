"""Run by test_cuda_device.py in a process of its own: prints the worst errors of cells as JSON.

Arguments are names of cells. Every new array starts as NaN, so a result that a kernel forgets to
write cannot pass.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gatewright.loaded import LoadedCell, load
from gatewright.runtime.cuda import DeviceMemory, device, rows
from gatewright.runtime.cuda import exp as cuda_exp
from gatewright.runtime.cuda import products as cuda_products
from gatewright.runtime.cuda.availability import cuda
from gatewright.runtime.cuda.report import why_no_report
from gatewright.runtime.kernels import Gradients, HostMemory, Kernels, Run
from gatewright.runtime.load import load_module
from gatewright.verify import plain as plain_products
from gatewright.verify.plain import interpreted

# T, B, hidden, input. A simulated grid visits at most eight units at once, or eight rows of one
# unit; nine of either make its loops stride.
SIZES = (
    (3, 2, 3, 5),
    (1, 1, 1, 1),
    (2, 3, 9, 4),
    (2, 9, 1, 2),
    (3, 0, 3, 5),
    (0, 2, 3, 5),
)


def main(names: list[str]) -> None:
    found: dict[str, Any] = {name: dict(cell_errors(name)) for name in names}
    found["products"] = product_errors()
    found["overflow"] = overflow()
    found["no report"] = why_no_report()
    found["implementation"] = getattr(cuda, "implementation", "built-in")
    print(json.dumps(found))


def cell_errors(name: str) -> Iterator[tuple[str, float]]:
    cell = load(name)
    for dtype in ("float64", "float32"):
        plain = cell.source("cpu")
        if os.environ.get("NUMBA_DISABLE_JIT") == "1":
            plain = interpreted(plain)
        cpu = Kernels(load_module(plain, "cpu", dtype), HostMemory(np.nan))
        text = cell.source("cuda")
        gpu = Kernels(load_module(text, "cuda", dtype), DeviceMemory(np.nan))
        for sizes in SIZES if dtype == "float64" else SIZES[:1]:
            yield f"{dtype} {sizes}", worst(cell, cpu, gpu, sizes, dtype)


def worst(
    cell: LoadedCell, cpu: Kernels, gpu: Kernels, sizes: tuple[int, int, int, int], dtype: str
) -> float:
    T, B, H, I = sizes  # noqa: E741
    known = {"hidden": H, "input": I}
    rng = np.random.default_rng(sizes)

    def normal(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    parameters = cell.init(hidden=H, input=I, dtype=dtype)
    x = normal(T, B, I)
    state = {n: normal(B, *(known[d] for d in dims)) for n, dims in cpu.layout.states.items()}
    runs = [kernels.forward(parameters, x, state) for kernels in (cpu, gpu)]
    ct_y = normal(*runs[0].y.shape)
    ct_state = {n: normal(*array.shape) for n, array in state.items()}
    both = zip((cpu, gpu), runs, strict=True)
    gradients = [kernels.backward(run, ct_y, ct_state) for kernels, run in both]
    wanted, got = (named(*pair) for pair in zip(runs, gradients, strict=True))
    assert wanted.keys() == got.keys()
    return max(error(wanted[n], got[n]) for n in wanted)


def named(run: Run, gradients: Gradients) -> dict[str, Any]:
    groups: dict[str, Mapping[str, Any]] = {
        "state": run.state,
        "states": run.states,
        "d_state": gradients.state,
        "d_parameters": gradients.parameters,
    }
    flat = {
        f"{group} {n}": array for group, arrays in groups.items() for n, array in arrays.items()
    }
    return {**flat, "y": run.y, "d_x": gradients.x}


def error(wanted: Any, got: Any) -> float:
    """Return the largest difference relative to the scale; NaN if anything is not finite."""
    assert (wanted.shape, wanted.dtype) == (got.shape, got.dtype)
    scale = float(np.abs(wanted).max(initial=0)) or 1.0
    difference = float(np.abs(wanted - got).max(initial=0)) / scale
    return difference if np.isfinite(wanted).all() and np.isfinite(got).all() else float("inf")


def product_errors() -> dict[str, float]:
    """Compare every product with NumPy's."""
    memory, found = DeviceMemory(), {}
    for count in (0, 5):
        for name in ("product", "product_transposed", "outer", "outer and more"):
            wanted, given = product_arguments(name, count), product_arguments(name, count)
            got = [
                tuple(map(memory.upload, item)) if isinstance(item, tuple) else memory.upload(item)
                for item in given
            ]
            routine, _, more = name.partition(" and ")
            flags = (bool(more),) if routine == "outer" else ()
            getattr(plain_products, routine)((), *flags, *wanted)
            getattr(cuda_products, routine)(*flags, *got)
            targets = (each if isinstance(each, tuple) else (each,) for each in (wanted[2], got[2]))
            pairs = zip(*targets, strict=True)
            found[f"{name} of {count} rows"] = max(error(a, memory.download(b)) for a, b in pairs)
    return found


def product_arguments(name: str, count: int) -> tuple[Any, Any, Any]:
    """Return new arguments, targets full of NaN where they must not be read."""
    rng = np.random.default_rng(3)
    h, d, e = (rng.standard_normal((count, size)) for size in (3, 9, 9))
    u, v = (rng.standard_normal((9, 3)) for _ in range(2))

    def gaps(*shape: int) -> Any:
        return np.full(shape, np.nan)

    match name:
        case "product":
            return h, (u, v), (gaps(count, 9), gaps(count, 9))
        case "product_transposed":
            return (d, e), (u, v), gaps(count, 3)
        case "outer":
            return (d, e), h, (gaps(9, 3), gaps(9, 3))
        case _:
            return (d, e), h, (u, v)


def overflow() -> list[float]:
    """Return 1 / (1 + exp(-x)) where exp overflows: a device gives 0 without a word."""
    memory = DeviceMemory(np.nan)
    x, y = (
        memory.upload(np.array([[-1000.0, 1000.0]])),
        memory.arrays({"y": (1, 2)}, "float64")["y"],
    )

    @device
    def sigmoid(value: Any) -> Any:
        return 1 / (1 + cuda_exp(-value))

    @rows
    def kernel(x: Any, y: Any) -> None:
        for unit in range(y.shape[1]):
            y[0, unit] = sigmoid(x[0, unit])

    kernel(x, y)
    return [float(value) for value in memory.download(y)[0]]


if __name__ == "__main__":
    main(sys.argv[1:])
