"""The commands `cuda plan`, `cuda pack`, `cuda check`: what a GPU would run, and whether it does.

`plan` needs no GPU and no compiler, `pack` a compiler, `check` a GPU, or the emulator if asked for.

Why `pack`: the machine with the GPU may have neither a compiler nor a way to install one; the
machine code is then brought along in a folder, named in GATEWRIGHT_CUBINS.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gatewright.cli.output import coloured, note, print_json, table

SCHEMA_VERSION = 1
# Devices whose plans can be made without them: multiprocessors, and bytes of shared memory.
DEVICES = {
    "sm_80": (108, 163 * 1024),
    "sm_90": (132, 227 * 1024),
    "sm_100": (148, 227 * 1024),
    "sm_120": (188, 99 * 1024),
}
_arch = click.option(
    "--arch", type=click.Choice(tuple(DEVICES)), default="sm_90", show_default=True
)


@click.group()
def cuda() -> None:
    """Plan, compile ahead and check the kernels for NVIDIA's GPUs."""


@cuda.command("plan")
@click.argument("cell")
@click.option("--hidden", "H", type=click.IntRange(1), required=True, help="Units.")
@click.option("--batch", "B", type=click.IntRange(1), required=True, help="Rows.")
@_arch
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(cell: str, H: int, B: int, arch: str, as_json: bool) -> None:
    """Print how the steps of CELL would run on a GPU, and why."""
    from gatewright.loaded import load
    from gatewright.runtime.cuda.launch import bound
    from gatewright.runtime.cuda.sizes import KINDS
    from gatewright.runtime.cuda.steps import with_steps

    text, device = load(cell).source("cuda"), _imagined(arch)
    rows = []
    for products in KINDS:
        steps = with_steps(text, bound(text, "float32", device), device, products=products)
        for direction, each in steps.items():
            rows.append((products or "float32", direction, each.plan(H, B)))
    if as_json:
        print_json(
            plans=[
                {
                    "products": numbers,
                    "direction": direction,
                    "tier": found.tier,
                    "form": found.form,
                    "why": found.why,
                    "sizes": dict(found.shape.sizes) if found.shape else None,
                }
                for numbers, direction, found in rows
            ]
        )
        return
    for numbers, direction, found in rows:
        click.echo(f"{numbers} {direction}: {found}")


@cuda.command("pack")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("cells", nargs=-1)
@_arch
@click.option("--multiprocessors", type=click.IntRange(1), help="Of the GPU, if others than usual.")
@click.option("--quick", is_flag=True, help="Only what `check --quick` needs.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; one per processor if not given.")
def pack(
    folder: Path,
    cells: tuple[str, ...],
    arch: str,
    multiprocessors: int | None,
    quick: bool,
    jobs: int | None,
) -> None:
    """Compile all that `cuda check` launches into FOLDER.

    It is for a machine without a compiler.
    """
    from gatewright.runtime.cuda.cubins import pack as packed
    from gatewright.runtime.processors import processors
    from gatewright.studies.cuda_tasks import launched, selected

    device = _imagined(arch, multiprocessors)
    wanted = dict.fromkeys(launched(selected(cells), quick, device))
    count = packed(wanted, [arch], folder, jobs or processors())
    click.echo(f"{count} kernels for {arch} in {folder}; name it in GATEWRIGHT_CUBINS")


@cuda.command("check")
@click.argument("cells", nargs=-1)
@click.option("--quick", is_flag=True, help="One size only, and no times.")
@click.option(
    "--checks/--no-checks", "checking", default=True, help="Hold kernels against the reference."
)
@click.option("--timing/--no-timing", default=True, help="Measure times.")
@click.option("--sanitizer/--no-sanitizer", default=True, help="Run compute-sanitizer.")
@click.option("--one-process", is_flag=True, help="Do all in one, for what watches processes.")
@click.option("--minutes", type=click.FloatRange(0), help="Begin nothing after so many.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a JSON file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON file.")
def check(
    cells: tuple[str, ...],
    quick: bool,
    checking: bool,
    timing: bool,
    sanitizer: bool,
    one_process: bool,
    minutes: float | None,
    output: Path | None,
    as_json: bool,
) -> int:
    """Check and time every kernel on this machine's GPU.

    They are held against the float64 reference, and times against what is promised; CELLS that are
    named, by path too, are timed and watched all of them. The JSON file is there after the first
    row and has all rows so far. Exit code 0: all pass; 1: one fails; 3: there is no GPU; 4: time
    was up. With GATEWRIGHT_CUDA=emulate the kernels run in the emulator, and no time is told.
    """
    from gatewright.emit.write import write_one
    from gatewright.studies.cuda_run import run
    from gatewright.studies.cuda_tasks import selected

    def text(content: dict[str, Any]) -> str:
        return json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=1) + "\n"

    def save(content: dict[str, Any]) -> None:
        if output:
            write_one(output, text(content))

    content = run(
        selected(cells), quick=quick, checking=checking, timing=timing, sanitizer=sanitizer,
        minutes=minutes, apart=not one_process, tell=note, save=save,
    )  # fmt: skip
    save(content)
    if as_json:
        click.echo(text(content), nl=False)
    else:
        _print(content)
    return 1 if content["failed"] else 4 if content["left"] else 0


def _print(content: dict[str, Any]) -> None:
    device = content["device"]
    click.echo(f"{device['name']} ({device['arch']}){', emulated' if device['emulated'] else ''}\n")
    rows = []
    for each in content["findings"]:
        error = "" if each["error"] is None else f"{each['error']:.1e}"
        where = each["where"] if each["verdict"] != "tier 1" else each["plans"].get("forward", "")
        verdict = coloured(each["verdict"])
        rows.append((each["cell"], each["mode"], _sizes(each), verdict, error, where))
    click.echo(table(("cell", "mode", "sizes", "verdict", "worst error", "where"), rows))
    if content["timings"]:
        times = [
            (each["cell"], _sizes(each), each["who"], _ms(each["forward"]), _ms(each["both"]),
             each["why"][:60])
            for each in content["timings"]
        ]  # fmt: skip
        heads = ("cell", "sizes", "who", "forward ms", "and backward ms", "")
        click.echo("\n" + table(heads, times))
    if content["targets"]:
        kept = [
            (each["promise"], each["where"], _ms(each["figure"]), f"{each['limit']:g}",
             coloured(each["verdict"]))
            for each in content["targets"]
        ]  # fmt: skip
        click.echo("\n" + table(("promise", "where", "figure", "limit", "verdict"), kept))
    click.echo()
    for each in content["sanitizer"]:
        click.echo(f"{each['tool']}: {each['verdict']}: {each['said']}")
    left = f", {content['left']} not done for want of time" if content["left"] else ""
    click.echo(f"\n{content['passed']} pass, {content['failed']} fail{left}")


def _sizes(row: dict[str, Any]) -> str:
    return " ".join(f"{name}={size}" for name, size in row["sizes"].items())


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _imagined(arch: str, multiprocessors: int | None = None) -> Any:
    """Return an emulated device with the limits of a GPU."""
    from gatewright.runtime.cuda.devices import EmulatedDevice, Limits, holds_weights

    count, shared = DEVICES[arch]
    limits = Limits(128, 32, 8, multiprocessors or count, shared, holds_weights(arch))
    return EmulatedDevice(limits=limits)
