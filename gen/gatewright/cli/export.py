"""The command `export`: a cell and its weights to a file that another library runs."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from gatewright.cli.output import print_json
from gatewright.cli.view_commands import load_with, with_settings


@click.command()
@click.argument("cell")
@click.option(
    "--onnx",
    "output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The ONNX file to write.",
)
@click.option(
    "--weights",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="An .npz file with the parameters by name.",
)
@click.option("--scan", is_flag=True, help="Use Scan even where ONNX has an operator.")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(
    cell: str,
    output: Path,
    weights: Path,
    scan: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write CELL with its weights as an ONNX model.

    ONNX's LSTM, GRU or RNN in single precision where CELL is one of them, else a Scan over its
    equations. `numpy.savez(FILE, **parameters)` writes the weights.
    """
    loaded = load_with(cell, settings)
    bridge = importlib.import_module("gatewright.bridges.onnx")
    from gatewright.bridges.arguments import read_weights

    model = bridge.export(
        loaded, read_weights(weights), output, native_operator=False if scan else None
    )
    kinds = [node.op_type for node in model.graph.node if node.op_type in bridge.RECURRENT]
    ends = {"inputs": model.graph.input, "outputs": model.graph.output}
    names = {end: [value.name for value in values] for end, values in ends.items()}
    if as_json:
        print_json(file=str(output), cell=loaded.cell.identifier, operator=kinds[0], **names)
        return
    taken, given = (", ".join(each) for each in names.values())
    click.echo(f"wrote {output}: {loaded.cell.identifier} as {kinds[0]}, {taken} to {given}")
