"""Command on emitted Programs: verify."""

from __future__ import annotations

import time

import click

from gatewright.cli.output import coloured, print_json, table
from gatewright.cli.spec_commands import spec_files


@click.command()
@click.argument("cells", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Verify every cell of the catalogue.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(cells: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Prove that the Programs of CELLS, forward and reverse, compute what the cells say.

    For all sizes and all numbers, over the reals: rounding is what `gatewright grad` measures. Exit
    code 0: proved; 1: refuted by numbers; 4: neither.
    """
    from gatewright.claims.translation import verified
    from gatewright.language import catalogue
    from gatewright.program.compile import compile_cell

    if everything == bool(cells):
        raise click.UsageError("name the cells to verify, or give --all")
    found = []
    for name in spec_files(()) if everything else cells:
        for choices in catalogue.variants(catalogue.read_spec(name)):
            cell = catalogue.load(name, choices=choices)
            programs = compile_cell(cell)
            began = time.perf_counter()
            found.append((cell.identifier, verified(programs), time.perf_counter() - began))
    words = ["fail" if f.broken else "inconclusive" if f.undecided else "pass" for _, f, _ in found]
    if as_json:
        listed = [
            {
                "cell": name,
                "verdict": word,
                "identities": f.count,
                "theory": str(f.theory),
                "broken": f.broken,
                "undecided": f.undecided,
                "milliseconds": round(1000 * seconds, 3),
            }
            for (name, f, seconds), word in zip(found, words, strict=True)
        ]
        print_json(cells=listed)
    else:
        rows = []
        for (name, f, seconds), word in zip(found, words, strict=True):
            what = "; ".join((*f.broken, *f.undecided)) or f"{f.count} identities in {f.theory}"
            rows.append((name, coloured(word), what, f"{1000 * seconds:.1f} ms"))
        click.echo(table(("cell", "verdict", "what", "time"), rows))
    return 1 if "fail" in words else 4 if "inconclusive" in words else 0
