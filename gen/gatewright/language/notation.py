"""Cell -> Symbol: how names and products are written in mathematics, for LaTeX and MathML alike.

`W_i` has a subscript, `alpha` is α, inputs and gates carry the step `t`, a state is read at `t - 1`
and its next value stands at `t`.

Why the step and not the author's prime: papers print `c_t` and `c_{t-1}`, and the prime already
means a derivative to many readers. Both printers offer either.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.language.alphabet import GREEK
from gatewright.language.cell import Cell
from gatewright.language.expression import Binary, Call, Expr, Name, Negate

GREEK_LETTERS = {english: letter for letter, english in GREEK.items() if letter not in "ϵϕ"}


@dataclass(frozen=True)
class Symbol:
    """A name taken apart. `when` is "t", "t-1" or empty."""

    stem: str
    subscripts: tuple[str, ...]
    when: str
    prime: bool


def symbol(name: str, cell: Cell, time: bool) -> Symbol:
    """Take a name of a cell apart; `time` asks for the step in place of the prime."""
    bare = name.removesuffix("'")
    stem, *subscripts = bare.split("_")
    parameters = {each.name for each in cell.parameters}
    parameters |= {each.name for each in cell.constants}
    when = ""
    if time and bare not in parameters:
        previous = not name.endswith("'") and any(bare == state.name for state in cell.states)
        when = "t-1" if previous else "t"
    return Symbol(
        stem, tuple(part for part in subscripts if part), when, name.endswith("'") and not time
    )


def is_vector(expr: Expr, cell: Cell) -> bool:
    """Tell whether an expression of a cell has a dimension."""
    match expr:
        case Name(name):
            return bool(cell.shape_of(name))
        case Binary("@"):
            return True
        case Binary(_, left, right):
            return is_vector(left, cell) or is_vector(right, cell)
        case Negate(operand):
            return is_vector(operand, cell)
        case Call(_, arguments):
            return any(is_vector(argument, cell) for argument in arguments)
        case _:
            return False


def is_elementwise(expr: Binary, cell: Cell) -> bool:
    """Tell whether a product is one of two vectors, which papers write with ⊙."""
    return is_vector(expr.left, cell) and is_vector(expr.right, cell)


def number_parts(text: str) -> tuple[str, str]:
    """Split a number into its mantissa and its power of ten, which may be empty."""
    mantissa, _, power = text.partition("e")
    return mantissa, str(int(power)) if power else ""
