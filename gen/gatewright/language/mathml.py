"""Cell -> MathML: the same equations for a page that loads no script.

Why written out and not converted from LaTeX: every part comes from a tree whose names were checked,
so nothing an author wrote can become markup.
"""

from __future__ import annotations

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
    is_elementwise,
    number_parts,
    symbol,
)

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_FUNCTIONS = {"sigmoid": "σ"}


def cell_mathml(cell: Cell, time: bool = True) -> str:
    """Return the equations of a cell as one `<math>` element, a table row per equation."""
    rows = "".join(
        f'<mtr><mtd style="text-align: right">{name_mathml(equation.target, cell, time)}</mtd>'
        f'<mtd style="text-align: left">{_mo("=")}{_mathml(equation.expr, cell, time)}</mtd></mtr>'
        for equation in cell.equations
    )
    label = escape(cell.title, quote=True)
    opening = f'<math xmlns="{_NAMESPACE}" display="block" aria-label="{label}">'
    return f"{opening}<mtable>{rows}</mtable></math>"


def equation_mathml(equation: Equation, cell: Cell, time: bool = True) -> str:
    """Return one equation of a cell as a `<math>` element."""
    left = name_mathml(equation.target, cell, time)
    right = _mathml(equation.expr, cell, time)
    return f'<math xmlns="{_NAMESPACE}"><mrow>{left}{_mo("=")}{right}</mrow></math>'


def name_mathml(name: str, cell: Cell, time: bool = True) -> str:
    """Return a name of a cell with its subscripts, and its step or prime."""
    parts = symbol(name, cell, time)
    below = [_word(part) for part in parts.subscripts]
    if parts.when == "t":
        below.append("<mi>t</mi>")
    elif parts.when:
        below.append(f"<mi>t</mi>{_mo('−')}<mn>1</mn>")
    text = _word(parts.stem)
    if below:
        text = f"<msub>{text}<mrow>{_mo(',').join(below)}</mrow></msub>"
    return f"<msup>{text}{_mo('′')}</msup>" if parts.prime else text


def _word(text: str) -> str:
    if text.isdigit():
        return f"<mn>{text}</mn>"
    return f"<mi>{escape(GREEK_LETTERS.get(text, text))}</mi>"


def _mo(text: str) -> str:
    return f"<mo>{escape(text)}</mo>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _mathml(expr: Expr, cell: Cell, time: bool) -> str:
    match expr:
        case Number(value):
            return _number(number_text(value))
        case Name(name):
            return name_mathml(name, cell, time)
        case Call():
            return _call(expr, cell, time)
        case Negate(operand):
            return _row(_mo("−"), _wrapped(operand, 4, cell, time))
        case Binary("/", left, right):
            return f"<mfrac>{_mathml(left, cell, time)}{_mathml(right, cell, time)}</mfrac>"
        case Binary("^", left, right):
            return f"<msup>{_wrapped(left, 9, cell, time)}{_mathml(right, cell, time)}</msup>"
        case Binary(operator, left, right):
            level = PRECEDENCE[operator]
            sign = {"+": "+", "-": "−"}.get(operator, "\N{INVISIBLE TIMES}")
            if operator == "*" and is_elementwise(expr, cell):
                sign = "⊙"
            second = _wrapped(right, level + 1, cell, time)
            if isinstance(right, Negate):
                second = _fenced(_mathml(right, cell, time))
            return _row(_wrapped(left, level, cell, time), _mo(sign), second)


def _number(text: str) -> str:
    negative = text.startswith("-")
    mantissa, power = number_parts(text.lstrip("-"))
    number = f"<mn>{mantissa}</mn>"
    if power:
        number = _row(number, _mo("×"), f"<msup><mn>10</mn>{_number(power)}</msup>")
    return _row(_mo("−"), number) if negative else number


def _fenced(text: str) -> str:
    return _row(_mo("("), text, _mo(")"))


def _wrapped(expr: Expr, level: int, cell: Cell, time: bool) -> str:
    text = _mathml(expr, cell, time)
    fraction = isinstance(expr, Binary) and expr.operator == "/" and level < 9
    call = isinstance(expr, Call) and level == 9
    return text if (precedence(expr) >= level or fraction) and not call else _fenced(text)


def _call(expr: Call, cell: Cell, time: bool) -> str:
    arguments = _mo(",").join(_mathml(argument, cell, time) for argument in expr.arguments)
    if expr.function == "abs":
        return _row(_mo("|"), arguments, _mo("|"))
    if expr.function == "sqrt":
        return f"<msqrt>{arguments}</msqrt>"
    name = escape(_FUNCTIONS.get(expr.function, expr.function))
    return _row(f"<mi>{name}</mi>", _mo("\N{FUNCTION APPLICATION}"), _fenced(arguments))
