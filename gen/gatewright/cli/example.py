"""The command `example`: train a small model around any cell, and show how its loss fell.

Why several cells at once: what a cell is worth is seen beside others, at the same job.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatewright.cli.output import print_json, require_folder, table
from gatewright.cli.view_commands import load_with, with_settings

if TYPE_CHECKING:
    from gatewright.examples.curve import Curve
    from gatewright.examples.training import Job
    from gatewright.studies.race import Race

NAMES = ("adding", "copying", "reversal", "forecast", "char_lm")
PEERS = ("torch.nn", "loop", "eager")
# The generators of batches take a seed modulo 2^63.
LARGEST_SEED = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Options:
    """What was asked for besides the example, in the command line's own words."""

    cells: tuple[str, ...]
    settings: tuple[str, ...]
    size: str
    hidden: int | None
    batch: int | None
    length: int | None
    steps: int | None
    seed: int
    threads: int | None
    against: tuple[str, ...]
    plot: Path | None
    output: Path | None
    as_json: bool


@click.command()
@click.argument("name", metavar="EXAMPLE", type=click.Choice(NAMES))
@click.option(
    "--cell", "cells", multiple=True, metavar="CELL", help="May be repeated; lstm if not given."
)
@with_settings
@click.option("--size", type=click.Choice(("small", "full")), default="small", show_default=True)
@click.option("--hidden", type=click.IntRange(1), help="Units, if not those of the size.")
@click.option("--batch", type=click.IntRange(1), help="Sequences in a step, likewise.")
@click.option("--length", type=click.IntRange(2), help="Of the sequences, likewise.")
@click.option("--steps", type=click.IntRange(1), help="Steps of training, likewise.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Up to so many threads; all if not given.")
@click.option(
    "--against",
    multiple=True,
    type=click.Choice(PEERS),
    help="Train the same model this way too, and compare losses and times.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the losses as SVG."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --against, write a file of the times and losses.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def example(name: str, **given: object) -> int:
    """Train a small model around any cell.

    EXAMPLE is adding, copying, reversal, forecast or char_lm. Small takes seconds, full takes
    minutes. Prints the loss after every twentieth of the steps, beside that of an answer without a
    memory, and what the trained model does. With --against, everybody starts from the same weights;
    exit code 1 if somebody's first losses are others. "At the peak" is the ratio of kernels that
    only multiply, at the peak of our own product.
    """
    options = Options(**given)  # type: ignore[arg-type]
    if options.against and options.plot:
        raise click.UsageError("--plot draws losses, which are the same with --against")
    if options.against and options.steps == 1:
        raise click.UsageError("--against needs 2 --steps or more: the first is not timed")
    if options.output and not options.against:
        raise click.UsageError("--output is for the times of --against")
    require_folder(options.plot)
    require_folder(options.output)
    import gatewright.torch  # noqa: F401  (says what to install where PyTorch is missing)

    jobs = {cell: _begin(name, cell, options) for cell in options.cells or ("lstm",)}
    if options.against:
        return _race(name, jobs, options)
    _train(name, jobs, options)
    return 0


def _begin(name: str, cell: str, options: Options) -> Job:
    from gatewright.examples.jobs import EXAMPLES, begin
    from gatewright.examples.training import limit_threads

    changed = {
        key: value
        for key in ("hidden", "batch", "length", "steps")
        if (value := getattr(options, key)) is not None
    }
    size = dataclasses.replace(EXAMPLES[name].SIZES[options.size], **changed)
    if options.threads is not None:
        limit_threads(options.threads)
    loaded = load_with(cell, options.settings)
    return begin(name, loaded, size, options.seed, threads=options.threads)


def _train(name: str, jobs: dict[str, Job], options: Options) -> None:
    from gatewright.emit.write import write_one
    from gatewright.examples.training import evaluating, train
    from gatewright.studies.plot_curves import svg

    curves, seconds = {}, {}
    with _bar(sum(job.size.steps for job in jobs.values())) as bar:
        for cell, job in jobs.items():
            start = time.perf_counter()
            curves[cell] = train(job, lambda: bar.update(1))
            seconds[cell] = time.perf_counter() - start
    first = next(iter(jobs.values()))
    if options.plot is not None:
        title = f"{name}, {options.size}"
        text = svg(title, first.unit, curves, first.baseline, first.baseline_is)
        write_one(options.plot, text)
    if options.as_json:
        _print_json(name, first, curves, seconds)
        return
    click.echo(f"{name}, {options.size}: held-out loss in {first.unit}\n")
    click.echo(table(("step", *curves), _rows(curves)))
    click.echo(f"\n{first.baseline:.4g} is the loss of {first.baseline_is}\n")
    if len(jobs) > 1:
        rows = [
            (cell, str(_count(job)), f"{seconds[cell]:.1f}", f"{curves[cell].final:.4g}")
            for cell, job in jobs.items()
        ]
        click.echo(table(("cell", "parameters", "seconds", "loss"), rows))
        return
    with evaluating(first.model):
        click.echo(first.show(first.model))


def _rows(curves: dict[str, Curve]) -> list[tuple[str, ...]]:
    points = list(zip(*(curve.points for curve in curves.values()), strict=True))
    return [(str(row[0].step), *(f"{point.held_out:.4g}" for point in row)) for row in points]


def _print_json(name: str, job: Job, curves: dict[str, Curve], seconds: dict[str, float]) -> None:
    print_json(
        example=name,
        size=dataclasses.asdict(job.size),
        unit=job.unit,
        baseline=job.baseline,
        baseline_is=job.baseline_is,
        curves={
            cell: {"seconds": round(seconds[cell], 3), **dataclasses.asdict(curve)}
            for cell, curve in curves.items()
        },
    )


def _race(name: str, jobs: dict[str, Job], options: Options) -> int:
    from gatewright.emit.write import write_one
    from gatewright.runtime.processors import processors
    from gatewright.studies.measured import file_text
    from gatewright.studies.race import race, runners

    threads = min(options.threads or processors(), processors())
    steps = sum(job.size.steps * (len(runners(job, options.against)) + 1) for job in jobs.values())
    with _bar(steps) as bar:
        found = [
            race(cell, job, options.against, threads, lambda: bar.update(1))
            for cell, job in jobs.items()
        ]
    wrong = [sentence for each in found for sentence in each.disagreements]
    if options.output is not None:
        size = dataclasses.asdict(next(iter(jobs.values())).size)
        protocol = {
            "example": name,
            **size,
            "times": "median seconds of a step",
            "seed": options.seed,
        }
        rows = [row for each in found for row in each.rows(threads)]
        write_one(options.output, file_text(protocol, rows))
    if options.as_json:
        print_json(
            example=name, threads=threads, races=[dataclasses.asdict(each) for each in found]
        )
    else:
        times = ("ms a step", "ratio", "at the peak")
        heads = ("cell", "trained by", *times, "last loss", "first losses differ by")
        click.echo(table(heads, [row for each in found for row in _race_rows(each)]))
    for sentence in wrong:
        click.echo(f"error: {sentence}", err=True)
    return 1 if wrong else 0


def _race_rows(race: Race) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for each in (race.ours, *race.others):
        ours, ratio, ceiling = each is race.ours, race.ratio(each), race.ceiling(each)
        row = (
            race.cell if ours else "",
            each.name,
            f"{1e3 * each.seconds:.2f}",
            "" if ours or ratio is None else f"{ratio:.2f}",
            "" if ours or ceiling is None else f"{ceiling:.2f}",
            f"{each.losses[-1]:.4g}",
            "" if ours else f"{race.ours.apart(each):.1e}",
        )
        found.append(row)
    return found


def _count(job: Job) -> int:
    return sum(each.numel() for each in job.model.parameters())


def _bar(steps: int) -> Any:
    return click.progressbar(
        length=steps, label="training", file=sys.stderr, hidden=not sys.stderr.isatty()
    )
