"""Small kernels as text, run in the emulator: what its tests are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cuda.emulator import Buffer, Machine
from gatewright.runtime.cuda.emulator_text import pausing
from gatewright.runtime.load import load_module

HEADER = """from numpy import float64 as real
from gatewright.runtime.cuda.emulated import *
LAYOUT = None
"""


def buffer(array: Any, width: int | None = None, pitch: int | None = None) -> Buffer:
    return Buffer(array, width or array.size, pitch or width or array.size)


def emulate(
    body: str,
    arguments: dict[str, Any],
    grid: int = 1,
    threads: int = 4,
    shared: int = 0,
    order: str = "random",
    seed: int = 0,
) -> None:
    """Run the function `kernel` of a text on arrays (as they are, or as Buffers) and numbers."""
    text, _ = pausing(HEADER + body)
    function = load_module(text, "cuda", "float32").namespace.kernel
    given = [
        buffer(value) if isinstance(value, np.ndarray) else value for value in arguments.values()
    ]
    machine = Machine((grid, 1), (threads, 1), shared, order, seed)
    machine.run(function, tuple(arguments), given)
