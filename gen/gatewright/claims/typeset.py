"""Text of a claim -> LaTeX and MathML: formulas between backticks, typeset as papers print them.

A formula is one expression or several with `=` between them. What cannot be read as one, such as a
name with a `*` in it, stays as it is written.

Why read back from text: the terminal, a page and the claim file then show one formula, and the
printers of cells print those of claims.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from gatewright.claims.claim import Claim
from gatewright.claims.shapes import parameter_dims
from gatewright.language.equation import EquationError, parse
from gatewright.language.expression import Expr, Name, walk
from gatewright.language.latex import expression_latex
from gatewright.language.mathml import relation_mathml
from gatewright.language.notation import Symbol, taken_apart
from gatewright.language.references import Reference, is_reference, read_reference

FORMULA = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class ClaimNaming:
    """Names in formulas of a claim; `both` are those that each of the two cells has."""

    claim: Claim
    both: frozenset[str]

    def symbol(self, name: str) -> Symbol:
        """Take a reference apart: the cell stands above a name that both cells have."""
        reference = _reference(name)
        if reference is None:
            return Symbol(*taken_apart(name), "")
        step = reference.shift
        when = "" if step is None else f"t{step:+d}" if step else "t"
        above = reference.cell if reference.name in self.both else ""
        return Symbol(*taken_apart(reference.name), when, above=above)

    def is_vector_name(self, name: str) -> bool:
        """Tell whether a name stands for a vector or a matrix."""
        reference = _reference(name)
        if reference is None:
            symbol = self.claim.symbols.get(name)
            return symbol is None or bool(symbol.dims)
        if reference.shift is None and reference.cell:
            return bool(parameter_dims(self.claim.side(reference.cell), reference.name))
        return True


def _reference(name: str) -> Reference | None:
    found = read_reference(name) if is_reference(name) else None
    return found if isinstance(found, Reference) else None


def naming(claim: Claim, *formulas: str) -> ClaimNaming:
    """Return how formulas that stand together name things: by cell where one would be ambiguous."""
    owners: dict[str, set[str]] = {}
    for formula in formulas:
        for side in sides(formula) or ():
            for node in walk(side):
                reference = _reference(node.name) if isinstance(node, Name) else None
                if reference is not None and reference.cell:
                    owners.setdefault(reference.name, set()).add(reference.cell)
    return ClaimNaming(claim, frozenset(name for name, cells in owners.items() if len(cells) > 1))


def sides(formula: str) -> tuple[Expr, ...] | None:
    """Read a formula: what stands between its equals signs; None if it is none."""
    try:
        return tuple(parse(side, references=True) for side in formula.split(" = "))
    except EquationError:
        return None


def formula_latex(formula: str, names: ClaimNaming) -> str | None:
    """Return a formula in LaTeX; None if it is none."""
    found = sides(formula)
    return None if found is None else " = ".join(expression_latex(each, names) for each in found)


def formula_mathml(formula: str, names: ClaimNaming, display: bool = False) -> str | None:
    """Return a formula in MathML; None if it is none."""
    found = sides(formula)
    return None if found is None else relation_mathml(found, names, display)


def text_markdown(text: str, names: ClaimNaming | None) -> str:
    """Return a sentence in Markdown, the formulas between its backticks in LaTeX."""

    def set_in(match: re.Match[str]) -> str:
        tex = formula_latex(match[1], names) if names else None
        return match[0] if tex is None else f"${tex}$"

    return FORMULA.sub(set_in, text)


def text_html(text: str, names: ClaimNaming | None) -> str:
    """Return a sentence in HTML, the formulas between its backticks in MathML."""

    def set_in(part: str) -> str:
        math = formula_mathml(part, names) if names else None
        return f"<code>{escape(part)}</code>" if math is None else math

    parts = FORMULA.split(text)
    return "".join(set_in(part) if k % 2 else escape(part) for k, part in enumerate(parts))
