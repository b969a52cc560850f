"""The command `gatewright`: parse arguments, call a stage, print.

Why so little is imported here: `gatewright --help` answers before SymPy or Numba could load.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code: 0, 1, 2, 3, 4 or 70, as the README lists."""
    from gatewright.cli.app import run

    raise SystemExit(run())


__all__ = ["main"]
