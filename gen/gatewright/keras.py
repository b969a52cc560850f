"""Keras weights <-> parameters: what `gatewright.keras` offers.

    parameters = gatewright.keras.from_keras(layer.get_weights(), "LSTM")

Why a module of its own, though nothing here needs Keras: all bridges are imported alike.
"""

from __future__ import annotations

from gatewright.bridges.keras import Weights, cell, from_keras, layers, to_keras

__all__ = ["Weights", "cell", "from_keras", "layers", "to_keras"]
