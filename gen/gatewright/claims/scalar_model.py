"""A cell with one hidden unit on random numbers: what rules candidates out in a search.

Every value is an enclosure of the exact one, so a candidate whose value is apart from the wanted
one is ruled out for good: the numbers are a counterexample to it.

Why apart from `evaluate`: a search asks for single equations of one cell under ties not yet all
chosen, a million times.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gatewright.claims.enclosures import (
    Enclosure,
    applied,
    decimal,
    exactly,
    larger,
    minus,
    over,
    plus,
    smaller,
    times,
)
from gatewright.claims.evaluate import NO_VALUE
from gatewright.claims.options import Option
from gatewright.language.cell import Cell, Equation
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number, names

Inverse = Callable[[Enclosure, Enclosure], Enclosure]
_VALUE = re.compile(r"([A-Za-z]\w*)\[t(\+1)?\]")


class ScalarModel:
    """The second cell of a search: its parameters, and its values in steps t and t + 1."""

    def __init__(self, cell: Cell, fixed: Mapping[str, float], seed: int) -> None:
        rng = random.Random(seed)
        self.parameters = {p.name: exactly(rng.uniform(-2, 2)) for p in cell.parameters}
        self.constants = {c.name: decimal(c.value) for c in cell.constants}
        self.inputs = [{v.name: exactly(rng.uniform(-2, 2)) for v in cell.inputs} for _ in range(3)]
        states = {s.name: exactly(rng.uniform(-1, 1)) for s in cell.states}
        self.steps: list[dict[str, Enclosure]] = [states]
        for step in range(2):
            values = {**self.parameters, **self.constants, **self.inputs[step], **states}
            for equation in cell.equations:
                known = fixed.get(equation.target)
                found = value_of(equation.expr, values) if known is None else exactly(known)
                values[equation.target] = found
            states = {s.name: values[f"{s.name}'"] for s in cell.states}
            self.steps.append({**values, **states})

    def mapped(self, text: str, step: int) -> Enclosure:
        """Return a product such as `r[t+1] * h[t]` read at a step, -1 being the one before t."""
        product = exactly(1.0)
        for factor in text.split(" * "):
            match = _VALUE.fullmatch(factor)
            value = exactly(float(factor)) if match is None else self._at(match, step)
            product = times(product, value)
        return product

    def _at(self, match: re.Match[str], step: int) -> Enclosure:
        shifted = step + (1 if match[2] else 0)
        return self.steps[min(shifted + 1, len(self.steps) - 1)][match[1]]

    def known(self, cell: Cell, states: Mapping[str, Enclosure]) -> dict[str, Enclosure]:
        """Return what the equations of the first cell may read besides parameters and each other.

        `states` are those that its step begins with.
        """
        constants = {c.name: decimal(c.value) for c in cell.constants}
        return {**constants, **self.inputs[0], **states}

    def option(
        self, option: Option, equation: Equation, known: Mapping[str, Enclosure]
    ) -> Enclosure | None:
        """Return what an equation of the first cell computes under an option, in step t.

        None where it has no value at these numbers, or none that can be enclosed.
        """
        if option.tie:
            return self._tie(option.tie)
        if option.parameters:
            known = {**known, **self._given(option)}
        try:
            return value_of(equation.expr, known, option.linear)
        except NO_VALUE:
            return None

    def _given(self, option: Option) -> dict[str, Enclosure]:
        found = {}
        for name, text in option.parameters.items():
            sign, _, other = text.rpartition("second.")
            factor = {"": 1.0, "-": -1.0}.get(sign)
            if factor is None:
                factor = float(sign.split(" ")[0])
            given = sign or "." in text
            found[name] = times(exactly(factor), self.parameters[other]) if given else exactly(0.0)
        return found

    def _tie(self, text: str) -> Enclosure:
        complement = text.startswith("1 - ")
        bare = text.removeprefix("1 - ")
        match = _VALUE.fullmatch(bare)
        value = exactly(float(bare)) if match is None else self._at(match, 0)
        return minus(exactly(1.0), value) if complement else value


def value_of(expr: Expr, known: Mapping[str, Enclosure], linear: tuple[str, ...] = ()) -> Enclosure:
    """Return what an equation of a cell with one unit computes; `linear` functions are left out."""
    match expr:
        case Number(value):
            return decimal(value)
        case Name(name):
            return known[name]
        case Negate(operand):
            inner = value_of(operand, known, linear)
            return (-inner[0], inner[1])
        case Call("max" | "min" as name, (left, right)):
            one, other = value_of(left, known, linear), value_of(right, known, linear)
            return larger(one, other) if name == "max" else smaller(one, other)
        case Call(name, (argument,)):
            inner = value_of(argument, known, linear)
            return inner if name in linear else applied(name, inner)
        case Binary("^", base, Number(power)):
            inner = value_of(base, known, linear)
            result = exactly(1.0)
            if power != int(power):
                raise ValueError("a power that is not whole has no enclosure")
            for _ in range(abs(int(power))):
                result = times(result, inner)
            return result if power >= 0 else over(exactly(1.0), result)
        case Binary(operator, left, right):
            one, other = value_of(left, known, linear), value_of(right, known, linear)
            combine = {"+": plus, "-": minus, "/": over}
            return combine.get(operator, times)(one, other)
    raise TypeError(expr)


# What an operand must be, from the result and the other operand: the left one, and the right one.
_UNDONE: dict[str, tuple[Inverse, Inverse]] = {
    "+": (minus, minus),
    "-": (plus, lambda wanted, other: minus(other, wanted)),
    "*": (over, over),
    "/": (times, lambda wanted, other: over(other, wanted)),
}


@dataclass(frozen=True)
class Inversion:
    """What a name must be for an expression that reads it once to have a wanted value.

    `steps` go from the whole expression to the name: how each is undone, and the other operand.
    """

    steps: tuple[tuple[Inverse, Expr], ...]
    linear: tuple[str, ...]

    def __call__(self, wanted: Enclosure, known: Mapping[str, Enclosure]) -> Enclosure | None:
        """Return an enclosure of every number that makes the expression one of those wanted.

        None where nothing follows, as a divisor may be 0 or an operand has no enclosure.
        """
        try:
            for undone, other in self.steps:
                wanted = undone(wanted, value_of(other, known, self.linear))
        except NO_VALUE:
            return None
        return wanted


def inversion(expr: Expr, name: str, linear: tuple[str, ...]) -> Inversion | None:
    """Return how an expression is solved for a name that it reads once; None if it cannot be."""
    steps: list[tuple[Inverse, Expr]] = []
    while expr != Name(name):
        match expr:
            case Call(function, (argument,)) if function in linear:
                expr = argument
            case Negate(operand):
                steps.append((lambda wanted, zero: minus(zero, wanted), Number(0.0)))
                expr = operand
            case Binary(operator, left, right) if operator in _UNDONE:
                inside = name in names(left)
                steps.append((_UNDONE[operator][0 if inside else 1], right if inside else left))
                expr = left if inside else right
            case _:
                return None
    return Inversion(tuple(steps), linear)
