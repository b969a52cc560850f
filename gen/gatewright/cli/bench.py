"""The command `bench`: time our kernels beside other libraries, print, save and draw the result.

A run takes an hour, so nothing of it is lost: with `--output` the file is replaced as a whole after
every point. One that is already there is never overwritten by accident and never silently taken for
an answer: `--resume` continues it, `--force` begins it anew, and without either the command ends
before it measures.

Why it can read earlier results: a run takes long, a table or a drawing of it does not.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatewright.cli.output import print_json, require_folder, table
from gatewright.cli.view_commands import load_with, with_settings

if TYPE_CHECKING:
    from gatewright.studies.jobs import Job
    from gatewright.studies.report import Report

PEERS = ("torch", "jax", "onnxruntime")
TASKS = ("inference", "training")
# Cells that other libraries have as one layer.
CELLS = ("lstm", "lstm_peephole", "gru", "gru_reset_after", "elman")
SECONDS = 0.3


@dataclasses.dataclass(frozen=True)
class Options:
    """What was asked for besides cells, in the command line's own words."""

    peers: str | None
    threads: str | None
    task: str | None
    grid: str
    settings: tuple[str, ...]
    seconds: float
    output: Path | None
    resume: bool
    force: bool
    plot: Path | None
    earlier: tuple[Path, ...]
    targets: bool
    explain: bool
    as_json: bool


@click.command()
@click.argument("cells", nargs=-1)
@click.option("--peers", metavar="NAME,...", help=f"Only these of {', '.join(PEERS)}.")
@click.option("--threads", metavar="N,...", help="Numbers of threads; 1 and all if not given.")
@click.option("--task", type=click.Choice(TASKS), help="Only this one; both if not given.")
@click.option("--grid", type=click.Choice(("small", "full")), default="small", show_default=True)
@with_settings
@click.option(
    "--seconds",
    type=click.FloatRange(0, 60),
    default=SECONDS,
    show_default=True,
    help="Time for each library at each point; at least five runs, if a run is below a second.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the result as JSON, after every point.",
)
@click.option("--resume", is_flag=True, help="Continue the result in --output, if there is one.")
@click.option("--force", is_flag=True, help="Overwrite the result in --output.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the ratios as SVG."
)
@click.option(
    "--from",
    "earlier",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Show the result in this file, measure nothing; several files become one result.",
)
@click.option("--targets", is_flag=True, help="Say which of the project's targets are reached.")
@click.option("--explain", is_flag=True, help="Say how threads share the work; measure nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(cells: tuple[str, ...], **given: object) -> int:
    """Time CELLS beside PyTorch, JAX and onnxruntime.

    Without CELLS, those that other libraries have too; with --from, all of the file. A file that
    --output names is continued with --resume, which also measures again what other processes
    disturbed. Exit code 1: a library computed something else, so it has no ratio.
    """
    options = Options(**given)  # type: ignore[arg-type]
    _check(options)
    if options.explain:
        return _explain(cells, options)
    report = _read_all(cells, options) if options.earlier else _measure(cells, options)
    _write(report, options)
    _show(report, options)
    for sentence in report.disagreements:
        click.echo(f"error: {sentence}", err=True)
    return 1 if report.disagreements else 0


def _check(options: Options) -> None:
    """Refuse what cannot end well, before anything is measured."""
    if options.resume and options.force:
        raise click.UsageError("--resume continues a result and --force begins anew; give one")
    if options.resume and (options.output is None or options.earlier):
        raise click.UsageError("--resume continues the measuring of a file that --output names")
    if options.earlier and options.explain:
        raise click.UsageError("--explain is about sizes, not about a result; leave out --from")
    for path in (options.output, options.plot):
        require_folder(path)
    output = options.output
    if output is not None and output.exists() and not (options.resume or options.force):
        raise click.UsageError(f"{output} exists; --resume continues it, --force begins it anew")


def _jobs(cells: Sequence[str], options: Options) -> list[Job]:
    from gatewright.runtime.processors import processors
    from gatewright.studies.jobs import GRIDS, Subject, jobs

    every = processors()
    known = ("all", *(str(count) for count in range(1, every + 1)))
    wanted = _names("--threads", options.threads, known) or ("1", "all")
    numbers = tuple(dict.fromkeys(every if word == "all" else int(word) for word in wanted))
    subjects = []
    for cell in dict.fromkeys(cells or CELLS):
        # A mistake in a spec or a setting is shown now and not after minutes of measuring.
        loaded = load_with(cell, options.settings).cell
        values: dict[str, str | float] = {each.name: each.value for each in loaded.constants}
        values |= {each.name: each.chosen for each in loaded.choices}
        named = {setting.partition("=")[0] for setting in options.settings}
        subjects.append(Subject(cell, tuple((k, v) for k, v in values.items() if k in named)))
    tasks = (options.task,) if options.task else TASKS
    return list(jobs(subjects, tasks, numbers, GRIDS[options.grid]))


def _measure(cells: Sequence[str], options: Options) -> Report:
    from gatewright.studies.bench import begin, bench, present
    from gatewright.studies.merge import MergeError

    wanted = _names("--peers", options.peers, PEERS)
    jobs = _jobs(cells, options)
    peers, notes = present(wanted)
    output = options.output
    earlier = _read(output) if options.resume and output is not None and output.exists() else None
    try:
        start, left = begin(jobs, peers, options.seconds, notes, earlier)
        with click.progressbar(
            length=len(left), label="measuring", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:

            def done(report: Report) -> None:
                _write_result(report, output)
                bar.update(1)

            return bench(start, left, peers, options.seconds, done)
    except MergeError as error:
        if earlier is None:
            raise click.ClickException(f"{error}; try again when it is quiet") from None
        raise click.ClickException(f"cannot continue {output}: {error}") from None
    except BrokenProcessPool:
        raise click.ClickException(
            f"the process that measures was ended, perhaps for want of memory{_kept(output)}"
        ) from None
    except KeyboardInterrupt:
        click.echo(f"stopped{_kept(output)}", err=True)
        raise


def _kept(output: Path | None) -> str:
    """Return what can be done after a run that did not end."""
    if output is None:
        return "; nothing was kept, for want of --output"
    if not output.exists():
        return "; no point was finished"
    return f"; what was measured is in {output}, and --resume continues it"


def _explain(cells: Sequence[str], options: Options) -> int:
    from gatewright.studies import tables
    from gatewright.studies.explain import explain

    found = list(explain(_jobs(cells, options)))
    if options.as_json:
        print_json(plans=[dataclasses.asdict(each) for each in found])
    else:
        click.echo(table(*tables.plans(found)))
    return 0


def _names(option: str, given: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a list separated by commas. Raises UsageError for an unknown one."""
    words = dict.fromkeys(word.strip() for word in given.split(",")) if given is not None else ()
    for word in words:
        if word not in known:
            raise click.UsageError(f"{option}: `{word}` is none of {', '.join(known)}")
    return tuple(words)


def _read(path: Path) -> Report:
    from gatewright.studies.result_file import read_report

    try:
        return read_report(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"cannot read {path}: {error}") from None


def _read_all(cells: Sequence[str], options: Options) -> Report:
    """Return the results of all files as one, with the chosen cells only."""
    from gatewright.studies.merge import MergeError, merge

    paths = list(dict.fromkeys(options.earlier))
    merged = _read(paths[0])
    for path in paths[1:]:
        try:
            merged = merge([merged, _read(path)])
        except MergeError as error:
            raise click.UsageError(f"{path} does not belong to {paths[0]}: {error}") from None
    found = dict.fromkeys(row.cell for row in merged.rows)
    for cell in cells:
        if cell not in found:
            raise click.UsageError(f"no point of {cell} was measured; of {', '.join(found)} some")
    rows = tuple(
        row
        for row in merged.rows
        if (not cells or row.cell in cells) and options.task in (None, row.task)
    )
    return dataclasses.replace(merged, rows=rows)


def _write_result(report: Report, output: Path | None) -> None:
    from gatewright.emit.write import write_one
    from gatewright.studies.result_file import file_text

    if output is not None:
        write_one(output, file_text(report))


def _write(report: Report, options: Options) -> None:
    from gatewright.emit.write import write_one
    from gatewright.studies.plot import svg

    _write_result(report, options.output)
    if options.plot is not None:
        write_one(options.plot, svg(report))


def _show(report: Report, options: Options) -> None:
    from gatewright.studies import tables
    from gatewright.studies.result_file import as_dict
    from gatewright.studies.targets import verdicts

    found = verdicts(report) if options.targets else ()
    if options.as_json:
        more = {"targets": [dataclasses.asdict(each) for each in found]} if options.targets else {}
        print_json(**as_dict(report), **more)
        return
    click.echo(table(*tables.points(report)))
    click.echo("\nGeometric means of the ratios (the peer's time divided by ours)\n")
    click.echo(table(*tables.means(report)))
    if options.targets:
        click.echo("\nTargets (for the full grid)\n")
        click.echo(table(*tables.targets(found)))
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    click.echo(f"\n{machine['cpu']}, {machine['cores']} cores; {versions}")
    for peak in report.peaks:
        plural = "" if peak.threads == 1 else "s"
        speed = f"{peak.gflops:.0f} GFLOP/s"
        click.echo(f"peak of {peak.threads} thread{plural}: {speed} ({peak.source})")
    for sentence in report.sentences:
        click.echo(f"note: {sentence}")
