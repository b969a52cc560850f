"""Verdicts -> the blocks of a page: a family of claims told so that a reader can follow.

Every family has its readings, their verdicts and the details; that of the famous claim has its
story around them, told by `famous`.

Why generated: every number and formula on the page comes from the verdicts, so the page cannot say
what the prover did not find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatewright.claims.details import MEANING, detail
from gatewright.claims.famous import is_whole, story, what_else
from gatewright.claims.pages import Block, html, markdown
from gatewright.claims.tell import ASSUMES
from gatewright.claims.typeset import naming
from gatewright.claims.verdict import Proved, Refuted, Verdict


def report(family: str, title: str, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Return the files of a family's page by name: Markdown, its pictures, and HTML."""
    blocks = list(_page(family, title, verdicts))
    pictures = {
        f"{family}_{block.rows[0][0]}.svg": block.text
        for block in blocks
        if block.kind == "picture"
    }
    return {
        f"{family}.md": markdown(family, blocks),
        f"{family}.html": html(title, blocks),
        **pictures,
    }


def _page(family: str, title: str, verdicts: Sequence[Verdict]) -> Iterator[Block]:
    famous = is_whole(family, verdicts)
    yield Block("title", title)
    if famous:
        yield from story(verdicts)
        yield Block("heading", "Every reading and its verdict")
    yield _overview(verdicts, famous)
    if famous:
        yield from what_else(verdicts)
    yield Block("heading", "In detail")
    for verdict in verdicts:
        yield from detail(verdict, not famous)
    yield Block("heading", "What a verdict means")
    yield Block("text", MEANING)


def _overview(verdicts: Sequence[Verdict], told: bool) -> Block:
    rows = [("reading", "verdict", "how")]
    for verdict in verdicts:
        claim = verdict.claim
        reading = claim.told if told else claim.statement
        rows.append((reading or claim.statement, verdict.word, _how(verdict)))
    return Block("table", rows=tuple(rows), names=naming(verdicts[0].claim))


def _how(verdict: Verdict) -> str:
    match verdict.finding:
        case Proved() as proof:
            ahead = "; the tie looks one step ahead" if proof.lookahead else ""
            return f"{ASSUMES[proof.theory]}{ahead}"
        case Refuted(step, example):
            units = "unit" if example.size == 1 else "units"
            return f"differs in step {step}, with {example.size} {units}"
        case undecided:
            return undecided.kind
