"""The command `bench`: time our kernels beside other libraries, print, save and draw the result.

Why it can read an earlier result: a run takes long, a table or a drawing of it does not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatewright.cli.output import print_json, table
from gatewright.cli.view_commands import load_with

if TYPE_CHECKING:
    from gatewright.studies.jobs import Job
    from gatewright.studies.report import Report

PEERS = ("torch", "jax", "onnxruntime")
TASKS = ("inference", "training")
# Cells that other libraries have as one layer.
CELLS = ("lstm", "lstm_peephole", "gru", "gru_reset_after", "elman")


@click.command()
@click.argument("cells", nargs=-1)
@click.option("--peers", metavar="NAME,...", help=f"Only these of {', '.join(PEERS)}.")
@click.option("--threads", metavar="N,...", help="Numbers of threads; 1 and all if not given.")
@click.option("--task", type=click.Choice(TASKS), help="Only this one; both if not given.")
@click.option("--grid", type=click.Choice(("small", "full")), default="small", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a constant.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 60),
    default=0.5,
    show_default=True,
    help="Time for each library at each point; at least five runs are made.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write the result as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the ratios as SVG.")
@click.option(
    "--from",
    "earlier",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Show the result in this file, measure nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(
    cells: tuple[str, ...],
    peers: str | None,
    threads: str | None,
    task: str | None,
    grid: str,
    settings: tuple[str, ...],
    seconds: float,
    output: Path | None,
    plot: Path | None,
    earlier: Path | None,
    as_json: bool,
) -> int:
    """Time CELLS beside PyTorch, JAX and onnxruntime, on the same inputs.

    Without CELLS, those that other libraries have too. Exit code 1: a library computed something
    else, so it has no ratio.
    """
    for path in (output, plot):
        _require_folder(path)
    if earlier is not None:
        report = _read(earlier)
    else:
        chosen = _names("--peers", peers, PEERS)
        tasks = (task,) if task else TASKS
        report = _measure(_jobs(cells or CELLS, settings, tasks, threads, grid), chosen, seconds)
    _write(report, output, plot)
    if as_json:
        print_json(**report.as_dict())
    else:
        _print(report)
    for sentence in report.disagreements:
        click.echo(f"error: {sentence}", err=True)
    return 1 if report.disagreements else 0


def _jobs(
    cells: Sequence[str],
    settings: tuple[str, ...],
    tasks: Sequence[str],
    threads: str | None,
    grid: str,
) -> list[Job]:
    from gatewright.studies.jobs import GRIDS, Subject, jobs
    from gatewright.studies.machine import cores

    every = cores()
    known = ("all", *(str(count) for count in range(1, every + 1)))
    wanted = _names("--threads", threads, known) or ("1", "all")
    numbers = tuple(dict.fromkeys(every if word == "all" else int(word) for word in wanted))
    subjects = []
    for cell in dict.fromkeys(cells):
        # A mistake in a spec or a setting is shown now and not after minutes of measuring.
        loaded = load_with(cell, settings).cell
        values: dict[str, str | float] = {each.name: each.value for each in loaded.constants}
        values |= {each.name: each.chosen for each in loaded.choices}
        named = {setting.partition("=")[0] for setting in settings}
        subjects.append(Subject(cell, tuple((k, v) for k, v in values.items() if k in named)))
    return list(jobs(subjects, tasks, numbers, GRIDS[grid]))


def _measure(jobs: Sequence[Job], wanted: Sequence[str], seconds: float) -> Report:
    from gatewright.studies.bench import bench, present

    peers, notes = present(wanted)
    stderr = sys.stderr
    with click.progressbar(
        length=len(jobs), label="measuring", file=stderr, hidden=not stderr.isatty()
    ) as bar:
        return bench(jobs, peers, seconds, notes, lambda: bar.update(1))


def _names(option: str, given: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a list separated by commas. Raises UsageError for an unknown one."""
    words = dict.fromkeys(word.strip() for word in given.split(",")) if given is not None else ()
    for word in words:
        if word not in known:
            raise click.UsageError(f"{option}: `{word}` is none of {', '.join(known)}")
    return tuple(words)


def _read(path: Path) -> Report:
    from gatewright.studies.report import read_report

    try:
        return read_report(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"cannot read {path}: {error}") from None


def _require_folder(path: Path | None) -> None:
    from gatewright.emit.write import OutputError

    if path is not None and not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}")


def _write(report: Report, output: Path | None, plot: Path | None) -> None:
    from gatewright.emit.write import write_one
    from gatewright.studies.plot import svg

    if output is not None:
        write_one(output, report.file_text())
    if plot is not None:
        write_one(plot, svg(report))


def _print(report: Report) -> None:
    from gatewright.studies import tables

    click.echo(table(*tables.points(report)))
    click.echo("\nGeometric means of the ratios (the peer's time divided by ours)\n")
    click.echo(table(*tables.means(report)))
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    click.echo(f"\n{machine['cpu']}, {machine['cores']} cores; {versions}")
    for peak in report.peaks:
        plural = "" if peak.threads == 1 else "s"
        speed = f"{peak.gflops:.0f} GFLOP/s"
        click.echo(f"peak of {peak.threads} thread{plural}: {speed} ({peak.source})")
    for note in report.notes:
        click.echo(f"note: {note}")
