"""Verdicts -> Markdown and HTML: a family of claims told so that a reader can follow.

The page is built once, as blocks of text, formulas, tables and pictures, and written twice. In
Markdown formulas are LaTeX between dollar signs, which the usual viewers typeset; the HTML loads no
script, so there they are MathML where they come from cells and text where they were factored.

Why generated: every number and formula on the page comes from the verdicts, so the page cannot say
what the prover did not find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from gatewright.claims.assume import abduce
from gatewright.claims.divergence import drifts
from gatewright.claims.pictures import divergence_svg, timing_svg
from gatewright.claims.relate import relate
from gatewright.claims.tell import ASSUMES, numbers
from gatewright.claims.verdict import Proved, Refuted, Verdict
from gatewright.language.catalogue import load
from gatewright.language.latex import cell_latex
from gatewright.language.mathml import cell_mathml

FAMOUS = "lstm_gru"
ANSWER = (
    "With f = 1 − z, i = z and φ2 = identity, the LSTM's cell follows the GRU's recurrence exactly "
    "if the gate that multiplies the state inside the candidate is the same at the same time, "
    "o[t−1] = r[t]. A real LSTM has computed o[t−1] one step earlier, from x[t−1] and h[t−2]; its "
    "gates read o ⊙ c; and it emits o ⊙ c. Move the output gate from write time to read time, let "
    "the gates read c and emit c, and the LSTM is the GRU."
)
CLAIMED = (
    "if f = 1 − z, i = z, o = r and φ2(x) = x, the GRU and LSTM models implement the same "
    "recurrence. The only difference that remains is that the gates are computed from o·φ2(c) in "
    "the LSTM, rather than from c as it is the case in the GRU. In this sense, the GRU is a "
    "strictly simplified version of the LSTM."
)
DIFFERENCES = (
    ("timing", "the gate inside the candidate is one step old in the LSTM", "not named"),
    ("source", "the other gates read o·φ2(c) and not c", "the one the text names"),
    ("output", "the LSTM emits o·φ2(c), the GRU its state", "not named"),
)


@dataclass(frozen=True)
class Block:
    """A part of the page. `kind` is heading, text, quote, code, formula, list, table or picture."""

    kind: str
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


def report(family: str, title: str, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Return the files of a family's page by name: Markdown, its pictures, and HTML."""
    blocks = list(_page(family, title, verdicts))
    pictures = {
        f"{family}_{block.rows[0][0]}.svg": block.text
        for block in blocks
        if block.kind == "picture"
    }
    return {
        f"{family}.md": _markdown(family, blocks),
        f"{family}.html": _html(title, blocks),
        **pictures,
    }


def _page(family: str, title: str, verdicts: Sequence[Verdict]) -> Iterator[Block]:
    yield Block("title", title)
    if family == FAMOUS:
        yield from _famous()
    yield Block("heading", "Every reading and its verdict")
    rows = [("reading", "verdict", "how")]
    for verdict in verdicts:
        rows.append((verdict.claim.told or verdict.claim.name, verdict.word, _how(verdict)))
    yield Block("table", rows=tuple(rows))
    if family == FAMOUS:
        yield from _searched(verdicts)
    yield Block("heading", "In detail")
    for verdict in verdicts:
        yield from _detail(verdict)
    yield Block("heading", "What a verdict means")
    yield Block("text", MEANING)


MEANING = (
    "Proved: for all hidden sizes, weights, inputs and lengths, by induction over the steps; each "
    "obligation is an identity of normal forms over the reals, and rounding is not spoken of. "
    "Refuted: at the exact numbers shown, interval arithmetic encloses the two values in disjoint "
    "intervals, and a second program that shares no code with the prover finds the same."
)


def _famous() -> Iterator[Block]:
    yield Block("text", "A text that is often quoted says of the two cells:")
    yield Block("quote", CLAIMED)
    yield Block("text", "Its o and r carry no time index. The cells are:")
    yield Block("cell", "lstm")
    yield Block("cell", "gru")
    yield Block("text", "There are three differences, independent of each other:")
    yield Block("table", rows=(("difference", "what", "in the text"), *DIFFERENCES))
    yield Block("picture", timing_svg(), rows=(("timing",),))
    yield Block("text", "The sentence that is true:")
    yield Block("quote", ANSWER)


def _how(verdict: Verdict) -> str:
    match verdict.finding:
        case Proved() as proof:
            ahead = ", the tie looks one step ahead" if proof.lookahead else ""
            return f"{proof.theory}: {ASSUMES[proof.theory]}{ahead}"
        case Refuted(step, example):
            units = "unit" if example.size == 1 else "units"
            return f"first differs in step {step}, with {example.size} {units}"
        case undecided:
            return undecided.kind


def _searched(verdicts: Sequence[Verdict]) -> Iterator[Block]:
    claim = next(v.claim for v in verdicts if v.claim.name == "formulas")
    found = abduce(claim)
    yield Block("heading", "What else would have to hold")
    yield Block(
        "text",
        f"For the reading with real cells and tied weights, all minimal sets of at most three "
        f"further assumptions that make it true, out of {found.tried} sets, {found.refuted} of "
        f"them refuted by numbers and {len(found.undecided)} left undecided:",
    )
    yield Block("list", rows=tuple((" and ".join(s.assumptions),) for s in found.sufficient))
    related = relate(load("lstm"), load("gru"), all_ways=True)
    plain = [r for r in related.relations if not r.changes[0].startswith("gru.")]
    kept = "; ".join(plain[0].changes) if plain else "none"
    best = "; ".join(related.relations[0].changes)
    yield Block("heading", "No other tie does it")
    yield Block(
        "text",
        f"Among {related.combinations:,} combinations of ties, constants, functions, weights and "
        f"state maps, the cheapest that turns the LSTM into the GRU is: {best}. With the reset "
        f"gate left free the cheapest is: {kept}. It ties a gate to one of the next step, which "
        "sequences can and cells that run in order cannot.",
    )
    measured = drifts()
    yield Block("heading", "How large the difference is")
    yield Block(
        "text",
        "With gates as sequences tied at equal steps, let L be the largest row sum of |U|, d the "
        "largest change of r in one step, and L max r < 1. From equal states the difference stays "
        "below L d max(|h0|, 1) / (1 − L max r). Measured, as a part of that bound: "
        + ", ".join(f"{100 * m.largest / m.bound:.0f} % at L = {m.size}" for m in measured)
        + ". So the two are close where the reset gate changes slowly, and that is all that can "
        "be said.",
    )
    yield Block("picture", divergence_svg(measured), rows=(("divergence",),))


def _detail(verdict: Verdict) -> Iterator[Block]:
    claim = verdict.claim
    yield Block("subheading", f"{claim.name}: {verdict.word}")
    yield Block("text", claim.statement)
    if claim.ties:
        ties = ", ".join(f"{a}.{n}[t] = {expr}" for (a, n), expr in claim.ties.items())
        yield Block("text", f"Ties: {ties}.")
    match verdict.finding:
        case Proved() as proof:
            for what, text, tex in proof.normal_forms:
                yield Block("formula", f"{what}, both sides being {text}", ((what, tex),))
            if proof.rules:
                rules = "; ".join(rule for rule, _ in proof.rules)
                yield Block("text", f"Used: {rules}.")
            for condition in proof.conditions:
                yield Block("text", f"Provided that {condition}.")
        case Refuted() as refuted:
            example = refuted.counterexample
            yield Block(
                "text",
                f"{claim.observe[example.observed]} at t = {example.step}: "
                f"left {example.left}, right {example.right}, at",
            )
            yield Block("code", "\n".join(numbers(example)))
            for what, text, tex in refuted.residuals:
                yield Block("formula", f"{what}, left minus right: {text}", ((what, tex),))
            for condition in refuted.vanishes:
                yield Block("text", f"That is {condition}.")
    for link in claim.links:
        yield Block("link", link)


def _markdown(family: str, blocks: Sequence[Block]) -> str:
    return "\n\n".join(_in_markdown(family, block) for block in blocks) + "\n"


def _in_markdown(family: str, block: Block) -> str:
    match block.kind:
        case "title":
            return f"# {block.text}"
        case "heading":
            return f"## {block.text}"
        case "subheading":
            return f"### {block.text}"
        case "quote":
            return f"> {block.text}"
        case "code":
            return f"```\n{block.text}\n```"
        case "cell":
            cell = load(block.text)
            return f"{cell.title}:\n\n$$\n{cell_latex(cell)}\n$$"
        case "formula":
            ((what, tex),) = block.rows
            return f"`{what}`\n\n$${tex}$$"
        case "list":
            return "\n".join(f"* {row[0]}" for row in block.rows)
        case "table":
            head, *rest = block.rows
            lines = [head, tuple("---" for _ in head), *rest]
            return "\n".join(f"| {' | '.join(line)} |" for line in lines)
        case "picture":
            return f"![{block.rows[0][0]}]({family}_{block.rows[0][0]}.svg)"
        case "link":
            return f"<{block.text}>"
        case _:
            return block.text


def _html(title: str, blocks: Sequence[Block]) -> str:
    body = "\n".join(_in_html(block) for block in blocks)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;"
    "color:#222}table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:.3em "
    ".8em .3em 0;text-align:left;vertical-align:top}blockquote{border-left:3px solid #999;"
    "margin-left:0;padding-left:1em}pre,.formula{background:#f6f6f2;padding:.6em;overflow-x:auto;"
    "font:13px/1.5 ui-monospace,monospace}svg{width:100%}"
)


def _in_html(block: Block) -> str:
    text = escape(block.text)
    match block.kind:
        case "title":
            return f"<h1>{text}</h1>"
        case "heading":
            return f"<h2>{text}</h2>"
        case "subheading":
            return f"<h3>{text}</h3>"
        case "quote":
            return f"<blockquote>{text}</blockquote>"
        case "code":
            return f"<pre>{text}</pre>"
        case "cell":
            cell = load(block.text)
            return f"<p>{escape(cell.title)}</p>{cell_mathml(cell)}"
        case "formula":
            return f'<p class="formula">{text}</p>'
        case "list":
            items = "".join(f"<li>{escape(row[0])}</li>" for row in block.rows)
            return f"<ul>{items}</ul>"
        case "table":
            head, *rest = block.rows
            top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
            below = "".join(
                f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rest
            )
            return f"<table><tr>{top}</tr>{below}</table>"
        case "picture":
            return f"<figure>{block.text}</figure>"
        case "link":
            return f'<p><a href="{text}">{text}</a></p>'
        case _:
            return f"<p>{text}</p>"
