"""Cell -> LaTeX: equations the way a paper prints them, with the author's terms in their order.

Why not SymPy's printer: it sorts sums, knows no elementwise product, and would print the cell it
simplified and not the one that was written.
"""

from __future__ import annotations

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
from gatewright.language.functions import FUNCTIONS
from gatewright.language.notation import (
    GREEK_LETTERS,
    is_elementwise,
    number_parts,
    symbol,
)


def cell_latex(cell: Cell, time: bool = True) -> str:
    """Return the equations of a cell as an `aligned` block, for a display in LaTeX or KaTeX."""
    rows = " \\\\\n".join(
        "  " + equation_latex(equation, cell, time).replace(" = ", " &= ", 1)
        for equation in cell.equations
    )
    return f"\\begin{{aligned}}\n{rows}\n\\end{{aligned}}"


def equation_latex(equation: Equation, cell: Cell, time: bool = True) -> str:
    """Return one equation of a cell; `time` writes `c_t` where the spec has `c'`."""
    return f"{name_latex(equation.target, cell, time)} = {_latex(equation.expr, cell, time)}"


def name_latex(name: str, cell: Cell, time: bool = True) -> str:
    """Return a name of a cell with its subscripts, and its step or prime."""
    parts = symbol(name, cell, time)
    below = [_word(part) for part in parts.subscripts]
    below += [parts.when] if parts.when else []
    return _word(parts.stem) + (f"_{{{','.join(below)}}}" if below else "") + "'" * parts.prime


def _word(text: str) -> str:
    if text in GREEK_LETTERS:
        return f"\\{text}"
    return text if len(text) == 1 or text.isdigit() else f"\\mathrm{{{text}}}"


def _latex(expr: Expr, cell: Cell, time: bool) -> str:
    match expr:
        case Number(value):
            mantissa, power = number_parts(number_text(value))
            return f"{mantissa} \\times 10^{{{power}}}" if power else mantissa
        case Name(name):
            return name_latex(name, cell, time)
        case Call():
            return _call(expr, cell, time)
        case Negate(operand):
            return f"-{_wrapped(operand, 4, cell, time)}"
        case Binary("/", left, right):
            return f"\\frac{{{_latex(left, cell, time)}}}{{{_latex(right, cell, time)}}}"
        case Binary("^", left, right):
            base = _wrapped(left, 9, cell, time)
            return f"{{{base}}}^{{{_latex(right, cell, time)}}}"
        case Binary(operator, left, right):
            level = PRECEDENCE[operator]
            sign = f" {operator} "
            if operator == "@":
                sign = " "
            elif operator == "*":
                sign = r" \odot " if is_elementwise(expr, cell) else r" \, "
            first = _wrapped(left, level, cell, time)
            second = _wrapped(right, level + 1, cell, time)
            if second.startswith("-"):
                second = f"\\left({second}\\right)"
            return f"{first}{sign}{second}"


def _wrapped(expr: Expr, level: int, cell: Cell, time: bool) -> str:
    text = _latex(expr, cell, time)
    fraction = isinstance(expr, Binary) and expr.operator == "/" and level < 9
    call = isinstance(expr, Call) and level == 9
    if (precedence(expr) >= level or fraction) and not call:
        return text
    return f"\\left({text}\\right)"


def _call(expr: Call, cell: Cell, time: bool) -> str:
    arguments = ", ".join(_latex(argument, cell, time) for argument in expr.arguments)
    if expr.function == "abs":
        return f"\\left|{arguments}\\right|"
    if expr.function == "sqrt":
        return f"\\sqrt{{{arguments}}}"
    row = FUNCTIONS.get(expr.function)
    symbol_text = row.latex if row and row.latex else _word(expr.function).replace("_", r"\_")
    return f"{symbol_text}\\left({arguments}\\right)"
