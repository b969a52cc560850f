"""What may be asked of a reverse Program.

Why apart from `vjp`: whoever loads a cell names these, and should not load the derivation for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReverseOptions:
    """What is asked of a reverse beyond gradients of outputs and final states.

    With `every_state` it takes a cotangent of every state at every step; that of the state which is
    the output is `ct_y`. With `clip`, every entry of the cotangent of a state lies within plus or
    minus `clip` before the step before, or the initial state, gets it: what is then computed is no
    gradient, but bounded however long the sequence is.
    """

    every_state: bool = False
    clip: float | None = None


GRADIENT = ReverseOptions()
