"""Layout, shapes -> sizes: whether what a cell is given fits together, from shapes alone.

Why on shapes and not on arrays: whether a call fits depends on nothing else, so a bridge whose
calls repeat can remember the answer by the shapes themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatewright.runtime.layout import Layout
from gatewright.runtime.validate import LARGEST, ArgumentError

Shape = Sequence[int]


def checked_sizes(layout: Layout, shapes: Sequence[Shape]) -> dict[str, int]:
    """Return the sizes of T, B and every dimension.

    `shapes` are those of inputs [T, B, dim], initial states [B, dim] and parameters, in the
    layout's order. Raises ArgumentError for one that does not fit the others.
    """
    wanted = {
        **{name: ("T", "B", *dims) for name, dims in layout.inputs.items()},
        **{name: ("B", *dims) for name, dims in layout.states.items()},
        **layout.parameters,
    }
    sizes: dict[str, int] = {}
    for (name, dims), shape in zip(wanted.items(), shapes, strict=True):
        expected = tuple(sizes.get(dim, dim) for dim in dims)
        if len(shape) != len(dims) or any(
            got != size for got, size in zip(shape, expected, strict=True) if isinstance(size, int)
        ):
            text = ", ".join(map(str, expected))
            raise ArgumentError(f"`{name}` must have shape [{text}]; got {list(shape)}")
        for dim, size in zip(dims, shape, strict=True):
            if sizes.setdefault(dim, int(size)) != size:
                raise ArgumentError(f"`{name}` has two sizes of `{dim}`: {list(shape)}")
    for name, dims in layout.parameters.items():
        for dim in dims:
            if not sizes[dim]:
                raise ArgumentError(f"`{name}` is empty: `{dim}` must be at least 1")
    check_reach(layout, sizes)
    return sizes


def check_reach(layout: Layout, sizes: Mapping[str, int]) -> None:
    """Refuse sizes whose arrays a 32-bit index could not reach. Raises ArgumentError."""
    widest = max(sizes[dim] for dim in layout.dims)
    rows = (sizes["T"] + 1) * sizes["B"]
    if rows * widest > LARGEST:
        raise ArgumentError(f"(T + 1) * B * {widest} must be below 2**31; got {rows * widest}")
    for name, dims in layout.parameters.items():
        size = 1
        for dim in dims:
            size *= sizes[dim]
        if size > LARGEST:
            raise ArgumentError(f"`{name}` has {size} elements; at most {LARGEST} are supported")
