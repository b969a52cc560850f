"""Commands that only look: list, show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gatewright.cli.output import print_json, table

if TYPE_CHECKING:
    from gatewright.language.cell import Cell, Variable
    from gatewright.loaded import LoadedCell


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_cells(as_json: bool) -> None:
    """List the cells of the catalogue."""
    from gatewright.language import catalogue

    cells = [catalogue.load(name) for name in catalogue.names()]
    if as_json:
        print_json(cells=[_description(cell) for cell in cells])
        return
    rows = [
        (
            cell.name,
            ", ".join(state.name for state in cell.states),
            ", ".join(cell.gates),
            cell.title,
        )
        for cell in cells
    ]
    click.echo(table(("cell", "states", "gates", "title"), rows))


def _description(cell: Cell) -> dict[str, object]:
    def shapes(variables: tuple[Variable, ...]) -> dict[str, list[str]]:
        return {variable.name: list(variable.dims) for variable in variables}

    return {
        "cell": cell.name,
        "title": cell.title,
        "cite": list(cell.cite),
        "inputs": shapes(cell.inputs),
        "states": [state.name for state in cell.states],
        "gates": list(cell.gates),
        "parameters": shapes(cell.parameters),
        "constants": {constant.name: constant.value for constant in cell.constants},
        "choices": {choice.name: list(choice.options) for choice in cell.choices},
        "equations": [str(equation) for equation in cell.equations],
        "output": cell.output,
    }


with_settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a constant or a choice; may be repeated.",
)
STAGES = ("spec", "cell", "program", "vjp", "source", "latex", "mathml")


@click.command()
@click.argument("cell")
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default="cell",
    show_default=True,
    help="`vjp` is the reverse; `source` is the generated file.",
)
@click.option(
    "--target",
    type=click.Choice(("cpu", "cuda")),
    default="cpu",
    show_default=True,
    help="Whose source.",
)
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(cell: str, stage: str, target: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show CELL at one stage, from its full spec to its generated code."""
    loaded = load_with(cell, settings)
    text = _at_stage(loaded, stage, target)
    if as_json:
        print_json(cell=loaded.cell.identifier, stage=stage, target=target, text=text)
    else:
        click.echo(text.rstrip("\n"))


def load_with(cell: str, settings: tuple[str, ...]) -> LoadedCell:
    """Load a cell with `NAME=VALUE` settings; a value that reads as a number is one."""
    from gatewright.loaded import load

    values: dict[str, str | float] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (name and equals and value):
            raise click.UsageError(
                f"--set takes NAME=VALUE, such as activation=relu; got {setting}"
            )
        try:
            values[name] = float(value)
        except ValueError:
            values[name] = value
    return load(cell, **values)


def _at_stage(loaded: LoadedCell, stage: str, target: str) -> str:
    match stage:
        case "spec":
            from gatewright.language.format import write_spec

            return write_spec(loaded.cell)
        case "program":
            return str(loaded.programs.forward)
        case "vjp":
            return str(loaded.programs.reverse)
        case "source":
            return loaded.source(target)
        case "latex":
            return loaded._repr_latex_()
        case "mathml":
            return loaded._repr_html_()
        case _:
            return str(loaded.cell)
