"""Keras weights <-> parameters: what `gatewright.keras` offers.

    parameters = gatewright.keras.from_keras(layer.get_weights(), "LSTM")

Why a module of its own, though nothing here needs Keras: all bridges are imported alike.
"""

from __future__ import annotations

from gatewright.bridges.keras import cell, from_keras, to_keras

__all__ = ["cell", "from_keras", "to_keras"]
