"""Entries -> parameter map: what gives the parameters of one cell by those of the other.

An entry with a star stands for every parameter it matches: `lstm.*_i: gru.*_z` gives W_i, U_i and
b_i by W_z, U_z and b_z. A plain entry has precedence over a star.

Why stars: most maps send a gate's three arrays to another gate's, and three lines that must say the
same are three chances to say something else.
"""

from __future__ import annotations

from collections.abc import Mapping

from gatewright.claims.claim import Owned
from gatewright.claims.claim_text import STAR, Formula
from gatewright.claims.shapes import ClaimShapes
from gatewright.language.diagnostics import Findings, did_you_mean
from gatewright.language.equation import EquationError, parse
from gatewright.language.expression import Expr, names
from gatewright.language.references import read_reference
from gatewright.language.spec import Text

Entry = tuple[Text, Text, Formula | None]


class ParameterMap:
    """The reader of one claim's parameter map."""

    def __init__(self, shapes: ClaimShapes, found: Findings) -> None:
        self.shapes, self.found = shapes, found
        self.left, self.right = shapes.known.left, shapes.known.right
        self.places: dict[Owned, Text] = {}

    def of(self, entries: tuple[Entry, ...]) -> dict[Owned, Expr]:
        """Return what gives each parameter; report what is wrong with an entry."""
        stars: dict[Owned, Expr] = {}
        plain: dict[Owned, Expr] = {}
        for key, text, formula in entries:
            if formula is None:
                stars |= self._starred(key, text)
            else:
                plain |= self._plain(key, formula)
        result = stars | plain
        self._no_chains(result)
        return result

    def _plain(self, key: Text, formula: Formula) -> dict[Owned, Expr]:
        reference = read_reference(key.value)
        if isinstance(reference, str) or reference.shift is not None:
            message = f"`{key}` is not a parameter of a cell"
            self.found.add("E0601", message, key.span, "a parameter has no time index")
            return {}
        owned = self.shapes.parameter(reference, key.span)
        dims = self.shapes.of(formula, steps=False)
        if owned is None or dims is None:
            return {}
        self.shapes.agree(owned, dims, formula)
        self.places[owned] = key
        return {owned: formula.expr}

    def _no_chains(self, result: Mapping[Owned, Expr]) -> None:
        given = {f"{alias}.{name}" for alias, name in result}
        for owned, expr in result.items():
            for name in names(expr):
                if name in given:
                    message = f"`{owned[0]}.{owned[1]}` is given by `{name}`, which is given itself"
                    help = "give each parameter by parameters that are free"
                    self.found.add("E0609", message, self.places[owned].span, help)

    def _starred(self, key: Text, text: Text) -> dict[Owned, Expr]:
        match = STAR.fullmatch(key.value)
        sides = (self.left, self.right)
        side = next((s for s in sides if match and s.alias == match[1]), None)
        if match is None or side is None:
            message = f"`{key}` matches no parameters"
            help = f"write it as `{self.left.alias}.*_i`, the name of a cell before the dot"
            self.found.add("E0601", message, key.span, help)
            return {}
        before = len(self.found.found)
        self._named(text, {s.alias for s in sides})
        result: dict[Owned, Expr] = {}
        for parameter in side.cell.parameters:
            star = _star(parameter.name, match[2], match[3])
            if star is None or len(self.found.found) > before:
                continue
            filled = STAR.sub(rf"\1.\g<2>{star}\3", text.value)
            expr = self._filled(filled, text)
            if expr is not None and self.shapes.fits(expr, parameter.dims):
                result[side.alias, parameter.name] = expr
                self.places[side.alias, parameter.name] = key
        if not result and len(self.found.found) == before:
            message = f"`{key}` matches no parameters that `{text}` has"
            help = f"parameters: {', '.join(p.name for p in side.cell.parameters)}"
            self.found.add("E0601", message, key.span, help)
        return result

    def _named(self, text: Text, aliases: set[str]) -> None:
        """Report a star of what is not a cell of the claim."""
        for match in STAR.finditer(text.value):
            if match[1] not in aliases:
                message = f"`{match[1]}` is not a cell of the claim"
                help = did_you_mean(
                    match[1], aliases, f"the cells are {' and '.join(sorted(aliases))}"
                )
                self.found.add("E0601", message, text.span, help)

    def _filled(self, filled: str, text: Text) -> Expr | None:
        try:
            return parse(filled, references=True)
        except EquationError as problem:
            self.found.add(problem.code, problem.message, text.span, problem.help)
            return None


def _star(name: str, before: str, after: str) -> str | None:
    """Return what a star stands for in a name, or None if the name does not match."""
    fits = name.startswith(before) and name.endswith(after)
    if not fits or len(name) < len(before) + len(after):
        return None
    return name[len(before) : len(name) - len(after)]
