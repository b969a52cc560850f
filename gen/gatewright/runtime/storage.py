"""Layout, sizes -> the arrays of one direction: their shapes, and the work that fills them.

Why worked out once per size and remembered: a step of a small cell takes a microsecond, and so does
every look at a dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from gatewright.runtime.engine import Work
from gatewright.runtime.layout import Layout

Shapes = dict[str, tuple[int, ...]]
FORWARD, BACKWARD = "forward", "backward"
# What a run hands on, to the caller or to the reverse; the rest is free once a direction has run.
_LASTING, _SAVED = {"time", "carried", "gradient"}, {"saved", "stepped"}


@dataclass(frozen=True)
class Storage:
    """The shapes of what lasts after a direction has run, and of what does not."""

    lasting: Shapes
    passing: Shapes


def work(layout: Layout, direction: str, sizes: Mapping[str, int], kept: bool, size: int) -> Work:
    """Return the work of one direction, for numbers of `size` bytes."""
    products = layout.products[direction]
    numbers = {
        name: prod(sizes[dim] for dim in layout.parameters[name]) for name in layout.matrices
    }
    stepped = sum(numbers[name] for stage in products for name in stage)
    arrays = layout.forward if direction == FORWARD else layout.reverse
    places = ("chunk",) if kept or direction == BACKWARD else ("chunk", "saved")
    return Work(
        T=sizes["T"],
        B=sizes["B"],
        units=max(sizes[dim] for dims in layout.states.values() for dim in dims),
        stepped=stepped,
        at_once=(1 if direction == FORWARD else 2) * sum(numbers.values()) - stepped,
        barriers=len(products),
        width=sum(
            sizes[dim] for place, *dims in arrays.values() if place in places for dim in dims
        ),
        itemsize=size,
    )


def storage(
    layout: Layout, direction: str, sizes: Mapping[str, int], kept: bool, chunk: int
) -> Storage:
    """Return the shapes of all arrays of one direction but those that the caller gives."""
    T, B = sizes["T"], sizes["B"]
    slabs = {"time": T, "chunk": chunk, "carried": T + 1, "turns": 2}
    slabs |= {"saved": T if kept else chunk, "stepped": T if kept else 1}
    arrays = dict(layout.forward)
    if direction == BACKWARD:
        arrays = {n: at for n, at in layout.reverse.items() if n not in layout.forward}
    lasting: Shapes = {}
    passing: Shapes = {}
    for name, (place, *dims) in arrays.items():
        if name in layout.inputs or name in layout.cotangents:
            continue
        rows = (slabs[place], B) if place in slabs else (B,) if place == "scratch" else ()
        stays = place in _LASTING or (place in _SAVED and kept)
        (lasting if stays else passing)[name] = (*rows, *(sizes[dim] for dim in dims))
    return Storage(lasting, passing)
