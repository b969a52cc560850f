"""A cell with one hidden unit on random numbers: the quick screen of the search for relations.

Why apart from `evaluate`: a search asks for single equations of one cell under ties not yet all
chosen, a million times.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from gatewright.claims.evaluate import NUMBERS
from gatewright.claims.options import Option
from gatewright.language.cell import Cell, Equation
from gatewright.language.expression import Binary, Call, Expr, Name, Negate, Number

_VALUE = re.compile(r"([A-Za-z]\w*)\[t(\+1)?\]")


class ScalarModel:
    """The second cell of a search: its parameters, and its values in steps t and t + 1."""

    def __init__(self, cell: Cell, fixed: Mapping[str, float], seed: int) -> None:
        rng = random.Random(seed)
        self.parameters = {p.name: rng.uniform(-2, 2) for p in cell.parameters}
        self.constants = {c.name: c.value for c in cell.constants}
        self.inputs = [{v.name: rng.uniform(-2, 2) for v in cell.inputs} for _ in range(3)]
        states = {s.name: rng.uniform(-1, 1) for s in cell.states}
        self.steps: list[dict[str, float]] = [states]
        for step in range(2):
            values = {**self.parameters, **self.constants, **self.inputs[step], **states}
            for equation in cell.equations:
                known = fixed.get(equation.target)
                found = _value(equation.expr, values, ()) if known is None else known
                values[equation.target] = found
            states = {s.name: values[f"{s.name}'"] for s in cell.states}
            self.steps.append({**values, **states})

        self.frozen = all(
            abs(self.steps[0][s.name] - self.steps[1][s.name]) < 1e-12 for s in cell.states
        )

    def mapped(self, text: str, step: int) -> float:
        """Return a product such as `r[t+1] * h[t]` read at a step, -1 being the one before t."""
        product = 1.0
        for factor in text.split(" * "):
            match = _VALUE.fullmatch(factor)
            product *= float(factor) if match is None else self._at(match, step)
        return product

    def _at(self, match: re.Match[str], step: int) -> float:
        shifted = step + (1 if match[2] else 0)
        return self.steps[min(shifted + 1, len(self.steps) - 1)].get(match[1], float("nan"))

    def option(
        self,
        option: Option,
        equation: Equation,
        cell: Cell,
        states: Mapping[str, float],
        values: Mapping[str, float],
    ) -> float | None:
        """Return what an equation of the first cell computes under an option, in step t."""
        if option.tie:
            return self._tie(option.tie)
        known = {c.name: c.value for c in cell.constants} | self.inputs[0] | dict(states)
        known |= values
        for name, text in option.parameters.items():
            sign, _, other = text.rpartition("second.")
            factor = {"": 1.0, "-": -1.0}.get(sign)
            if factor is None:
                factor = float(sign.split(" ")[0])
            known[name] = factor * self.parameters[other] if sign or "." in text else 0.0
        try:
            return _value(equation.expr, known, option.linear)
        except (ZeroDivisionError, OverflowError, ValueError):
            return None

    def _tie(self, text: str) -> float:
        complement = text.startswith("1 - ")
        bare = text.removeprefix("1 - ")
        match = _VALUE.fullmatch(bare)
        value = float(bare) if match is None else self._at(match, 0)
        return 1 - value if complement else value


def _value(expr: Expr, known: Mapping[str, float], linear: tuple[str, ...]) -> float:
    match expr:
        case Number(value):
            return value
        case Name(name):
            return known[name]
        case Negate(operand):
            return -_value(operand, known, linear)
        case Call("max" | "min" as name, (left, right)):
            one, other = _value(left, known, linear), _value(right, known, linear)
            return max(one, other) if name == "max" else min(one, other)
        case Call(name, (argument,)):
            inner = _value(argument, known, linear)
            return (
                inner if name in linear else abs(inner) if name == "abs" else NUMBERS[name](inner)
            )
        case Binary(operator, left, right):
            one, other = _value(left, known, linear), _value(right, known, linear)
            match operator:
                case "+":
                    return one + other
                case "-":
                    return one - other
                case "/":
                    return one / other
                case "^":
                    return float(one**other)
                case _:
                    return one * other
    raise TypeError(expr)
