"""Sequences under `jax.vmap`: batched calls become rows of one call, or calls one by one.

A sequence whose parameters are shared takes the new axis into its batch. With parameters of their
own each is a call, and so is every reverse, which sums the gradients of parameters over the batch.

Why not fold those too: the kernels know one set of parameters, and one gradient of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax  # type: ignore[import-not-found, unused-ignore]
import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]
from jax.custom_batching import (  # type: ignore[import-not-found, unused-ignore]
    custom_vmap,
    sequential_vmap,
)

# (params, carry, xs) -> ((final states, ys), what was kept); rows are axis 0 of states, else 1.
Forward = Callable[[Any, Any, Any], tuple[tuple[Any, Any], Any]]


def by_rows(forward: Forward) -> Forward:
    """Return a forward run of sequences with its rule for `vmap`."""
    one_by_one = sequential_vmap(forward)  # type: ignore[no-untyped-call, unused-ignore]

    @custom_vmap
    def run(params: Any, carry: Any, xs: Any) -> tuple[tuple[Any, Any], Any]:
        return forward(params, carry, xs)

    @run.def_vmap
    def rule(size: int, mapped: Any, params: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        own, *others = mapped
        if any(jax.tree.leaves(own)):
            axes = jax.tree.map(lambda each: 0 if each else None, tuple(mapped))
            found = jax.vmap(one_by_one, in_axes=axes, axis_size=size)(params, carry, xs)
        else:
            folded = (
                jax.tree.map(lambda each, new, axis=axis: _folded(each, new, axis, size), *pair)
                for axis, pair in zip((0, 1), zip((carry, xs), others, strict=True), strict=True)
            )
            (final, ys), kept = run(params, *folded)
            found = (
                (
                    {name: _unfolded(each, 0, size) for name, each in final.items()},
                    _unfolded(ys, 1, size),
                ),
                {name: _unfolded(each, 1, size) for name, each in kept.items()},
            )
        return found, jax.tree.map(lambda _: True, found)

    return run  # type: ignore[no-any-return, unused-ignore]


def _folded(array: Any, mapped: bool, axis: int, size: int) -> Any:
    """Return an array with the new axis, repeated where it has none, inside its rows."""
    if mapped:
        whole = jnp.moveaxis(array, 0, axis)
    else:
        shape = (*array.shape[:axis], size, *array.shape[axis:])
        whole = jnp.broadcast_to(jnp.expand_dims(array, axis), shape)
    rows = whole.shape[axis] * whole.shape[axis + 1]
    return whole.reshape(*whole.shape[:axis], rows, *whole.shape[axis + 2 :])


def _unfolded(array: Any, axis: int, size: int) -> Any:
    """Return an array with the new axis first."""
    rows = array.shape[axis] // size
    whole = array.reshape(*array.shape[:axis], size, rows, *array.shape[axis + 1 :])
    return jnp.moveaxis(whole, axis, 0)
