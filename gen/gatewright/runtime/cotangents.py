"""Cotangents of outputs and of states at every step -> what the reverse is given, by name.

Why the output's state has no array of its own: its value at a step is the output, so its cotangent
is added to that of the output, and cells such as the GRU need nothing further.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gatewright.runtime.layout import Layout
from gatewright.runtime.validate import ArgumentError, Array, checked_array

EVERY = "ct_every_"


def checked_cotangents(
    layout: Layout,
    dtype: str,
    sizes: Mapping[str, int],
    ct_y: object,
    ct_states: Mapping[str, Array] | None,
) -> dict[str, Array]:
    """Return `ct_y` and what `ct_states` says of states at every step, all [T, B, dim].

    States that are left out have zeros. Raises ArgumentError for what does not fit, and for a state
    whose cotangent these kernels do not take.
    """

    def checked(name: str, array: object, dims: tuple[str, ...]) -> Array:
        shape = (sizes["T"], sizes["B"], *(sizes[dim] for dim in dims))
        return checked_array(name, array, shape, dtype)

    found = {"ct_y": checked("ct_y", ct_y, layout.output_dims)}
    given = dict(ct_states or {})
    output = layout.output[0]
    if output in layout.states and output in given:
        more = checked(f"ct_states: {output}", given.pop(output), layout.output_dims)
        found["ct_y"] = found["ct_y"] + more
    for name in layout.cotangents:
        if name != "ct_y":
            state = name.removeprefix(EVERY)
            dims = layout.states[state]
            if state in given:
                found[name] = checked(f"ct_states: {state}", given.pop(state), dims)
            else:
                shape = (sizes["T"], sizes["B"], *(sizes[dim] for dim in dims))
                found[name] = np.zeros(shape, dtype)
    if unknown := [name for name in given if name not in layout.states]:
        listed = ", ".join(f"`{name}`" for name in layout.states)
        raise ArgumentError(f"ct_states have unknown `{unknown[0]}`; this cell has {listed}")
    if given:
        raise ArgumentError(
            f"these kernels take no cotangent of `{next(iter(given))}` at every step: ask for it "
            "with `every_state=True`, of a cell's `with_reverse` or a layer's `forward`"
        )
    return found
