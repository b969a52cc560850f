"""Blocks -> Markdown and HTML: a page is built once and written twice.

In Markdown formulas are LaTeX between dollar signs, which the usual viewers typeset; the HTML loads
no script, so there they are MathML. In text, what stands between backticks is a formula.

Why no template: a page is a list of blocks in order, and each block is one line of markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from gatewright.claims.typeset import (
    ClaimNaming,
    formula_latex,
    formula_mathml,
    text_html,
    text_markdown,
)
from gatewright.language.catalogue import load
from gatewright.language.latex import cell_latex
from gatewright.language.mathml import cell_mathml


@dataclass(frozen=True)
class Block:
    """A part of the page, and how its formulas name things.

    `kind` is title, heading, claim, text, quote, code, cell, formula, list, table, picture or link.
    """

    kind: str
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    names: ClaimNaming | None = None


def markdown(family: str, blocks: Sequence[Block]) -> str:
    """Return the page in Markdown; pictures are files beside it."""
    return "\n\n".join(_in_markdown(family, block) for block in blocks) + "\n"


def _in_markdown(family: str, block: Block) -> str:
    text = text_markdown(block.text, block.names)
    match block.kind:
        case "title":
            return f"# {text}"
        case "heading":
            return f"## {text}"
        case "claim":
            ((name, word),) = block.rows
            return f"### {name}: {word}\n\n{text}"
        case "quote":
            return f"> {text}"
        case "code":
            return f"```\n{block.text}\n```"
        case "cell":
            cell = load(block.text)
            return f"{cell.title}:\n\n$$\n{cell_latex(cell)}\n$$"
        case "formula":
            tex = formula_latex(block.text, block.names) if block.names else None
            return f"```\n{block.text}\n```" if tex is None else f"$${tex}$$"
        case "list":
            return "\n".join(f"* {text_markdown(row[0], block.names)}" for row in block.rows)
        case "table":
            head, *rest = (
                tuple(text_markdown(cell, block.names) for cell in row) for row in block.rows
            )
            lines = [head, tuple("---" for _ in head), *rest]
            return "\n".join(f"| {' | '.join(line)} |" for line in lines)
        case "picture":
            return f"![{block.rows[0][1]}]({family}_{block.rows[0][0]}.svg)"
        case "link":
            return f"<{block.text}>"
        case _:
            return text


def html(title: str, blocks: Sequence[Block]) -> str:
    """Return the page in HTML: one file that loads nothing."""
    body = "\n".join(_in_html(block) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


STYLE = (
    ":root{color-scheme:light dark;--ink:#222;--soft:#666;--line:#ddd;--box:#f6f6f2;--page:#fff;"
    "--proved:#236b2c;--refuted:#a3341d;--link:#1b5e9b}"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--soft:#a0a0a0;--line:#444;--box:#262622;"
    "--page:#181816;--proved:#7fc98a;--refuted:#f0937c;--link:#82b8ea}}"
    "body{font:16px/1.55 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;"
    "color:var(--ink);background:var(--page)}a{color:var(--link);overflow-wrap:anywhere}"
    "h2{margin-top:2em}h3{margin-top:1.8em;border-top:1px solid var(--line);padding-top:1em}"
    "h3 code{font-size:.8em;color:var(--soft);font-weight:normal;overflow-wrap:anywhere}"
    ".wide{overflow-x:auto;overflow-y:hidden;padding-bottom:4px}table{border-collapse:collapse}"
    "td,th{border-bottom:1px solid var(--line);padding:.35em 1.2em .35em 0;text-align:left;"
    "vertical-align:top}blockquote{border-left:3px solid var(--soft);margin-left:0;"
    "padding-left:1em}pre,.formula{background:var(--box);padding:.6em .8em;overflow-x:auto}"
    "pre,code{font:13px/1.5 ui-monospace,monospace}math{font-size:1.1em}"
    ".formula math{margin:0}td math{white-space:nowrap}"
    ".proved{color:var(--proved);font-weight:600}.refuted{color:var(--refuted);font-weight:600}"
    "ul.sets{columns:17em;padding-left:1.2em}ul.sets li{break-inside:avoid}"
    "figure{margin:1.5em 0}svg{width:100%;height:auto}"
)


def _verdict(word: str) -> str:
    known = word in ("proved", "refuted")
    return f'<span class="{word}">{word}</span>' if known else escape(word)


def _cell(text: str, names: ClaimNaming | None) -> str:
    return _verdict(text) if text in ("proved", "refuted") else text_html(text, names)


def _in_html(block: Block) -> str:
    text = text_html(block.text, block.names)
    match block.kind:
        case "title":
            return f"<h1>{text}</h1>"
        case "heading":
            return f"<h2>{text}</h2>"
        case "claim":
            ((name, word),) = block.rows
            head = f"{_verdict(word)} <code>{escape(name)}</code>"
            return f'<h3 id="{escape(name)}">{head}</h3><p>{text}</p>'
        case "quote":
            return f"<blockquote>{text}</blockquote>"
        case "code":
            return f"<pre>{escape(block.text)}</pre>"
        case "cell":
            cell = load(block.text)
            return f'<p>{escape(cell.title)}:</p><div class="wide">{cell_mathml(cell)}</div>'
        case "formula":
            math = formula_mathml(block.text, block.names, True) if block.names else None
            return f'<div class="formula">{math or escape(block.text)}</div>'
        case "list":
            items = "".join(f"<li>{text_html(row[0], block.names)}</li>" for row in block.rows)
            return f'<ul class="{block.text}">{items}</ul>'
        case "table":
            return _table(block)
        case "picture":
            return f"<figure>{block.text}</figure>"
        case "link":
            return f'<p><a href="{escape(block.text)}">{escape(block.text)}</a></p>'
        case _:
            return f"<p>{text}</p>"


def _table(block: Block) -> str:
    head, *rest = block.rows
    top = "".join(f"<th>{_cell(cell, block.names)}</th>" for cell in head)
    below = "".join(
        f"<tr>{''.join(f'<td>{_cell(cell, block.names)}</td>' for cell in row)}</tr>"
        for row in rest
    )
    return f'<div class="wide"><table><tr>{top}</tr>{below}</table></div>'
