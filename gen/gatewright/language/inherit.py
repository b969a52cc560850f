"""Spec -> Draft: a spec with everything that `extends:` takes from its parents written out.

A child's declarations and equations replace those of the same name where they stood; its new
equations go where the order of reading puts them; what it inherits and no longer reads is dropped.

Why drop it silently: taking the forget gate out of a cell is one changed equation, and the author
should not have to list the six arrays that only the forget gate read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from gatewright.language.diagnostics import Diagnostic, SpecError
from gatewright.language.expression import Call, names, walk
from gatewright.language.spec import EquationText, Spec, Text

MAX_PARENTS = 8
Find = Callable[[str], Spec]


@dataclass(frozen=True)
class Draft:
    """A spec without `extends:`, and the text of every file that it came from."""

    spec: Spec
    sources: dict[str, str]


class _Named(Protocol):
    @property
    def name(self) -> Text: ...


_N = TypeVar("_N", bound=_Named)


def inherit(spec: Spec, find: Find) -> Draft:
    """Return the spec merged over its parents. Raises SpecError on a cycle or a long chain."""
    chain = [spec]
    while chain[-1].extends is not None:
        parent = chain[-1].extends
        seen = [each.cell.value for each in chain]
        sources = {each.file: each.source for each in chain}
        if parent.value in seen:
            cycle = " -> ".join([*seen[seen.index(parent.value) :], parent.value])
            message = f"`{parent.value}` extends itself: {cycle}"
            help = "write one of them in full"
            raise SpecError([Diagnostic("E0501", message, parent.span, help)], sources)
        if len(chain) > MAX_PARENTS:
            message = f"more than {MAX_PARENTS} cells extend each other"
            help = "write one of them in full"
            raise SpecError([Diagnostic("E0502", message, parent.span, help)], sources)
        chain.append(_found(parent, find, sources))
    if len(chain) == 1:
        return Draft(spec, {spec.file: spec.source})
    merged = chain[-1]
    for child in reversed(chain[:-1]):
        merged = _pruned(_merged(merged, child), _declared(child))
    return Draft(merged, {each.file: each.source for each in chain})


def _found(parent: Text, find: Find, sources: dict[str, str]) -> Spec:
    try:
        return find(parent.value)
    except SpecError as problem:
        if any(item.code != "E0503" for item in problem.diagnostics):
            raise
        # The catalogue knows no place in the child's file; the child does.
        here = [replace(item, span=parent.span) for item in problem.diagnostics]
        raise SpecError(here, sources) from None


def _declared(spec: Spec) -> frozenset[str]:
    return frozenset(part.name.value for part in spec.declared) | {
        equation.target.value for equation in spec.equations
    }


def _over(parent: tuple[_N, ...], child: tuple[_N, ...], gone: frozenset[str]) -> tuple[_N, ...]:
    """Replace what has the same name where it stands and append the rest.

    `gone` are names that the child declares as something else.
    """
    new = {part.name.value: part for part in reversed(child)}
    kept = [
        new.pop(p.name.value, p) for p in parent if p.name.value in new or p.name.value not in gone
    ]
    rest = [part for part in child if part not in kept]
    return (*kept, *rest)


def _merged(parent: Spec, child: Spec) -> Spec:
    gone = _declared(child)
    equations = _replaced(parent.equations, child.equations, gone)
    targets = {equation.target.value for equation in equations}
    gates = child.gates
    if gates is None and parent.gates is not None:
        gates = tuple(gate for gate in parent.gates if gate.value in targets)
    return replace(
        child,
        extends=None,
        inputs=_over(parent.inputs, child.inputs, gone),
        states=_over(parent.states, child.states, gone),
        parameters=_over(parent.parameters, child.parameters, gone),
        constants=_over(parent.constants, child.constants, gone),
        choices=_over(parent.choices, child.choices, gone),
        equations=_ordered(equations),
        output=child.output or parent.output,
        gates=gates,
    )


def _replaced(
    parent: tuple[EquationText, ...], child: tuple[EquationText, ...], gone: frozenset[str]
) -> list[EquationText]:
    new = {equation.target.value: equation for equation in child}
    kept = [
        new.pop(equation.target.value, equation)
        for equation in parent
        if equation.target.value in new or equation.target.value not in gone
    ]
    return [*kept, *(equation for equation in child if equation.target.value in new)]


def _ordered(equations: list[EquationText]) -> tuple[EquationText, ...]:
    """Put every equation after those it reads and move nothing that need not move.

    An equation in a cycle stays where it is met; `resolve` reports it.
    """
    by_target = {equation.target.value: equation for equation in equations}
    placed: dict[str, EquationText] = {}
    started: set[str] = set()
    for equation in equations:
        stack = [equation.target.value]
        while stack:
            target = stack[-1]
            started.add(target)
            waiting = [
                name
                for name in names(by_target[target].expr)
                if name in by_target and name not in started
            ]
            if waiting:
                stack.append(waiting[0])
            else:
                placed.setdefault(target, by_target[target])
                stack.pop()
    return tuple(placed.values())


def _pruned(spec: Spec, own: frozenset[str]) -> Spec:
    """Drop the inherited equations, parameters and constants that nothing reads any more."""
    live = live_targets(spec)
    equations = tuple(
        each for each in spec.equations if each.target.value in own or each.target.value in live
    )
    read = {name for each in equations for name in names(each.expr)} | own
    called = {
        node.function for each in equations for node in walk(each.expr) if isinstance(node, Call)
    }
    targets = {each.target.value for each in equations}
    gates = spec.gates
    if gates is not None:
        written = {each.target.value for each in spec.equations}
        gates = tuple(each for each in gates if each.value in targets or each.value not in written)
    return replace(
        spec,
        equations=equations,
        parameters=tuple(each for each in spec.parameters if each.name.value in read),
        constants=tuple(each for each in spec.constants if each.name.value in read),
        choices=tuple(each for each in spec.choices if each.name.value in called | own),
        gates=gates,
    )


def live_targets(spec: Spec) -> frozenset[str]:
    """Return the equations that reach the output or the next value of a state."""
    reads = {each.target.value: names(each.expr) for each in spec.equations}
    output = spec.output.value if spec.output else ""
    stack = [target for target in reads if target.endswith("'") or target == output]
    live: set[str] = set()
    while stack:
        target = stack.pop()
        if target in reads and target not in live:
            live.add(target)
            stack.extend(reads[target])
    return frozenset(live)
