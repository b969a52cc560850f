"""Commands on spec files alone: new, check, fmt, transform, explain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from gatewright.cli.output import print_json
from gatewright.resources import PACKAGE


def spec_files(given: Sequence[str]) -> tuple[str, ...]:
    """Return the specs named, or those of `specs/` here, or else the whole catalogue."""
    from gatewright.language import catalogue

    if given:
        return tuple(given)
    here = sorted(str(path) for path in Path("specs").glob("*.yaml"))
    return tuple(here) or catalogue.names()


@click.command()
@click.argument("name")
@click.option("--dir", "folder", default=".", help="Where to write NAME.yaml.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def new(name: str, folder: str, force: bool) -> None:
    """Write NAME.yaml, a small commented cell to start from."""
    from gatewright.emit.write import OutputError, write_one
    from gatewright.language.new_cell import template

    # Editors find the schema by a path relative to the file.
    schema = os.path.relpath(PACKAGE / "cell.schema.json", Path(folder).resolve())
    text = template(name, Path(schema).as_posix())
    path = Path(folder) / f"{name}.yaml"
    if not Path(folder).is_dir():
        raise OutputError(f"there is no folder {folder}")
    if path.exists() and not force:
        raise OutputError(f"{path} exists; choose another name, or overwrite it with --force")
    write_one(path, text)
    click.echo(f"wrote {path}; next: gatewright check {path} && gatewright grad {path}")


@click.command()
@click.argument("specs", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(specs: tuple[str, ...], as_json: bool) -> int:
    """Check the names, shapes and order of SPECS.

    Without SPECS, those in specs/, or else the whole catalogue.
    """
    from gatewright.language import catalogue
    from gatewright.language.diagnostics import SpecError

    diagnostics: list[dict[str, object]] = []
    checked = []
    for spec in spec_files(specs):
        try:
            cell = catalogue.load(spec)
            checked.append(cell.name)
            if not as_json:
                click.echo(f"{spec}: fine ({len(cell.equations)} equations)")
        except SpecError as error:
            diagnostics += error.to_json()
            click.echo(f"{error}\n", err=True)
    if as_json:
        print_json(checked=checked, diagnostics=diagnostics)
    return 2 if diagnostics else 0


@click.command()
@click.argument("specs", nargs=-1)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 if one would.")
@click.option("--diff", "with_diff", is_flag=True, help="Show what changes; implies --check.")
def fmt(specs: tuple[str, ...], only_check: bool, with_diff: bool) -> int:
    """Write specs and claims in house style.

    Comments and meaning stay. Without SPECS, those in specs/ and specs/claims/.
    """
    import difflib

    from gatewright.claims.format import format_claims, is_claim_file
    from gatewright.emit.write import write_one
    from gatewright.language.format import format_spec
    from gatewright.language.shelf import spec_path
    from gatewright.language.source_text import read_text

    changed = 0
    claims = () if specs else sorted(str(path) for path in Path("specs/claims").glob("*.yaml"))
    for spec in (*spec_files(specs), *claims):
        path = spec_path(spec)
        old = read_text(path)
        formatted = format_claims if is_claim_file(old) else format_spec
        text = formatted(old, str(path))
        if text == old:
            continue
        changed += 1
        if with_diff:
            lines = (old.splitlines(keepends=True), text.splitlines(keepends=True))
            click.echo("".join(difflib.unified_diff(*lines, f"a/{path}", f"b/{path}")), nl=False)
        elif only_check:
            click.echo(f"{path}: would be formatted")
        else:
            write_one(path, text)
            click.echo(f"{path}: formatted")
    return 1 if changed and (only_check or with_diff) else 0


@click.command()
@click.argument("cell")
@click.option("--projected", is_flag=True, help="Project the state of the output: `proj_size`.")
@click.option(
    "--zoneout",
    "states",
    multiple=True,
    metavar="STATE",
    help="Zone out this state; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def transform(cell: str, projected: bool, states: tuple[str, ...], as_json: bool) -> None:
    """Print CELL with a projection, zoneout or both, as a spec.

    `gatewright transform lstm --projected > lstm_projected.yaml` makes a cell to use by that path.
    """
    from gatewright.language import catalogue, transforms
    from gatewright.language.format import write_spec

    if not (projected or states):
        raise click.UsageError("say what is to change: --projected, --zoneout STATE, or both")
    made = catalogue.load(cell)
    if projected:
        made = transforms.projected(made)
    if states:
        made = transforms.zoneout(made, states)
    if as_json:
        print_json(cell=made.identifier, text=write_spec(made))
    else:
        click.echo(write_spec(made), nl=False)


@click.command()
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(code: str | None, as_json: bool) -> None:
    """Explain an error code such as E0301.

    Without CODE, list them.
    """
    from gatewright.language.codes import CODES

    if code is None:
        if as_json:
            print_json(codes=[{"code": name, "title": row.title} for name, row in CODES.items()])
        else:
            click.echo("\n".join(f"{name}  {row.title}" for name, row in CODES.items()))
        return
    row = CODES.get(code.upper())
    if row is None:
        raise click.UsageError(f"there is no error {code}; `gatewright explain` lists them")
    if as_json:
        print_json(code=row.code, title=row.title, explanation=row.text, example=row.example)
        return
    click.echo(str(row))
