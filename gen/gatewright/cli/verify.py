"""Command on emitted Programs and generated files: verify."""

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
    """Prove that what is generated for CELLS computes what they say.

    Proved are the Programs, forward and reverse; the functions they call, their derivatives and
    stable forms; and the text of the generated file of each target. For all sizes and all numbers,
    over the reals: rounding is what `gatewright grad` measures. Exit code 0: proved; 1: refuted by
    numbers; 4: neither.
    """
    from gatewright.language import catalogue
    from gatewright.verify.whole import whole

    if everything == bool(cells):
        raise click.UsageError("name the cells to verify, or give --all")
    found = []
    for name in spec_files(()) if everything else cells:
        for choices in catalogue.variants(catalogue.read_spec(name)):
            cell = catalogue.load(name, choices=choices)
            began = time.perf_counter()
            found.append((whole(cell), time.perf_counter() - began))
    words = [each.word for each, _ in found]
    if as_json:
        listed = [
            {
                "cell": each.cell,
                "verdict": each.word,
                "identities": each.parts["programs"].count,
                "theory": str(each.parts["programs"].theory),
                "functions": list(each.functions),
                "proved": {name: part.count for name, part in each.parts.items()},
                "broken": each.broken,
                "undecided": each.undecided,
                "milliseconds": round(1000 * seconds, 3),
            }
            for each, seconds in found
        ]
        print_json(cells=listed)
    else:
        rows = [
            (
                each.cell,
                coloured(each.word),
                "; ".join((*each.broken, *each.undecided)) or each.summary,
                f"{1000 * seconds:.1f} ms",
            )
            for each, seconds in found
        ]
        click.echo(table(("cell", "verdict", "what", "time"), rows))
        total = sum(part.count for each, _ in found for part in each.parts.values())
        click.echo(f"{words.count('pass')} of {len(words)} cells proved, {total} identities")
    return 1 if "fail" in words else 4 if "inconclusive" in words else 0
