"""Text -> text: the formulas of a claim file in house style; all else stays as it was written.

Why only formulas: a claim file is prose and names around a few formulas, and a formatter that
moved the prose would lose the reasons that stand in its comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatewright.claims.family import Family, read_family_text
from gatewright.language.diagnostics import InternalError
from gatewright.language.equation import EquationError, parse
from gatewright.language.expression import render
from gatewright.language.reader import document
from gatewright.language.yaml_nodes import Listing, Mapping, Node, Scalar

FORMULAS = ("ties", "parameters", "states")
_FAMILY = re.compile(r"^family:", re.MULTILINE)


def is_claim_file(text: str) -> bool:
    """Tell whether a text is a file of claims and not a spec."""
    return _FAMILY.search(text) is not None


def format_claims(text: str, file: str = "claims.yaml") -> str:
    """Return a claim file in house style. Raises SpecError if the text is not one."""
    before = read_family_text(text, file)
    result = before.source
    changes = sorted(_changes(document(before.source, file)), key=lambda each: -each[0])
    for start, end, new in changes:
        result = result[:start] + new + result[end:]
    result = "\n".join(line.rstrip() for line in result.split("\n")).strip("\n") + "\n"
    after = read_family_text(result, file)
    if _meaning(before) != _meaning(after):
        raise InternalError(f"formatting {file} would change its meaning")
    return result


def _meaning(family: Family) -> list[object]:
    """Return every formula of a file, without its place."""
    return [
        (
            [(key.value, formula.expr) for key, formula in (*claim.ties, *claim.states)],
            [(key.value, formula.expr if formula else "") for key, _, formula in claim.parameters],
            [(left.expr, right.expr) for left, right, _ in claim.observe],
        )
        for claim in family.claims
    ]


def _changes(top: Mapping) -> Iterator[tuple[int, int, str]]:
    for key, value in top.pairs:
        if isinstance(key, Scalar) and key.text == "claims" and isinstance(value, Mapping):
            for _, claim in value.pairs:
                if isinstance(claim, Mapping):
                    yield from _of_claim(claim)


def _of_claim(claim: Mapping) -> Iterator[tuple[int, int, str]]:
    for key, value in claim.pairs:
        name = key.text if isinstance(key, Scalar) else ""
        if name in FORMULAS and isinstance(value, Mapping):
            for _, item in value.pairs:
                yield from _formula(item)
        elif name == "observe" and isinstance(value, Listing):
            for item in value.items:
                yield from _formula(item)


def _formula(node: Node) -> Iterator[tuple[int, int, str]]:
    """Yield the place and the new text of a formula that is written plainly on one line."""
    if not isinstance(node, Scalar) or node.style or "\n" in node.text:
        return
    try:
        sides = [render(parse(side, references=True)) for side in node.text.split("=")]
    except EquationError:
        return  # An entry with a star is no formula until it is filled in.
    new = " = ".join(sides)
    if new != node.text and node.end - node.start == len(node.text):
        yield node.start, node.end, new
