"""Rows of a measurement -> the text of a file that is committed with them.

The file says what was asked for and on which machine, and has one row to a line.

Why apart from `result_file`: that is the file of a grid of points, which is read again, continued
and merged; a measurement of a few rows is made again whole, by one command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gatewright.studies.machine import describe

SCHEMA_VERSION = 1


def file_text(protocol: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a file of rows, with this machine and how they were measured."""
    content = {"schema_version": SCHEMA_VERSION, "machine": describe(), "protocol": protocol}
    parts = [
        f"{json.dumps(name)}: {json.dumps(value, indent=2)}" for name, value in content.items()
    ]
    lines = ",\n".join(f"  {json.dumps(_rounded(row))}" for row in rows)
    return "{\n" + ",\n".join([*parts, f'"rows": [\n{lines}\n]']) + "\n}\n"


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with four digits of what was measured."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in row.items()
    }
