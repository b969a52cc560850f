"""Combination -> Claim, Proof -> Relation: one way in which a cell becomes another.

Why a claim: what is told about a relation is what the prover says of it, not what the search does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gatewright.claims.claim import Claim, Observed, Owned, Side
from gatewright.claims.options import ANYTHING, Option
from gatewright.claims.screen import Chosen
from gatewright.claims.terms import IDENTITY
from gatewright.claims.theory import Theory
from gatewright.language.cell import Cell
from gatewright.language.equation import parse
from gatewright.language.expression import Expr, Number


@dataclass(frozen=True)
class Relation:
    """One way in which the first cell becomes the second; `cost` counts what had to be fixed.

    `output` says what the first cell then emits in terms of the second. `gateless` says that no
    gate of either cell is left: what they have in common is less than either.
    """

    first: str
    second: str
    changes: tuple[str, ...]
    states: tuple[str, ...]
    output: str
    theory: Theory
    lookahead: bool
    gateless: bool
    cost: int


@dataclass(frozen=True)
class Found:
    """A combination that is proved: in which theory, and whether a tie looks a step ahead."""

    chosen: Chosen
    theory: Theory
    lookahead: bool


def distinct(found: list[Found], options: Mapping[str, tuple[Option, ...]]) -> list[Found]:
    """Return what is proved, told once where it does not matter what an equation becomes.

    It does not if all its options are proved, with all else the same.
    """
    for target, every in options.items():
        alike: dict[tuple[object, ...], list[Found]] = {}
        for each in found:
            rest = tuple(o for t, o in each.chosen.options.items() if t != target)
            alike.setdefault((*each.chosen.states.items(), rest), []).append(each)
        found = []
        for group in alike.values():
            if 1 < len(every) == len(group):
                group = [_of_anything(target, group)]
            found += group
    return found


def _of_anything(target: str, group: list[Found]) -> Found:
    chosen = group[0].chosen
    options = {**chosen.options, target: ANYTHING}
    theory = max((each.theory for each in group), key=list(Theory).index)
    lookahead = all(each.lookahead for each in group)
    return Found(replace(chosen, options=options), theory, lookahead)


def is_instance(one: Found, other: Found) -> bool:
    """Tell whether one combination is another with a gate fixed in both cells."""
    if not one.chosen.fixed or other.chosen.fixed or one.chosen.states != other.chosen.states:
        return False
    return one.lookahead >= other.lookahead and all(
        option in (other.chosen.options[target], ANYTHING) or option.tie in ("0", "1")
        for target, option in one.chosen.options.items()
    )


def relation(first: Cell, second: Cell, found: Found) -> Relation:
    """Return what is told of a combination that is proved."""
    chosen = found.chosen
    changes = [f"{second.name}.{gate} = 1" for gate in chosen.fixed]
    for target, option in chosen.options.items():
        own = f"{first.name}.{target.removesuffix(chr(39))} = anything"
        changes += [own] if option is ANYTHING else [option.text] if option.text else []
    emitted = chosen.states.get(first.output.removesuffix("'"), "")
    same = f"{second.output.removesuffix(chr(39))}[t]"
    left = [g for g in first.gates if chosen.options[g].tie not in ("0", "1")]
    return Relation(
        first.identifier,
        second.identifier,
        tuple(changes),
        tuple(f"{first.name}.{name}[t] = {text}" for name, text in chosen.states.items()),
        "the same" if emitted == same else emitted or "another value",
        found.theory,
        found.lookahead,
        bool(chosen.fixed and first.gates) and not left and set(second.gates) == set(chosen.fixed),
        sum(o.cost for o in chosen.options.values())
        + 2 * len(chosen.fixed)
        + 2 * (emitted != same),
    )


def claim_of(left: Side, right: Side, chosen: Chosen) -> Claim:
    """Return the claim that a combination is a relation of `first` and `second`."""
    ties: dict[Owned, Expr] = {("second", g): Number(v) for g, v in chosen.fixed.items()}
    parameters: dict[Owned, Expr] = {}
    functions: dict[tuple[str, str], str] = {}
    for target, option in chosen.options.items():
        bare = target.removesuffix("'")
        if option.tie:
            ties["first", bare] = _in_second(option.tie)
        for name, text in option.parameters.items():
            parameters["first", name] = parse(text, references=True)
        for function in option.linear:
            functions[bare, function] = IDENTITY
    states = {("first", n): _in_second(text) for n, text in chosen.states.items()}
    observe = tuple(
        Observed(parse(f"first.{n}[t]", references=True), expr, f"first.{n}[t] = {expr}")
        for (_, n), expr in states.items()
    )
    return Claim(
        name="relation",
        family="",
        statement="",
        left=replace(left, functions=functions),
        right=right,
        symbols={},
        sequences=frozenset(),
        ties=ties,
        parameters=parameters,
        qualities={},
        states=states,
        observe=observe,
        initial="zero",
        expect="proved",
    )


def _in_second(text: str) -> Expr:
    """Read `1 - r[t+1]` as values of the second cell."""
    return parse(re.sub(r"\b([A-Za-z]\w*)\[", r"second.\1[", text), references=True)
