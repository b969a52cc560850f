"""What can be missing on a machine.

Why one type: the command line turns it into exit code 3, whichever backend it was.
"""

from __future__ import annotations


class BackendMissingError(RuntimeError):
    """A backend or extra that was asked for is not there; the message says how to get it."""
