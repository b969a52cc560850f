"""The sentence that a user reads when a bridge's library is not installed.

Why not the ImportError of Python: it names a module, and what the user needs is a command.
"""

from __future__ import annotations

from gatewright.runtime.errors import BackendMissingError


def missing(bridge: str, library: str) -> BackendMissingError:
    """Return the exception that `gatewright.<bridge>` raises for want of a library."""
    command = f"pip install 'gatewright[{bridge}]'"
    return BackendMissingError(f"gatewright.{bridge} needs {library}: {command}")
