"""Cell -> MathML: the same equations for a page that loads no script.

Why written out and not converted from LaTeX: every part comes from a tree whose names were checked,
so nothing an author wrote can become markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from gatewright.language.cell import Cell, Equation
from gatewright.language.expression import (
    PRECEDENCE,
    Binary,
    Call,
    Expr,
    Name,
    Negate,
    Number,
    number_text,
    precedence,
)
from gatewright.language.notation import (
    GREEK_LETTERS,
    CellNaming,
    Naming,
    is_elementwise,
    number_parts,
    taken_apart,
)

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_FUNCTIONS = {"sigmoid": "σ"}


def cell_mathml(cell: Cell, time: bool = True) -> str:
    """Return the equations of a cell as one `<math>` element, a table row per equation."""
    naming = CellNaming(cell, time)
    rows = "".join(
        f'<mtr><mtd style="text-align: right">{name_mathml(equation.target, naming)}</mtd>'
        f'<mtd style="text-align: left">{_mo("=")}{_mathml(equation.expr, naming)}</mtd></mtr>'
        for equation in cell.equations
    )
    label = escape(cell.title, quote=True)
    opening = f'<math xmlns="{_NAMESPACE}" display="block" aria-label="{label}">'
    return f"{opening}<mtable>{rows}</mtable></math>"


def equation_mathml(equation: Equation, cell: Cell, time: bool = True) -> str:
    """Return one equation of a cell as a `<math>` element."""
    naming = CellNaming(cell, time)
    left = name_mathml(equation.target, naming)
    right = _mathml(equation.expr, naming)
    return f'<math xmlns="{_NAMESPACE}"><mrow>{left}{_mo("=")}{right}</mrow></math>'


def relation_mathml(sides: Sequence[Expr], naming: Naming, display: bool = False) -> str:
    """Return expressions with an equals sign between them as a `<math>` element."""
    row = _mo("=").join(_mathml(side, naming) for side in sides)
    block = ' display="block"' if display else ""
    return f'<math xmlns="{_NAMESPACE}"{block}><mrow>{row}</mrow></math>'


def name_mathml(name: str, naming: Naming) -> str:
    """Return a name with its subscripts, its step or prime, and what stands above it."""
    parts = naming.symbol(name)
    below = [_word(part) for part in parts.subscripts]
    if parts.when:
        found = re.fullmatch(r"t(?:([-+])(\d+))?", parts.when)
        assert found is not None
        sign, steps = found.groups()
        later = _mo({"-": "−", "+": "+"}[sign]) + f"<mn>{steps}</mn>" if sign else ""
        below.append(f"<mi>t</mi>{later}")
    text = _word(parts.stem)
    inner = f"<mrow>{_mo(',').join(below)}</mrow>"
    above = f"<mtext>{escape(parts.above)}</mtext>"
    if below and parts.above:
        text = f"<msubsup>{text}{inner}{above}</msubsup>"
    elif below:
        text = f"<msub>{text}{inner}</msub>"
    elif parts.above:
        text = f"<msup>{text}{above}</msup>"
    return f"<msup>{text}{_mo('′')}</msup>" if parts.prime else text


def _word(text: str) -> str:
    if text.isdigit():
        return f"<mn>{text}</mn>"
    return f"<mi>{escape(GREEK_LETTERS.get(text, text))}</mi>"


def _mo(text: str) -> str:
    return f"<mo>{escape(text)}</mo>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _mathml(expr: Expr, naming: Naming) -> str:
    match expr:
        case Number(value):
            return _number(number_text(value))
        case Name(name):
            return name_mathml(name, naming)
        case Call():
            return _call(expr, naming)
        case Negate(operand):
            return _row(_mo("−"), _wrapped(operand, 4, naming))
        case Binary("/", left, right):
            return f"<mfrac>{_mathml(left, naming)}{_mathml(right, naming)}</mfrac>"
        case Binary("^", left, right):
            return f"<msup>{_wrapped(left, 9, naming)}{_mathml(right, naming)}</msup>"
        case Binary(operator, left, right):
            level = PRECEDENCE[operator]
            sign = {"+": "+", "-": "−"}.get(operator, "\N{INVISIBLE TIMES}")
            if operator == "*" and is_elementwise(expr, naming):
                sign = "⊙"
            second = _wrapped(right, level + 1, naming)
            if isinstance(right, Negate):
                second = _fenced(_mathml(right, naming))
            return _row(_wrapped(left, level, naming), _mo(sign), second)


def _number(text: str) -> str:
    negative = text.startswith("-")
    mantissa, power = number_parts(text.lstrip("-"))
    number = f"<mn>{mantissa}</mn>"
    if power:
        number = _row(number, _mo("×"), f"<msup><mn>10</mn>{_number(power)}</msup>")
    return _row(_mo("−"), number) if negative else number


def _fenced(text: str) -> str:
    return _row(_mo("("), text, _mo(")"))


def _wrapped(expr: Expr, level: int, naming: Naming) -> str:
    text = _mathml(expr, naming)
    fraction = isinstance(expr, Binary) and expr.operator == "/" and level < 9
    call = isinstance(expr, Call) and level == 9
    return text if (precedence(expr) >= level or fraction) and not call else _fenced(text)


def _call(expr: Call, naming: Naming) -> str:
    arguments = _mo(",").join(_mathml(argument, naming) for argument in expr.arguments)
    if expr.function == "abs":
        return _row(_mo("|"), arguments, _mo("|"))
    if expr.function == "sqrt":
        return f"<msqrt>{arguments}</msqrt>"
    return _row(_function(expr.function), _mo("\N{FUNCTION APPLICATION}"), _fenced(arguments))


def _function(name: str) -> str:
    stem, subscripts = taken_apart(name)
    if stem not in GREEK_LETTERS:
        return f"<mi>{escape(_FUNCTIONS.get(name, name))}</mi>"
    below = _mo(",").join(map(_word, subscripts))
    return f"<msub>{_word(stem)}<mrow>{below}</mrow></msub>" if below else _word(stem)
