"""LoadedCell -> PyTorch layer: what `gatewright.torch` offers.

    layer = gatewright.torch.layer("lstm_peephole", input_size, hidden_size)

Why a module of its own: importing it is what asks for PyTorch, so gatewright itself does not.
"""

from __future__ import annotations

from gatewright.runtime.errors import BackendMissingError


class TorchMissingError(BackendMissingError, ImportError):
    """PyTorch is not installed."""


try:
    from gatewright.bridges.torch.layer import RecurrentLayer, layer
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    text = "PyTorch is not installed: pip install 'gatewright[torch]'"
    raise TorchMissingError(text) from None

__all__ = ["RecurrentLayer", "TorchMissingError", "layer"]
