"""The sentence that a user reads when a bridge's library is not installed.

Why not the ImportError of Python alone: it names a module, and what the user needs is a command.
Why an ImportError all the same: `import gatewright.onnx` is one, to whoever catches those.
"""

from __future__ import annotations

from gatewright.runtime.errors import BackendMissingError


class LibraryMissingError(BackendMissingError, ImportError):
    """A library of an optional extra is not installed."""


def missing(bridge: str, library: str) -> LibraryMissingError:
    """Return the exception that `gatewright.<bridge>` raises for want of a library."""
    command = f"pip install 'gatewright[{bridge}]'"
    return LibraryMissingError(f"gatewright.{bridge} needs {library}: {command}")
