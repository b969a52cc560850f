"""Commands on claims: prove."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gatewright.cli.output import coloured, made_folder, note, print_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatewright.claims.runs import Runs
    from gatewright.claims.verdict import Verdict


@click.command()
@click.argument("claims", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Decide every claim of the library.")
@click.option("--runs", type=click.IntRange(min=1), help="Run each proved claim so many times.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--report", is_flag=True, help="Write a page per family, as Markdown and HTML.")
@click.option("--output", default=".", show_default=True, help="Where --report writes.")
def prove(
    claims: tuple[str, ...],
    everything: bool,
    runs: int | None,
    as_json: bool,
    report: bool,
    output: str,
) -> int:
    """Prove or refute CLAIMS about cells.

    CLAIMS are ids, families such as lstm_gru, or files. A file may name a cell of your own by its
    path, from the folder of the file: `left: {cell: my_cell.yaml, as: mine}`, or under `cells:`,
    where others can extend it: `mine: my_cell.yaml`. Exit code 0: all verdicts are as their files
    expect; 1: one is not; 4: one is unknown, or cannot be run. Every counterexample is
    recomputed by an independent checker before it is printed.

    With --runs, both cells of every proved claim run for three steps on random numbers, in interval
    arithmetic that encloses every exact value: if what is proved to be equal had no number in
    common, the command would end as one that has a bug, with exit code 70.
    """
    from gatewright.claims.library import claims_named, every_claim, titles_of
    from gatewright.claims.prove import decide

    if everything == bool(claims):
        raise click.UsageError("name the claims to decide, or give --all")
    chosen = every_claim() if everything else claims_named(claims)
    verdicts = [decide(claim) for claim in chosen]
    require_confirmed(verdicts)
    if report:
        _write_reports(verdicts, titles_of(claims), output)
    made = survived(verdicts, runs) if runs else {}
    if as_json:
        counts = {
            name: {"runs": each.made, "left_out": each.skipped} for name, each in made.items()
        }
        listed = [{**each.to_json(), **counts.get(each.claim.name, {})} for each in verdicts]
        print_json(claims=listed)
    else:
        _print(verdicts)
        if runs:
            click.echo(_told(made, runs))
    return exit_code(verdicts) or (
        4 if any(each.made < (runs or 0) for each in made.values()) else 0
    )


def survived(verdicts: Sequence[Verdict], count: int) -> dict[str, Runs]:
    """Return the random runs of every proved claim. Raises InternalError if one disagrees."""
    from gatewright.claims.runs import random_runs
    from gatewright.language.diagnostics import InternalError

    found = {}
    proved = [verdict.claim for verdict in verdicts if verdict.word == "proved"]
    for k, claim in enumerate(proved, 1):
        note(f"{claim.name} ({k} of {len(proved)})")
        found[claim.name] = runs = random_runs(claim, count)
        if runs.disagreed:
            what = f"{runs.disagreed} of {runs.made} runs on random numbers differ"
            raise InternalError(f"{claim.name} is proved, but {what}")
    return found


def _told(made: Mapping[str, Runs], count: int) -> str:
    total = sum(each.made for each in made.values())
    left_out = sum(each.skipped for each in made.values())
    enough = sum(each.made == count for each in made.values())
    lines = [
        f"{name}: only {each.made} of {count} runs; {each.skipped} sets of numbers allow none"
        for name, each in made.items()
        if each.made < count
    ]
    lines.append(
        f"{enough} of {len(made)} proved claims survive {count} runs in ball arithmetic: "
        f"{total} runs, 0 disagree ({left_out} sets of numbers allow no run)"
    )
    return "\n".join(lines)


def _write_reports(verdicts: Sequence[Verdict], titles: Mapping[str, str], output: str) -> None:
    from gatewright.claims.report import report
    from gatewright.emit.write import write_one

    folder = made_folder(output)
    for name in dict.fromkeys(verdict.claim.family for verdict in verdicts):
        own = [verdict for verdict in verdicts if verdict.claim.family == name]
        for file, text in report(name, titles.get(name, name), own).items():
            path = folder / file
            write_one(path, text)
            click.echo(f"wrote {path}", err=True)


def require_confirmed(verdicts: Sequence[Verdict]) -> None:
    """Raise InternalError if the independent checker does not confirm a counterexample."""
    from gatewright.claims.checker import confirm
    from gatewright.claims.verdict import Refuted
    from gatewright.language.diagnostics import InternalError

    for verdict in verdicts:
        finding = verdict.finding
        if isinstance(finding, Refuted):
            found = confirm(verdict.claim, finding.counterexample)
            if not found.confirmed:
                raise InternalError(
                    f"the counterexample to {verdict.claim.name} is not confirmed: "
                    f"{found.left} and {found.right}"
                )


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 0 if all are as expected, 1 if one is decided otherwise, 4 if one is unknown."""
    if any(not each.as_expected and each.word != "unknown" for each in verdicts):
        return 1
    return 4 if any(each.word == "unknown" for each in verdicts) else 0


def _print(verdicts: Sequence[Verdict]) -> None:
    from gatewright.claims.tell import tell

    if len(verdicts) == 1:
        click.echo(tell(verdicts[0]))
        return
    rows = []
    for verdict in verdicts:
        found = verdict.to_json()
        step, size = found["step"], found["size"]
        how = str(found["theory"] or "")
        if step:
            how = f"step {step}, {size} unit{'s' if size != 1 else ''}"
        expected = "" if verdict.as_expected else f"expected {verdict.claim.expect}"
        time = f"{verdict.milliseconds:.1f} ms"
        rows.append((verdict.claim.name, coloured(verdict.word), how, time, expected))
    click.echo(table(("claim", "verdict", "how", "time", ""), rows))
    words = [verdict.word for verdict in verdicts]
    counts = ", ".join(f"{words.count(w)} {w}" for w in ("proved", "refuted", "unknown"))
    wrong = sum(not verdict.as_expected for verdict in verdicts)
    click.echo(f"\n{counts}; {wrong or 'none'} not as expected", file=sys.stdout)
