"""The command `overhead`: what the PyTorch layer adds to the time of its kernels."""

from __future__ import annotations

import dataclasses

import click

from gatewright.cli.output import print_json, table
from gatewright.cli.view_commands import load_with


@click.command()
@click.argument("cells", nargs=-1)
@click.option("-B", "--batch", "B", type=click.IntRange(1), default=64, show_default=True)
@click.option("-H", "--hidden", "H", type=click.IntRange(1), default=256, show_default=True)
@click.option("-T", "--time", "T", type=click.IntRange(1), default=128, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Number of threads; all if not given.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 60),
    default=2.0,
    show_default=True,
    help="Time for the layer and for the kernels at each task; at least eleven runs of both.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def overhead(
    cells: tuple[str, ...],
    B: int,
    H: int,
    T: int,
    threads: int | None,
    seconds: float,
    as_json: bool,
) -> int:
    """Time the PyTorch layer of CELLS beside its own kernels.

    Both run on the same arrays, in turn. Without CELLS, lstm and gru. Exit code 1: a layer adds
    more than the project's target of 5 % of the kernels' time.
    """
    import gatewright.torch  # noqa: F401  (says what to install where PyTorch is missing)
    from gatewright.studies.jobs import Size
    from gatewright.studies.machine import cores
    from gatewright.studies.overhead import TARGET_PERCENT, overheads

    loaded = [load_with(cell, ()) for cell in dict.fromkeys(cells or ("lstm", "gru"))]
    size, count = Size(B=B, H=H, T=T), threads or cores()
    found = [each for cell in loaded for each in overheads(cell, size, count, seconds)]
    reached = all(each.reached for each in found)
    if as_json:
        rows = [{**dataclasses.asdict(each), "reached": each.reached} for each in found]
        print_json(target_percent=TARGET_PERCENT, overheads=rows)
        return 0 if reached else 1
    rows_of_text = [
        (
            each.cell,
            each.task,
            f"{1e3 * each.kernels:.3f}",
            f"{1e3 * each.layer:.3f}",
            f"{each.percent:+.1f} %",
            str(each.pairs),
        )
        for each in found
    ]
    click.echo(table(("cell", "task", "kernels, ms", "layer, ms", "added", "pairs"), rows_of_text))
    threads_used = f"{count} thread{'' if count == 1 else 's'}"
    click.echo(f"\nB={B}, H={H}, T={T}, {threads_used}; target: below {TARGET_PERCENT:g} %")
    return 0 if reached else 1
