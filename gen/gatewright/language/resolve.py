"""Spec -> Cell: settle every name, shape and choice of a cell, or say what keeps it from meaning.

`extends:` is written out first; then names, then order and shapes equation by equation, then what
is never used.

Why unused names are refused: a parameter that no equation reads gets no gradient, and most often it
is the other half of a typo. They are reported only when nothing else is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from gatewright.language.cell import Cell, Choice, Constant, Dims, Equation, Variable
from gatewright.language.declarations import check_declarations, dims_of
from gatewright.language.diagnostics import Diagnostic, Findings, SpecError, did_you_mean
from gatewright.language.equation import EquationError
from gatewright.language.expression import Call, Expr, children, names, rebuild, render, walk
from gatewright.language.functions import AUTHOR_FUNCTIONS
from gatewright.language.inherit import Find, inherit, live_targets
from gatewright.language.shapes import Scope, functions, shape, shown
from gatewright.language.shelf import read_spec
from gatewright.language.spec import EquationText, NumberDeclared, Spec, Text

_NO_CHOICES: Mapping[str, str] = MappingProxyType({})
_NO_CONSTANTS: Mapping[str, float] = MappingProxyType({})


def resolve(
    spec: Spec,
    *,
    choices: Mapping[str, str] = _NO_CHOICES,
    constants: Mapping[str, float] = _NO_CONSTANTS,
    find: Find | None = None,
) -> Cell:
    """Return the cell that a spec means. Raises SpecError with every mistake in its meaning.

    `find` returns the parent that `extends:` names; without it, the catalogue's.
    """
    draft = inherit(spec, find or read_spec)
    merged = draft.spec
    found = Findings(draft.sources)
    meant = check_declarations(merged, found)
    _check_present(merged, found)
    dims = _check_equations(merged, meant, found)
    _check_results(merged, dims, found)
    found.check()
    _check_used(merged, found)
    found.check()
    chosen = _chosen(merged, choices)
    return _cell(merged, dims, chosen, _values(merged, constants))


def _check_present(spec: Spec, found: Findings) -> None:
    """Report what a cell cannot do without: it may come from a parent, so the reader cannot."""
    for key, value in (
        ("inputs", spec.inputs),
        ("states", spec.states),
        ("equations", spec.equations),
        ("output", spec.output),
    ):
        if not value:
            message = f"cell `{spec.cell}` has no {key}"
            found.add("E0112", message, spec.cell.span, f"add `{key}:`")


def _check_equations(spec: Spec, meant: Mapping[str, str], found: Findings) -> dict[str, Dims]:
    """Return the dimensions of every equation that has some; report what is wrong with each."""
    shapes: dict[str, Dims | None] = {
        array.name.value: dims_of(array, meant)
        for array in (*spec.inputs, *spec.states, *spec.parameters)
    }
    shapes |= {constant.name.value: () for constant in spec.constants}
    arities = {choice.name.value: _arity(choice.options[0]) for choice in spec.choices}
    waiting = [equation.target.value for equation in spec.equations]
    states = {state.name.value: dims_of(state, meant) for state in spec.states}
    result: dict[str, Dims] = {}
    for index, equation in enumerate(spec.equations):
        target = equation.target.value
        scope = Scope(shapes, functions(arities), frozenset(waiting[index + 1 :]), target)

        def report(problem: EquationError, equation: EquationText = equation) -> None:
            message = f"{problem.message} in equation `{equation.target}`"
            span = equation.span(problem.start, problem.end)
            found.add(problem.code, message, span, problem.help, problem.label)

        dims = shape(equation.expr, scope, report)
        state = states.get(target[:-1]) if target.endswith("'") else None
        if dims is not None and state is not None and dims != state:
            message = (
                f"next `{target[:-1]}` has shape {shown(dims)}, but the state is {shown(state)}"
            )
            help = "there is no implicit broadcasting between dimensions"
            span = equation.span(equation.expr.start, equation.expr.end)
            found.add("E0409", message, span, help)
            dims = state
        if target not in states:
            # A declared variable keeps its shape: the clash of names is reported elsewhere.
            shapes.setdefault(target, dims)
        if dims is not None:
            result[target] = dims
    return result


def _arity(option: Text) -> int:
    row = AUTHOR_FUNCTIONS.get(option.value)
    return len(row.arguments) if row else 1


def _check_results(spec: Spec, dims: Mapping[str, Dims], found: Findings) -> None:
    """Check that states have next values, and that the output and the gates are equations."""
    targets = [equation.target.value for equation in spec.equations]
    for state in spec.states:
        if f"{state.name}'" not in targets:
            message = f"state `{state.name}` has no equation for its next value"
            help = f"add `{state.name}': …`"
            found.add("E0310", message, state.name.span, help)
    listed = (spec.output,) if spec.output else ()
    for what, words in (("output", listed), ("gate", spec.gates or ())):
        for word in words:
            if word.value not in targets:
                help = did_you_mean(word.value, targets, f"equations: {', '.join(targets[:20])}")
                if f"{word}'" in targets:
                    help = f"did you mean `{word}'`?"
                message = f"{what} `{word}` is not an equation"
                found.add("E0308", message, word.span, help)
            elif what == "output" and dims.get(word.value) == ():
                message = f"output `{word}` is a scalar"
                help = "the output is a vector: name an equation with a dimension"
                found.add("E0410", message, word.span, help)
    gates = [gate.value for gate in spec.gates or ()]
    for index, gate in enumerate(spec.gates or ()):
        if gate.value in gates[:index]:
            found.add("E0117", f"gate `{gate}` is listed twice", gate.span, "remove one")


def _check_used(spec: Spec, found: Findings) -> None:
    """Report every declaration and equation that does not reach the output or a next value."""
    live = live_targets(spec)
    read = {name for each in spec.equations for name in names(each.expr)}
    called = {
        node.function
        for each in spec.equations
        for node in walk(each.expr)
        if isinstance(node, Call)
    }
    for equation in spec.equations:
        if equation.target.value not in live:
            message = f"equation `{equation.target}` is never used"
            help = "no next value and no output reads it; remove it or use it"
            found.add("E0309", message, equation.target.span, _cut(spec, equation.target, help))
    for part in spec.declared:
        if part not in spec.choices and part.name.value not in read:
            help = "remove it or use it"
            if part in spec.parameters:
                help += "; an unused parameter gets no gradient"
            message = f"`{part.name}` is never used"
            found.add("E0309", message, part.name.span, _cut(spec, part.name, help))
    for choice in spec.choices:
        if choice.name.value not in called:
            message = f"choice `{choice.name}` is never used"
            found.add("E0309", message, choice.name.span, f"write `{choice.name}(…)` somewhere")


def _cut(spec: Spec, name: Text, otherwise: str) -> str:
    """Return the help for an unused name: it may stand in what YAML took for a comment."""
    for equation in spec.equations:
        if name.value in re.findall(r"[A-Za-z_][A-Za-z0-9_]*'?", equation.comment):
            line = equation.target.span.line
            return (
                f"everything after ` #` in equation `{equation.target}` (line {line}) "
                "is a YAML comment; quote the equation"
            )
    return otherwise


def _chosen(spec: Spec, choices: Mapping[str, str]) -> dict[str, str]:
    """Return the function of every choice. Raises SpecError for one that is not offered."""
    result = {choice.name.value: choice.options[0].value for choice in spec.choices}
    offered = {
        choice.name.value: [option.value for option in choice.options] for choice in spec.choices
    }
    found = []
    for name, option in choices.items():
        if name not in offered:
            listed = f"choices: {', '.join(offered)}" if offered else "it has no choices"
            message = f"cell `{spec.cell}` has no choice `{name}`"
            found.append(Diagnostic("E0126", message, None, did_you_mean(name, offered, listed)))
        elif option not in offered[name]:
            help = f"options: {', '.join(offered[name])}"
            message = f"choice `{name}` of cell `{spec.cell}` does not offer `{option}`"
            found.append(
                Diagnostic("E0126", message, None, did_you_mean(option, offered[name], help))
            )
        else:
            result[name] = option
    if found:
        raise SpecError(found)
    return result


def _values(spec: Spec, constants: Mapping[str, float]) -> dict[str, float]:
    """Return the value of every constant. Raises SpecError for one that is not there."""
    result = {constant.name.value: constant.value for constant in spec.constants}
    found = []
    for name, value in constants.items():
        if name not in result:
            listed = f"constants: {', '.join(result)}" if result else "it has no constants"
            message = f"cell `{spec.cell}` has no constant `{name}`"
            found.append(Diagnostic("E0127", message, None, did_you_mean(name, result, listed)))
        elif not abs(value) < float("inf"):
            message = f"constant `{name}` cannot be {value!r}"
            found.append(Diagnostic("E0127", message, None, "give it a finite number"))
        else:
            result[name] = float(value)
    if found:
        raise SpecError(found)
    return result


def _with_choices(expr: Expr, chosen: Mapping[str, str]) -> Expr:
    parts = tuple(_with_choices(part, chosen) for part in children(expr))
    if isinstance(expr, Call) and expr.function in chosen:
        return Call(chosen[expr.function], parts, expr.start, expr.end)
    return rebuild(expr, parts) if parts != children(expr) else expr


def _cell(
    spec: Spec, dims: Mapping[str, Dims], chosen: Mapping[str, str], values: Mapping[str, float]
) -> Cell:
    equations = tuple(
        Equation(
            each.target.value,
            dims[each.target.value],
            _with_choices(each.expr, chosen),
            render(each.expr),
            each.comment,
        )
        for each in spec.equations
    )
    choices = tuple(
        Choice(name, tuple(option.value for option in each.options), chosen[name])
        for each in spec.choices
        for name in (each.name.value,)
    )
    picked = [each.chosen for each in choices if each.chosen != each.options[0]]
    return Cell(
        name=spec.cell.value,
        title=spec.title,
        cite=spec.cite,
        inputs=tuple(Variable(each.name.value, dims_of(each)) for each in spec.inputs),
        states=tuple(Variable(each.name.value, dims_of(each)) for each in spec.states),
        parameters=tuple(Variable(each.name.value, dims_of(each)) for each in spec.parameters),
        constants=tuple(_constant(each, values) for each in spec.constants),
        choices=choices,
        equations=equations,
        output=spec.output.value if spec.output else "",
        gates=tuple(gate.value for gate in spec.gates or ()),
        variant="_".join(picked),
    )


def _constant(declared: NumberDeclared, values: Mapping[str, float]) -> Constant:
    return Constant(declared.name.value, values[declared.name.value])
