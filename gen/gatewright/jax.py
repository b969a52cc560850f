"""LoadedCell -> JAX: what `gatewright.jax` offers.

    step = gatewright.jax.cell(gatewright.load("lstm"))

Why a module of its own: importing it is what asks for JAX, so gatewright itself does not.
"""

from __future__ import annotations

from gatewright.bridges.jax import cell, sequence

__all__ = ["cell", "sequence"]
