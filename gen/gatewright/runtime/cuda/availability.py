"""Machine -> CUDA or a sentence: whether kernels can run here, and on what.

A GPU needs NVIDIA's driver, new enough for our machine code, and PyTorch with CUDA. With
GATEWRIGHT_CUDA=emulate, kernels run in the emulator instead, on any machine.

Why one exception type: a missing driver, a missing device and a missing package all mean the same
to a caller, and the sentence says which it is.
"""

from __future__ import annotations

import os

from gatewright.runtime.errors import BackendMissingError

VARIABLE = "GATEWRIGHT_CUDA"
EMULATE = "emulate"
_WAY_OUT = f"set {VARIABLE}={EMULATE} to emulate a device"


class CudaUnavailableError(BackendMissingError):
    """CUDA kernels cannot run here; the message is one sentence with a way out."""


def simulated() -> bool:
    """Return whether kernels run in the emulator."""
    return os.environ.get(VARIABLE) == EMULATE


def available() -> bool:
    """Return whether kernels can run here, on a device or emulated."""
    return not why_unavailable()


def why_unavailable() -> str:
    """Return a sentence why kernels cannot run here, empty if they can."""
    from gatewright.runtime.cuda.gpu import why_no_gpu

    if simulated():
        return ""
    reason = why_no_gpu()
    return f"CUDA is not available ({reason}); {_WAY_OUT}" if reason else ""


def require_cuda() -> None:
    """Raise CudaUnavailableError if kernels cannot run here."""
    if reason := why_unavailable():
        raise CudaUnavailableError(reason)
