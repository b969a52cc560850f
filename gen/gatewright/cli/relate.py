"""Commands that search: relate, assume."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from gatewright.cli.output import note, print_json

if TYPE_CHECKING:
    from gatewright.claims.relate import Related
    from gatewright.claims.relation import Relation


@click.command()
@click.argument("first")
@click.argument("second", required=False)
@click.option("--all-ways", is_flag=True, help="List the costlier relations too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def relate(first: str, second: str | None, all_ways: bool, as_json: bool) -> int:
    """Find what turns FIRST into SECOND, or prove that nothing does.

    Searched are ties, constants, functions, weights and maps of states. Without SECOND, relate
    FIRST to every cell of the catalogue, in both directions, and list the cheapest relation of
    each, unless it takes the last gate from both cells. Each relation is proved, and every
    other combination of the space is excluded by exact numbers; the output states the space. Exit
    code 0: one was found; 1: there is none in the space; 4: none was found, and some combinations
    are undecided or not searched.
    """
    from gatewright.claims.relate import SPACE
    from gatewright.claims.relate import relate as find
    from gatewright.language import catalogue

    cell = catalogue.load(first)
    others = [second] if second else [n for n in catalogue.names() if n != cell.name]
    found: list[Relation] = []
    gateless = 0
    searched: list[tuple[str, str, Related]] = []
    began = time.perf_counter()
    for name in others:
        other = catalogue.load(name)
        note(f"{cell.identifier} and {other.identifier}")
        for one, two in ((cell, other),) if second else ((cell, other), (other, cell)):
            related = find(one, two, all_ways)
            searched.append((one.identifier, two.identifier, related))
            listed = related.relations if all_ways or second else related.relations[:1]
            kept = [each for each in listed if second or not each.gateless]
            gateless += len(listed) - len(kept)
            found += kept
    seconds = time.perf_counter() - began
    if as_json:
        print_json(
            relations=[_plain(relation) for relation in found],
            gateless=gateless,
            combinations=sum(related.account.all for _, _, related in searched),
            space=list(SPACE),
            searched=[_accounted(*each) for each in searched],
        )
    else:
        for relation in found:
            click.echo(_told(relation))
        click.echo(_summary(found, [related for _, _, related in searched], seconds))
        if gateless:
            click.echo(f"  not listed: {gateless} in which no gate of either cell is left")
    decided = all(each.complete and each.account.all for _, _, each in searched)
    return 0 if found or gateless else 1 if decided else 4


def _plain(relation: Relation) -> dict[str, object]:
    return {
        "first": relation.first,
        "second": relation.second,
        "changes": relation.changes,
        "states": relation.states,
        "output": relation.output,
        "theory": str(relation.theory),
        "lookahead": relation.lookahead,
    }


def _accounted(first: str, second: str, related: Related) -> dict[str, object]:
    account = related.account
    return {
        "first": first,
        "second": second,
        "combinations": account.all,
        "proved": account.proved,
        "excluded": account.excluded,
        "meaningless": account.meaningless,
        "undecided": account.undecided,
        "undecided_listed": related.undecided,
        "left_out": related.left_out,
    }


def _summary(found: list[Relation], searched: list[Related], seconds: float) -> str:
    from gatewright.claims.relate import SPACE
    from gatewright.claims.screen import NOTHING

    account = sum((related.account for related in searched), NOTHING)
    lines = [
        f"{len(found)} found among {account.all} combinations in {seconds:.1f} s: "
        f"{account.proved} proved, {account.excluded} excluded by exact numbers, "
        f"{account.meaningless} without a meaning, {account.undecided} undecided"
    ]
    for related in searched:
        lines += [f"  undecided: {each}" for each in related.undecided]
    left_out = dict.fromkeys(each for related in searched for each in related.left_out)
    lines += [f"  not searched: {each}" for each in left_out]
    if not account.proved and account.all:
        sure = (
            "it is undecided whether one is" if account.undecided else "there is proved to be none"
        )
        lines.append(f"{sure} in this space:")
        lines += [f"  {each}" for each in SPACE]
    return "\n".join(lines)


def _told(relation: Relation) -> str:
    lines = [f"{relation.first} becomes {relation.second} ({relation.theory}), with"]
    lines += [f"  {change}" for change in relation.changes]
    lines.append(f"  states: {', '.join(relation.states)}")
    if relation.output != "the same":
        lines.append(f"  it emits {relation.output} of {relation.second}")
    if relation.lookahead:
        lines.append("  a tie looks one step ahead: true of sequences, not of cells run in order")
    return "\n".join(lines)


@click.command()
@click.argument("claim")
@click.option(
    "--largest",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Assume at most so many things.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def assume(claim: str, largest: int, as_json: bool) -> int:
    """Find all minimal sets of assumptions that make CLAIM true.

    What may be assumed: a gate is 1, 0 or constant; a parameter is 0; a recurrent matrix is
    diagonal; and what the claim lists under `candidates:`. Exit code 0: a set was found; 1:
    none; 4: none, and some sets were neither proved nor refuted.
    """
    from gatewright.claims.assume import abduce
    from gatewright.claims.library import claims_named

    (chosen, *others) = claims_named([claim])
    if others:
        raise click.UsageError(f"`{claim}` names {len(others) + 1} claims; name one")
    found = abduce(chosen, largest)
    if as_json:
        print_json(
            claim=chosen.name,
            sufficient=[
                {
                    "assumptions": each.assumptions,
                    "theory": str(each.theory),
                    "at_rest": each.at_rest,
                }
                for each in found.sufficient
            ],
            tried=found.tried,
            refuted=found.refuted,
            undecided=found.undecided,
        )
    else:
        click.echo(f"{chosen.name}: {chosen.statement}")
        for each in found.sufficient:
            what = "; ".join(each.assumptions) or "nothing more"
            why = " (all states stay 0)" if each.at_rest else ""
            click.echo(f"  proved in {each.theory}, assuming: {what}{why}")
        click.echo(
            f"{len(found.sufficient)} minimal sets of at most {largest}; {found.tried} tried, "
            f"{found.refuted} refuted by numbers, {len(found.undecided)} undecided"
        )
    if found.sufficient:
        return 0
    return 4 if found.undecided else 1
