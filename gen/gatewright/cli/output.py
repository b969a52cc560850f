"""What commands print: JSON objects with a schema version, aligned tables, restrained colour.

Results go to stdout, diagnostics and progress to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

SCHEMA_VERSION = 1
STYLES = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "proved": "green",
    "refuted": "red",
    "unknown": "yellow",
}


def print_json(**content: object) -> None:
    """Print one JSON object on stdout."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=2))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in aligned columns below their headings."""
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(len(click.unstyle(text)) for text in column) for column in columns]
    lines = []
    for row in (headings, *rows):
        cells = (
            text + " " * (width - len(click.unstyle(text)))
            for text, width in zip(row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def coloured(text: str, style: str | None = None) -> str:
    """Return the text in the colour of its verdict, plain where colour is not wanted."""
    wanted = sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))
    if not wanted or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=style or STYLES.get(text))


def require_folder(path: Path | None) -> None:
    """Raise OutputError before work is done for a file that could not be written afterwards."""
    from gatewright.emit.write import OutputError

    if path is not None and not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}")


def made_folder(name: str) -> Path:
    """Return a folder to write in, made if it does not exist. Raises OutputError."""
    from gatewright.emit.write import OutputError

    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from None
    return folder


def note(text: str) -> None:
    """Print a line of progress on stderr, if somebody watches it."""
    if sys.stderr.isatty():
        click.echo(text, err=True)
