"""Machine -> CUDA or a sentence: whether kernels can run here, and on what.

Both packages that provide `numba.cuda` will do: numba-cuda where it is installed, and otherwise the
older one inside Numba. `NUMBA_ENABLE_CUDASIM=1`, set before Python starts, selects their simulator,
which runs kernels as Python threads and needs no device.

Why one door and one exception type: a missing driver, a missing device and a missing package all
mean the same to a caller, and the sentence says which it is.
"""

from __future__ import annotations

import importlib
from typing import Any

from gatewright.runtime.errors import BackendMissingError

_WAY_OUT = "set NUMBA_ENABLE_CUDASIM=1 before Python starts to simulate a device"


class CudaUnavailableError(BackendMissingError):
    """CUDA kernels cannot run here; the message is one sentence with a way out."""


try:
    # Modules as values: what they hold differs between their packages and the simulator.
    numba: Any = importlib.import_module("numba")
    cuda: Any = importlib.import_module("numba.cuda")
except ImportError as error:  # pragma: no cover
    raise CudaUnavailableError(f"numba.cuda cannot be imported: {error}") from error


def simulated() -> bool:
    """Return whether kernels run in the simulator."""
    return bool(numba.config.ENABLE_CUDASIM)


def available() -> bool:
    """Return whether kernels can run here, on a device or simulated."""
    return simulated() or bool(cuda.is_available())


def why_unavailable() -> str:
    """Return a sentence why kernels cannot run here, empty if they can."""
    if available():
        return ""
    reported = " ".join(str(cuda.cuda_error() or "there is no CUDA device").split())
    return f"CUDA is not available ({reported.rstrip('.:')}); {_WAY_OUT}"


def require_cuda() -> None:
    """Raise CudaUnavailableError if kernels cannot run here."""
    if not available():
        raise CudaUnavailableError(why_unavailable())
