"""Names -> Symbols: how names and products are written in mathematics, for LaTeX and MathML alike.

`W_i` has a subscript, `alpha` is α, inputs and gates carry the step `t`, a state is read at `t - 1`
and its next value stands at `t`.

Why the step and not the author's prime: papers print `c_t` and `c_{t-1}`, and the prime already
means a derivative to many readers. Both printers offer either.

Why a Naming: equations of a cell and formulas of a claim are written by the same printers, but what
a name means is another in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gatewright.language.alphabet import GREEK
from gatewright.language.cell import Cell
from gatewright.language.expression import Binary, Call, Expr, Name, Negate

GREEK_LETTERS = {english: letter for letter, english in GREEK.items() if letter not in "ϵϕ"}


@dataclass(frozen=True)
class Symbol:
    """A name taken apart. `when` is a step such as "t" or "t-1", or empty; so is `above`."""

    stem: str
    subscripts: tuple[str, ...]
    when: str
    prime: bool = False
    above: str = ""


class Naming(Protocol):
    """What the names of an expression mean to a printer."""

    def symbol(self, name: str) -> Symbol:
        """Take a name apart."""

    def is_vector_name(self, name: str) -> bool:
        """Tell whether a name stands for something with a dimension."""


@dataclass(frozen=True)
class CellNaming:
    """Names inside a cell; `time` asks for the step in place of the prime."""

    cell: Cell
    time: bool = True

    def symbol(self, name: str) -> Symbol:
        """Take a name of the cell apart."""
        bare = name.removesuffix("'")
        parameters = {each.name for each in self.cell.parameters}
        parameters |= {each.name for each in self.cell.constants}
        when = ""
        if self.time and bare not in parameters:
            state = any(bare == each.name for each in self.cell.states)
            when = "t-1" if state and not name.endswith("'") else "t"
        return Symbol(*taken_apart(bare), when, name.endswith("'") and not self.time)

    def is_vector_name(self, name: str) -> bool:
        """Tell whether a name of the cell has a dimension."""
        return bool(self.cell.shape_of(name))


def taken_apart(name: str) -> tuple[str, tuple[str, ...]]:
    """Split a name into its stem and subscripts: `W_i`, and `phi2` if the stem is Greek."""
    stem, *subscripts = name.split("_")
    letter = stem.rstrip("0123456789")
    if letter != stem and letter in GREEK_LETTERS:
        stem, subscripts = letter, [stem[len(letter) :], *subscripts]
    return stem, tuple(part for part in subscripts if part)


def is_vector(expr: Expr, naming: Naming) -> bool:
    """Tell whether an expression has a dimension."""
    match expr:
        case Name(name):
            return naming.is_vector_name(name)
        case Binary("@"):
            return True
        case Binary(_, left, right):
            return is_vector(left, naming) or is_vector(right, naming)
        case Negate(operand):
            return is_vector(operand, naming)
        case Call(_, arguments):
            return any(is_vector(argument, naming) for argument in arguments)
        case _:
            return False


def is_elementwise(expr: Binary, naming: Naming) -> bool:
    """Tell whether a product is one of two vectors, which papers write with ⊙."""
    return is_vector(expr.left, naming) and is_vector(expr.right, naming)


def number_parts(text: str) -> tuple[str, str]:
    """Split a number into its mantissa and its power of ten, which may be empty."""
    mantissa, _, power = text.partition("e")
    return mantissa, str(int(power)) if power else ""
