"""The command `grad`: certify the gradients of cells, for every target and precision.

Why processes: kernels of different cells compile side by side, and a kernel that crashed could not
take the certificate with it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import click

from gatewright.cli.output import coloured, print_json, table
from gatewright.cli.spec_commands import spec_files
from gatewright.runtime.processors import processors

TARGETS = ("reference", "cpu", "cuda")
DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class Job:
    """One certificate to make."""

    spec: str
    choices: tuple[tuple[str, str], ...]
    target: str
    dtype: str


@dataclass(frozen=True)
class Done:
    """One certificate, as data that crosses between processes."""

    text: str
    json: dict[str, Any]

    @property
    def verdict(self) -> str:
        """`pass`, `fail` or `inconclusive`."""
        return str(self.json["verdict"])


@click.command()
@click.argument("cells", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Certify all cells of the catalogue.")
@click.option("--target", "targets", multiple=True, type=click.Choice(TARGETS), help="Only these.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(DTYPES), help="Only these.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; one per core if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def grad(
    cells: tuple[str, ...],
    everything: bool,
    targets: tuple[str, ...],
    dtypes: tuple[str, ...],
    jobs: int | None,
    as_json: bool,
) -> int:
    """Certify the gradients of CELLS against independent derivatives.

    Exit code 0: all pass; 1: one fails; 4: one is inconclusive. Without a GPU the target `cuda`
    runs in our emulator.
    """
    if everything == bool(cells):
        raise click.UsageError("name the cells to certify, or give --all")
    chosen = spec_files(()) if everything else cells
    return certify_and_print(chosen, targets or TARGETS, dtypes or DTYPES, jobs, as_json)


def certify_and_print(
    specs: Sequence[str],
    targets: Sequence[str] = TARGETS,
    dtypes: Sequence[str] = DTYPES,
    workers: int | None = None,
    as_json: bool = False,
) -> int:
    """Certify every variant of the specs, print the result, return the exit code."""
    wanted = list(_jobs(specs, targets, dtypes))
    workers = workers or processors()
    stderr = sys.stderr
    found: dict[Job, Done] = {}
    with click.progressbar(
        length=len(wanted), label="certifying", file=stderr, hidden=not stderr.isatty()
    ) as bar:
        for job, done in _certified(wanted, workers):
            found[job] = done
            bar.update(1)
    certificates = [found[job] for job in wanted]
    verdicts = [done.verdict for done in certificates]
    if as_json:
        counts = {name: verdicts.count(name) for name in ("pass", "fail", "inconclusive")}
        print_json(certificates=[done.json for done in certificates], counts=counts)
    else:
        _print(certificates)
    return 1 if "fail" in verdicts else 4 if "inconclusive" in verdicts else 0


def _jobs(specs: Sequence[str], targets: Sequence[str], dtypes: Sequence[str]) -> Iterator[Job]:
    from gatewright.language import catalogue

    for spec in specs:
        for choices in catalogue.variants(catalogue.read_spec(spec)):
            catalogue.load(spec, choices=choices)
            for target in targets:
                for dtype in dtypes:
                    # The reference is the double-precision truth; single would say nothing more.
                    if target != "reference" or dtype == "float64":
                        yield Job(spec, tuple(choices.items()), target, dtype)


def _certified(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Done]]:
    context = multiprocessing.get_context("spawn")
    emulate = any(job.target == "cuda" for job in jobs) and not _has_device()
    count = min(workers, max(len(jobs), 1))
    with ProcessPoolExecutor(count, context, _prepare, (emulate,)) as pool:
        pending: dict[Future[Done], Job] = {pool.submit(_certify, job): job for job in jobs}
        for future in as_completed(pending):
            yield pending[future], future.result()


def _has_device() -> bool:
    from gatewright.runtime.cuda import available

    return available()


def _prepare(emulate: bool) -> None:
    """Let the target `cuda` run in the emulator where there is no device."""
    if emulate:
        os.environ["GATEWRIGHT_CUDA"] = "emulate"


def _certify(job: Job) -> Done:
    from gatewright.loaded import load
    from gatewright.verify.certificate import certify

    loaded = load(job.spec, **dict(job.choices))
    certificate = certify(
        loaded.cell,
        lambda dtype: loaded.compile(job.target, dtype),
        job.target,
        job.dtype,
        loaded.programs,
    )
    simulated = job.target == "cuda" and _is_emulated()
    found = certificate.as_dict()
    del found["schema_version"]
    return Done(str(certificate), {**found, **_worst(found["checks"]), "simulated": simulated})


def _is_emulated() -> bool:
    from gatewright.runtime.cuda import simulated

    return simulated()


def _worst(checks: Sequence[dict[str, Any]]) -> dict[str, object]:
    """Return the largest error of the comparisons, all relative to a scale, and where it is.

    The check by differences is left out: its error is that of the differences, not of a kernel.
    """
    compared = [check for check in checks if check["name"] != "differences" and check["where"]]
    infinite = [check for check in compared if check["error"] is None]
    worst = max(infinite or compared, key=lambda check: check["error"] or 0.0, default=None)
    if worst is None:
        return {"worst": 0.0, "where": ""}
    return {"worst": worst["error"], "where": f"{worst['name']}: {worst['where']}"}


def _print(certificates: Sequence[Done]) -> None:
    if len({done.json["cell"] for done in certificates}) == 1:
        click.echo("\n\n".join(done.text for done in certificates) + "\n")
    rows = []
    for done in certificates:
        found = done.json
        target = f"{found['target']} (emulated)" if found["simulated"] else str(found["target"])
        worst = f"{found['worst']:.1e}" if found["worst"] is not None else "not finite"
        cell, dtype = str(found["cell"]), str(found["dtype"])
        rows.append((cell, target, dtype, coloured(done.verdict), worst, str(found["where"])))
    click.echo(table(("cell", "target", "dtype", "verdict", "worst error", "where"), rows))
    counts = {name: sum(done.verdict == name for done in certificates) for name in _VERDICTS}
    click.echo("\n" + ", ".join(f"{count} {name}" for name, count in counts.items()))


_VERDICTS = ("pass", "fail", "inconclusive")
