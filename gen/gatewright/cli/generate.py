"""The command `generate`: specs to committed files, or whether those are fresh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gatewright.cli.output import coloured, print_json
from gatewright.cli.spec_commands import spec_files


@click.command()
@click.argument("specs", nargs=-1)
@click.option("--output", default="generated", show_default=True, help="The folder to write.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if stale.")
@click.option("--diff", "with_diff", is_flag=True, help="With --check: show what differs.")
@click.option("--force", is_flag=True, help="Overwrite files that gatewright did not write.")
@click.option("--grad", "with_grad", is_flag=True, help="Then certify the gradients.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def generate(
    specs: tuple[str, ...],
    output: str,
    only_check: bool,
    with_diff: bool,
    force: bool,
    with_grad: bool,
    as_json: bool,
) -> int:
    """Write the CPU and CUDA kernels of SPECS.

    Without SPECS, those of specs/, or else of the whole catalogue.
    """
    chosen = spec_files(specs)
    if only_check or with_diff:
        return _check(chosen, Path(output), not specs, with_diff, as_json)
    if specs and not as_json:
        _show_equations(chosen)
    code = _write(chosen, Path(output), not specs, force, as_json)
    if with_grad and not code:
        from gatewright.cli.grad import certify_and_print

        click.echo("")
        return certify_and_print(chosen, as_json=as_json)
    return code


def _show_equations(specs: Sequence[str]) -> None:
    from gatewright.emit.catalogue import cells_of

    for cell in cells_of(specs):
        click.echo(coloured(f"{cell.identifier}: {cell.title}", "cyan"))
        width = max(len(equation.target) for equation in cell.equations)
        for equation in cell.equations:
            click.echo(f"  {equation.target:<{width}} = {equation.text}")
        click.echo("")


def _write(specs: Sequence[str], folder: Path, whole: bool, force: bool, as_json: bool) -> int:
    from gatewright.emit.catalogue import sources_of
    from gatewright.emit.write import write

    written = write(sources_of(specs), folder, whole=whole, force=force)
    if as_json:
        print_json(
            folder=str(folder),
            changed=list(written.changed),
            unchanged=list(written.unchanged),
            removed=list(written.removed),
        )
        return 0
    for path in written.changed:
        click.echo(f"wrote      {folder / path}")
    if not whole:
        for path in written.unchanged:
            click.echo(f"unchanged  {folder / path}")
    for path in written.removed:
        click.echo(f"removed    {folder / path}")
    if whole:
        count = len(written.changed) + len(written.unchanged)
        click.echo(f"{count} files in {folder}, {len(written.changed)} of them written anew")
    return 0


def _check(specs: Sequence[str], folder: Path, whole: bool, diff: bool, as_json: bool) -> int:
    from gatewright.emit.catalogue import sources_of
    from gatewright.emit.freshness import check

    freshness = check(sources_of(specs), folder, whole=whole)
    if as_json:
        print_json(
            fresh=freshness.fresh,
            stale=list(freshness.stale),
            missing=list(freshness.missing),
            extra=list(freshness.extra),
            edited=list(freshness.edited),
            unfinished=freshness.unfinished,
        )
    else:
        if diff:
            click.echo(freshness.diff, nl=False)
        click.echo(str(freshness))
    return 0 if freshness.fresh else 1
