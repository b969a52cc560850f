"""ClaimText -> what a claim is for all of, and what stands in place of its cells' functions.

Why apart from `resolve`: everything that a claim states is read with these names at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gatewright.claims.claim import Side, Symbol
from gatewright.claims.evaluate import is_known_function
from gatewright.claims.terms import IDENTITY
from gatewright.claims.theory import Quality
from gatewright.language.cell import Cell
from gatewright.language.diagnostics import Findings, closest, did_you_mean
from gatewright.language.expression import Call, walk
from gatewright.language.functions import AUTHOR_FUNCTIONS
from gatewright.language.spec import Text

Pairs = Iterable[tuple[Text, Text]]

KINDS: dict[str, tuple[tuple[str, ...], Quality]] = {
    "function": ((), Quality.FREE),
    "scalar": ((), Quality.SCALAR),
    "nonzero scalar": ((), Quality.NONZERO_SCALAR),
    "vector": (("hidden",), Quality.FREE),
    "nonzero vector": (("hidden",), Quality.NONZERO),
    "positive vector": (("hidden",), Quality.POSITIVE),
    "sign vector": (("hidden",), Quality.SIGN),
    "matrix": (("hidden", "hidden"), Quality.FREE),
    "permutation": (("hidden", "hidden"), Quality.PERMUTATION),
    "invertible matrix": (("hidden", "hidden"), Quality.INVERTIBLE),
}


def declared(for_all: Pairs, found: Findings) -> dict[str, Symbol]:
    """Return what a claim holds for all of, by name; report what is wrong with an entry."""
    symbols: dict[str, Symbol] = {}
    for name, kind in for_all:
        if not name.value.isidentifier() or is_known_function(name.value):
            message = f"`{name}` is not a valid name for what a claim holds for all of"
            if name.value.isidentifier():
                message += ": it is that of a function that proofs know"
            found.add("E0606", message, name.span, "use another name, such as `phi`")
            continue
        meant = kind.value
        if kind.value not in KINDS:
            message = f"`{name}` cannot be `{kind}`"
            help = did_you_mean(kind.value, KINDS, f"one of {', '.join(KINDS)}")
            found.add("E0606", message, kind.span, help)
            # Read on with what was probably meant, so that its uses are not reported too.
            meant = closest(kind.value, KINDS) or "vector"
        symbols[name.value] = Symbol(name.value, meant, *KINDS[meant])
    return symbols


def with_functions(
    sides: tuple[Side, Side], activations: Pairs, symbols: Mapping[str, Symbol], found: Findings
) -> tuple[Side, Side]:
    """Return both cells with what stands in place of their functions; report what cannot.

    An entry for one equation has precedence over one for a function.
    """
    left, right = sides
    everywhere: dict[str, dict[tuple[str, str], str]] = {left.alias: {}, right.alias: {}}
    specific: dict[str, dict[tuple[str, str], str]] = {left.alias: {}, right.alias: {}}
    for key, value in activations:
        alias, _, name = key.value.partition(".")
        side = next((each for each in sides if each.alias == alias), None)
        if side is None:
            message = f"`{key}` is not an equation or a function of a cell of the claim"
            last = left.cell.equations[-1].target.removesuffix("'")
            help = f"write `{left.alias}.tanh` or `{left.alias}.{last}`"
            found.add("E0601", message, key.span, help)
            continue
        _check_function(value, symbols, found)
        calls = _calls(side.cell)
        if name in {function for _, function in calls}:
            everywhere[alias] |= {call: value.value for call in calls if call[1] == name}
            continue
        here = [call for call in calls if call[0] == name]
        if len(here) == 1:
            specific[alias][here[0]] = value.value
            continue
        many = f"calls {', '.join(f for _, f in here)}" if here else "calls no function"
        listed = ", ".join(dict.fromkeys(f"{alias}.{e}" for e, _ in calls))
        help = f"write the function, as in `{alias}.tanh`" if here else f"one of {listed}"
        found.add("E0601", f"`{key}` {many}", key.span, help)
    one, other = (
        replace(side, functions=everywhere[side.alias] | specific[side.alias]) for side in sides
    )
    return one, other


def _check_function(value: Text, symbols: Mapping[str, Symbol], found: Findings) -> None:
    own = {name for name, symbol in symbols.items() if symbol.kind == "function"}
    known = {IDENTITY, *own, *(n for n, f in AUTHOR_FUNCTIONS.items() if len(f.arguments) == 1)}
    if value.value not in known:
        message = f"`{value}` is not a function"
        otherwise = f"for any function, declare it: `for_all: {{{value}: function}}`"
        help = did_you_mean(value.value, known, otherwise)
        found.add("E0305", message, value.span, help)


def _calls(cell: Cell) -> list[tuple[str, str]]:
    """Return every function each equation calls: (equation without its prime, function)."""
    found: dict[tuple[str, str], None] = {}
    for equation in cell.equations:
        for node in walk(equation.expr):
            if isinstance(node, Call) and len(node.arguments) == 1:
                found[equation.target.removesuffix("'"), node.function] = None
    return list(found)
