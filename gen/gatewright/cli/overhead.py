"""The command `overhead`: what the PyTorch layer adds to the time of its kernels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatewright.cli.output import print_json, require_folder, table
from gatewright.cli.view_commands import load_with

if TYPE_CHECKING:
    from gatewright.studies.overhead import Overhead


@click.command()
@click.argument("cells", nargs=-1)
@click.option("-B", "--batch", "B", type=click.IntRange(1), default=64, show_default=True)
@click.option("-H", "--hidden", "H", type=click.IntRange(1), default=256, show_default=True)
@click.option("-T", "--time", "T", type=click.IntRange(1), default=128, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1),
    multiple=True,
    help="Number of threads; may be repeated; all if not given.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 60),
    default=2.0,
    show_default=True,
    help="Time for the layer and for the kernels at each task; at least eleven runs of both.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write a file of the rows."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def overhead(
    cells: tuple[str, ...],
    B: int,
    H: int,
    T: int,
    threads: tuple[int, ...],
    seconds: float,
    output: Path | None,
    as_json: bool,
) -> int:
    """Time the PyTorch layer of CELLS beside its own kernels.

    Both run on the same arrays, in turn; what is added is the median of the pairs, between the
    limits that hold the true median 95 times of 100. Without CELLS, lstm and gru. Exit code 1: a
    layer adds more than the project's target of 5 % of the kernels' time; 4: the limits leave that
    open.
    """
    import gatewright.torch  # noqa: F401  (says what to install where PyTorch is missing)
    from gatewright.emit.write import write_one
    from gatewright.runtime.processors import processors
    from gatewright.studies.jobs import Size
    from gatewright.studies.measured import file_text
    from gatewright.studies.overhead import TARGET_PERCENT, overheads

    require_folder(output)
    loaded = [load_with(cell, ()) for cell in dict.fromkeys(cells or ("lstm", "gru"))]
    size, counts = Size(B=B, H=H, T=T), dict.fromkeys(threads or (processors(),))
    found = [
        each
        for count in counts
        for cell in loaded
        for each in overheads(cell, size, count, seconds)
    ]
    rows = [{**dataclasses.asdict(each), "reached": each.reached} for each in found]
    if output is not None:
        protocol = {"target_percent": TARGET_PERCENT, "seconds": seconds, "times": "seconds"}
        write_one(output, file_text(protocol, rows))
    if as_json:
        print_json(target_percent=TARGET_PERCENT, overheads=rows)
        return _code(found)
    heads = ("cell", "task", "threads", "kernels, ms", "layer, ms", "added", "limits", "pairs")
    click.echo(table(heads, [_row(each) for each in found]))
    click.echo(f"\nB={B}, H={H}, T={T}; target: below {TARGET_PERCENT:g} %")
    return _code(found)


def _row(each: Overhead) -> tuple[str, ...]:
    return (
        each.cell,
        each.task,
        str(each.threads),
        f"{1e3 * each.kernels:.3f}",
        f"{1e3 * each.layer:.3f}",
        f"{each.percent:+.1f} %",
        f"{each.low:+.1f} to {each.high:+.1f} %",
        str(each.pairs),
    )


def _code(found: list[Overhead]) -> int:
    """Return the exit code: 0 all reached, 1 one missed, 4 not clear."""
    verdicts = {each.reached for each in found}
    return 1 if False in verdicts else 4 if None in verdicts else 0
