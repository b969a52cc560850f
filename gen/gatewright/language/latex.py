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
    CellNaming,
    Naming,
    is_elementwise,
    number_parts,
    taken_apart,
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
    naming = CellNaming(cell, time)
    return f"{name_latex(equation.target, naming)} = {expression_latex(equation.expr, naming)}"


def name_latex(name: str, naming: Naming) -> str:
    """Return a name with its subscripts, its step or prime, and what stands above it."""
    parts = naming.symbol(name)
    below = [_word(part) for part in parts.subscripts]
    below += [parts.when] if parts.when else []
    above = rf"^{{\mathrm{{{_escaped(parts.above)}}}}}" if parts.above else ""
    text = _word(parts.stem) + (f"_{{{','.join(below)}}}" if below else "")
    return text + above + "'" * parts.prime


def _escaped(text: str) -> str:
    return text.replace("_", r"\_")


def _word(text: str) -> str:
    if text in GREEK_LETTERS:
        return f"\\{text}"
    return text if len(text) == 1 or text.isdigit() else f"\\mathrm{{{text}}}"


def expression_latex(expr: Expr, naming: Naming) -> str:
    """Return an expression, its names as `naming` has them."""
    match expr:
        case Number(value):
            mantissa, power = number_parts(number_text(value))
            return f"{mantissa} \\times 10^{{{power}}}" if power else mantissa
        case Name(name):
            return name_latex(name, naming)
        case Call():
            return _call(expr, naming)
        case Negate(operand):
            return f"-{_wrapped(operand, 4, naming)}"
        case Binary("/", left, right):
            return (
                f"\\frac{{{expression_latex(left, naming)}}}{{{expression_latex(right, naming)}}}"
            )
        case Binary("^", left, right):
            base = _wrapped(left, 9, naming)
            return f"{{{base}}}^{{{expression_latex(right, naming)}}}"
        case Binary(operator, left, right):
            level = PRECEDENCE[operator]
            sign = f" {operator} "
            if operator == "@":
                sign = " "
            elif operator == "*":
                sign = r" \odot " if is_elementwise(expr, naming) else r" \, "
            first = _wrapped(left, level, naming)
            second = _wrapped(right, level + 1, naming)
            if second.startswith("-"):
                second = f"\\left({second}\\right)"
            return f"{first}{sign}{second}"


def _wrapped(expr: Expr, level: int, naming: Naming) -> str:
    text = expression_latex(expr, naming)
    fraction = isinstance(expr, Binary) and expr.operator == "/" and level < 9
    call = isinstance(expr, Call) and level == 9
    if (precedence(expr) >= level or fraction) and not call:
        return text
    return f"\\left({text}\\right)"


def _call(expr: Call, naming: Naming) -> str:
    arguments = ", ".join(expression_latex(argument, naming) for argument in expr.arguments)
    if expr.function == "abs":
        return f"\\left|{arguments}\\right|"
    if expr.function == "sqrt":
        return f"\\sqrt{{{arguments}}}"
    row = FUNCTIONS.get(expr.function)
    symbol_text = row.latex if row and row.latex else _function(expr.function)
    return f"{symbol_text}\\left({arguments}\\right)"


def _function(name: str) -> str:
    stem, subscripts = taken_apart(name)
    if stem not in GREEK_LETTERS:
        return _escaped(_word(name))
    return _word(stem) + (f"_{{{','.join(subscripts)}}}" if subscripts else "")
