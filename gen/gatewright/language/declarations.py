"""Spec -> mistakes: names declared twice, reserved words, dimensions that are misspelled.

Why apart from `resolve`: these checks need no equation, and a name refused here still counts as
declared there, so that it is reported once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches

from gatewright.language.cell import Dims
from gatewright.language.diagnostics import Findings, Related, did_you_mean
from gatewright.language.functions import AUTHOR_FUNCTIONS
from gatewright.language.reserved import dimension_problem, name_problem
from gatewright.language.spec import ChoiceDeclared, Declared, Spec, Text


def dims_of(declared: Declared, meant: Mapping[str, str] | None = None) -> Dims:
    """Return the dimensions of a declaration, those in `meant` by the name that was meant."""
    return tuple((meant or {}).get(dim.value, dim.value) for dim in declared.dims)


def check_declarations(spec: Spec, found: Findings) -> dict[str, str]:
    """Report clashes, reserved words and misspelled dimensions among a spec's names.

    Returns what each misspelled dimension was probably meant to be, so that one misspelling is
    reported once and not at every sum it stands in.
    """
    dims = tuple(dict.fromkeys(dim.value for array in spec.arrays for dim in array.dims))
    seen: dict[str, Text] = {}
    for part in spec.declared:
        first = seen.setdefault(part.name.value, part.name)
        if first is not part.name:
            related = (Related("first declared here", first.span),)
            message = f"`{part.name}` is declared twice"
            found.add("E0117", message, part.name.span, "", "declared again here", related)
        else:
            _check_reserved(part.name, part.name.value, dims, found)
    states = {state.name.value for state in spec.states}
    for equation in spec.equations:
        target = equation.target.value
        if target in seen:
            what = "a state" if target in states else "a declared variable"
            help = (
                f"write `{target}'` for the next value of `{target}`"
                if target in states
                else "give the equation another name"
            )
            related = (Related("declared here", seen[target].span),)
            message = f"equation `{target}` has the name of {what}"
            found.add("E0117", message, equation.target.span, help, related=related)
        elif not target.endswith("'"):
            _check_reserved(equation.target, target, dims, found)
        elif target[:-1] not in states:
            message = f"`{target}` sets the next value of `{target[:-1]}`, which is not a state"
            listed = f"states: {', '.join(state.name.value for state in spec.states)}"
            help = did_you_mean(target[:-1], states, listed)
            found.add("E0307", message, equation.target.span, help)
    for choice in spec.choices:
        _check_choice(choice, found)
    return _check_dimensions(spec, dims, found)


def _check_reserved(text: Text, name: str, dims: Dims, found: Findings) -> None:
    problem = name_problem(name, dims)
    if not problem:
        return
    other = f"{name}_" if not name.startswith("_") else name.strip("_") or "a"
    if name.startswith(("d_", "ct_")) or name.endswith("_next"):
        help = "use another name"
    else:
        help = f"use `{other}` or another name"
    found.add("E0115", problem, text.span, help)


def _check_dimensions(spec: Spec, dims: Dims, found: Findings) -> dict[str, str]:
    """Report a dimension that stands once and looks like another, or whose size is taken."""
    places = [dim for array in spec.arrays for dim in array.dims]
    count = Counter(dim.value for dim in places)
    meant: dict[str, str] = {}
    for dim in places:
        if dim.value not in dims[:64]:
            continue
        others = tuple(other for other in dims[:64] if other != dim.value)
        likely = get_close_matches(dim.value, others, n=1, cutoff=0.8)
        if count[dim.value] == 1 and likely and count[likely[0]] > 1:
            message = f"dimension `{dim}` is used once and looks like `{likely[0]}`"
            found.add("E0121", message, dim.span, f"did you mean `{likely[0]}`?")
            meant[dim.value] = likely[0]
    for index, name in enumerate(dims):
        problem = dimension_problem(name, dims[:index])
        if problem:
            span = next(dim.span for dim in places if dim.value == name)
            found.add("E0115", problem, span, "give the dimension another name")
    return meant


def _check_choice(choice: ChoiceDeclared, found: Findings) -> None:
    known = [option for option in choice.options if option.value in AUTHOR_FUNCTIONS]
    for option in choice.options:
        if option not in known:
            listed = f"the functions are {', '.join(sorted(AUTHOR_FUNCTIONS))}"
            help = did_you_mean(option.value, AUTHOR_FUNCTIONS, listed)
            message = f"unknown function `{option}` in choice `{choice.name}`"
            found.add("E0305", message, option.span, help)
    arities = {len(AUTHOR_FUNCTIONS[option.value].arguments) for option in known}
    if len(arities) > 1:
        message = f"the functions of choice `{choice.name}` take different numbers of arguments"
        found.add("E0124", message, choice.name.span, "choose among functions of one kind")
    for name, times in Counter(option.value for option in choice.options).items():
        if times > 1:
            message = f"choice `{choice.name}` lists `{name}` {times} times"
            found.add("E0124", message, choice.name.span, "list each function once")
