"""LoadedCell <-> ONNX: what `gatewright.onnx` offers.

    gatewright.onnx.export(gatewright.load("lstm"), parameters, "cell.onnx")

Why a module of its own: importing it is what asks for ONNX, so gatewright itself does not.
"""

from __future__ import annotations

from gatewright.bridges.onnx import Weights, export, layers, parameters

__all__ = ["Weights", "export", "layers", "parameters"]
