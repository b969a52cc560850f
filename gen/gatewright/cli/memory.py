"""The command `memory`: what a training step needs, ours beside PyTorch's.

Why a command of its own: it takes seconds, where `bench` takes an hour.
"""

from __future__ import annotations

import dataclasses
import importlib.util

import click

from gatewright.cli.output import print_json, table
from gatewright.cli.view_commands import load_with


@click.command()
@click.argument("cells", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def memory(cells: tuple[str, ...], as_json: bool) -> int:
    """Measure the memory that a training step of CELLS takes.

    Beside it is PyTorch, if installed. Without CELLS, those of `torch.nn`. Each figure is that of a
    process of its own.
    """
    from gatewright.studies.jobs import Subject
    from gatewright.studies.memory import SIZES, footprints

    chosen = dict.fromkeys(cells or ("lstm", "gru_reset_after", "elman"))
    for cell in chosen:
        load_with(cell, ())
    peers = importlib.util.find_spec("torch") is not None
    found = list(footprints([Subject(cell) for cell in chosen], SIZES, peers))
    if as_json:
        rows = [{**dataclasses.asdict(each), "per_number": each.per_number} for each in found]
        print_json(footprints=rows)
        return 0
    rows_of_text = [
        (
            each.cell,
            each.library,
            *(str(part) for part in (each.size.B, each.size.H, each.size.T)),
            f"{each.bytes / 1e6:.1f}",
            f"{each.per_number:.1f}",
            "" if each.stated is None else f"{each.stated / 1e6:.1f}",
        )
        for each in found
    ]
    heads = ("cell", "library", "B", "H", "T", "MB", "bytes per T B H", "MB kept, as stated")
    click.echo(table(heads, rows_of_text))
    if not peers:
        click.echo("note: no comparison with PyTorch: torch is not installed", err=True)
    return 0
