"""Claim -> the minimal sets of extra assumptions under which it is proved.

Assumptions are a gate that is 1, 0 or constant, a parameter that is 0 (a matrix or a bias), a
recurrent matrix that is diagonal, and what the claim itself names under `candidates:`. Sets are
tried by size; a set is sufficient if the claim is proved under it: with its own state map, with one
that is found, or because all states stay 0.

Why numbers first: most sets are not sufficient, and a few random numbers say so in less time than
a proof needs to fail; enclosures of the two sides that are disjoint say so for certain.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gatewright.claims.claim import Claim, Owned, Side, Symbol
from gatewright.claims.formulas import MeaningError
from gatewright.claims.normal_form import NormalForm, TooLargeError
from gatewright.claims.obligations import unrolled
from gatewright.claims.prove import proof
from gatewright.claims.refute import surely_differs
from gatewright.claims.state_maps import candidates
from gatewright.claims.terms import IDENTITY
from gatewright.claims.theory import Quality, Theory
from gatewright.claims.world import World
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number, names, walk

LARGEST_SET = 3
STEPS = 2


@dataclass(frozen=True)
class Assumption:
    """Something that may be assumed: its words, and what it makes of a claim (None: a clash)."""

    text: str
    apply: Callable[[Claim], Claim | None]
    label: str = ""


@dataclass(frozen=True)
class Sufficient:
    """A minimal set of assumptions, and the theory in which it proves the claim.

    `at_rest` says that it does so by keeping both cells at zero states, where they begin.
    """

    assumptions: tuple[str, ...]
    theory: Theory
    at_rest: bool = False


@dataclass(frozen=True)
class Abduced:
    """All minimal sufficient sets up to a size, and how many sets were looked at.

    `undecided` are sets that numbers did not refute and no proof was found for.
    """

    sufficient: tuple[Sufficient, ...]
    tried: int
    refuted: int
    undecided: tuple[tuple[str, ...], ...]


def abduce(claim: Claim, largest: int = LARGEST_SET) -> Abduced:
    """Return the minimal sufficient sets of at most `largest` assumptions."""
    pool = tuple(assumptions(claim))
    sufficient: list[tuple[frozenset[int], Sufficient]] = []
    undecided = []
    tried = refuted = 0
    for size in range(largest + 1):
        for chosen in itertools.combinations(range(len(pool)), size):
            if any(known <= set(chosen) for known, _ in sufficient):
                continue
            assumed = _assumed(claim, [pool[k] for k in chosen])
            if assumed is None:
                continue
            tried += 1
            texts = tuple(pool[k].text for k in chosen)
            if _differs(assumed):
                refuted += 1
                continue
            theory = _proved(assumed)
            resting = _at_rest(assumed) if theory is None else None
            if theory is not None:
                sufficient.append((frozenset(chosen), Sufficient(texts, theory)))
            elif resting is not None:
                sufficient.append((frozenset(chosen), Sufficient(texts, resting, at_rest=True)))
            else:
                undecided.append(texts)
    return Abduced(tuple(found for _, found in sufficient), tried, refuted, tuple(undecided))


def _assumed(claim: Claim, chosen: list[Assumption]) -> Claim | None:
    labels = frozenset(each.label for each in chosen if each.label)
    if labels:
        cell = next((cell for wanted, cell in claim.candidates if wanted == labels), None)
        if cell is None:
            return None
        known = {equation.target.removesuffix("'") for equation in cell.equations}
        kept = {key: name for key, name in claim.left.functions.items() if key[0] in known}
        functions = {k: n for k, n in kept.items() if n != IDENTITY}
        claim = replace(claim, left=Side(claim.left.alias, cell, functions))
    result: Claim | None = claim
    for each in chosen:
        if result is not None and not each.label:
            result = each.apply(result)
    return result


def _differs(claim: Claim) -> bool:
    world = World(claim, "unroll")
    try:
        for step in range(1, STEPS + 1):
            for pair in unrolled(claim, step, world):
                if surely_differs(claim, world, pair, 2):
                    return True
    except (MeaningError, ZeroDivisionError):
        return True
    return False


def _proved(claim: Claim) -> Theory | None:
    for mapped in (claim, *candidates(claim)):
        try:
            found = proof(mapped)
        except (MeaningError, TooLargeError, ZeroDivisionError, KeyError):
            continue
        if found is not None:
            return found.theory
    return None


def _at_rest(claim: Claim) -> Theory | None:
    """Return the theory in which both cells stay at zero states and what is observed is equal.

    One step from zero states is then every step: it reads inputs of its own and later steps only,
    since a tie to an earlier step cannot be computed in the first.
    """
    if claim.initial != "zero":
        return None
    world = World(claim, "unroll")
    try:
        states = [
            world.value(side.alias, state.name, 1)
            for side in claim.sides
            for state in side.cell.states
        ]
        pairs = unrolled(claim, 1, world)
    except MeaningError:
        return None
    for theory in Theory:
        form = NormalForm(theory, world.qualities)
        try:
            still = not any(form.of(state) for state in states)
            if still and not any(form.difference(each.left, each.right) for each in pairs):
                return theory
        except (TooLargeError, ZeroDivisionError):
            continue
    return None


def assumptions(claim: Claim) -> Iterator[Assumption]:
    """Yield what may be assumed of a claim."""
    for label in sorted({label for labels, _ in claim.candidates for label in labels}):
        yield Assumption(label, lambda each: each, label)
    for side in claim.sides:
        for gate in side.cell.gates:
            owned = (side.alias, gate)
            if owned in claim.ties or _is_given(claim, side, gate):
                continue
            full = f"{side.alias}.{gate}"
            yield Assumption(f"{full} = 1", _fixing(owned, Number(1.0)))
            yield Assumption(f"{full} = 0", _fixing(owned, Number(0.0)))
            yield Assumption(f"{full} is constant", _fixing(owned, None))
    for side in claim.sides:
        for parameter in side.cell.parameters:
            owned = (side.alias, parameter.name)
            if owned in claim.parameters:
                continue
            yield Assumption(f"{side.alias}.{parameter.name} = 0", _zeroed(owned))
            if len(parameter.dims) == 2 and parameter.dims[0] == parameter.dims[1]:
                yield Assumption(f"{side.alias}.{parameter.name} is diagonal", _diagonal(owned))


def _is_given(claim: Claim, side: Side, gate: str) -> bool:
    """Tell whether the parameters of a gate are given by the other cell's."""
    read = _parameters_of(side, gate)
    return bool(read) and all((side.alias, name) in claim.parameters for name in read)


def _parameters_of(side: Side, equation: str) -> tuple[str, ...]:
    declared = {parameter.name for parameter in side.cell.parameters}
    found = next((e for e in side.cell.equations if e.target.removesuffix("'") == equation), None)
    return tuple(name for name in names(found.expr) if name in declared) if found else ()


def _fixing(owned: Owned, value: Expr | None) -> Callable[[Claim], Claim | None]:
    def apply(claim: Claim) -> Claim | None:
        if owned in claim.ties:
            return None
        symbols = dict(claim.symbols)
        fixed = value
        if fixed is None:
            name = f"{owned[1]}_constant"
            symbols[name] = Symbol(name, "nonzero vector", ("hidden",), Quality.NONZERO)
            fixed = Name(name)
        ties = {**claim.ties, owned: fixed}
        for follower, negated in _followers(claim, owned):
            ties[follower] = Binary("-", Number(1.0), fixed) if negated else fixed
        return replace(claim, ties=ties, symbols=symbols)

    return apply


def _followers(claim: Claim, owned: Owned) -> Iterator[tuple[Owned, bool]]:
    """Yield the gates of the other cell whose parameters are those of a gate, or their negative.

    The second kind is its complement, where the gate is a sigmoid.
    """
    own = claim.side(owned[0])
    wanted = {f"{own.alias}.{name}" for name in _parameters_of(own, owned[1])}
    other = next(side for side in claim.sides if side.alias != own.alias)
    for gate in other.cell.gates:
        given = [claim.parameters.get((other.alias, name)) for name in _parameters_of(other, gate)]
        if not given or None in given or (other.alias, gate) in claim.ties:
            continue
        plain = {str(expr) for expr in given if isinstance(expr, Name)}
        negated = {str(expr.operand) for expr in given if isinstance(expr, Negate)}
        if plain == wanted and not negated:
            yield (other.alias, gate), False
        elif negated == wanted and not plain and _is_sigmoid(other, gate):
            yield (other.alias, gate), True


def _is_sigmoid(side: Side, gate: str) -> bool:
    found = next(e for e in side.cell.equations if e.target == gate)
    return any(isinstance(node, Call) and node.function == "sigmoid" for node in walk(found.expr))


def _zeroed(owned: Owned) -> Callable[[Claim], Claim | None]:
    def apply(claim: Claim) -> Claim | None:
        if owned in claim.qualities:
            return None
        full = f"{owned[0]}.{owned[1]}"
        # What is given by this parameter is 0 with it.
        given = {
            key: Number(0.0) if full in names(expr) and _only(expr, full) else expr
            for key, expr in claim.parameters.items()
        }
        return replace(claim, parameters={**given, owned: Number(0.0)})

    return apply


def _only(expr: Expr, name: str) -> bool:
    return names(expr) == (name,)


def _diagonal(owned: Owned) -> Callable[[Claim], Claim | None]:
    def apply(claim: Claim) -> Claim | None:
        if owned in claim.parameters:
            return None
        return replace(claim, qualities={**claim.qualities, owned: Quality.DIAGONAL})

    return apply
