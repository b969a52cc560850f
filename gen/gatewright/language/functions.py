"""The table of functions an equation may call: one row each, written in the equation language.

A row holds the stable form that kernels compute, the partial derivatives (in the arguments and in
`y`, the result), the argument of its kink if it has one, and how it is typeset. The reference
interpreter, the kernels, the derivation and the display all read this table and nothing else.

Why derivatives in the result: `y * (1 - y)` needs no second exponential and keeps the saved values
to the activated gates. Why the definition stands apart from the stable form: the definition is what
SymPy differentiates when it proves the row; the stable form is what survives `x = -1000`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Function:
    """A function of one or two scalars.

    `stable` is empty for a primitive, which every target prints in its own words. `kink` is an
    expression in the arguments whose zeros are the points without a derivative; the value used
    there is that of `partials`, the convention of PyTorch.
    """

    name: str
    arguments: tuple[str, ...]
    partials: tuple[str, ...]
    stable: str = ""
    definition: str = ""
    kink: str = ""
    latex: str = ""
    internal: bool = False


_ROWS = (
    Function(
        "sigmoid",
        ("x",),
        ("y * (1 - y)",),
        stable="1 / (1 + exp(-x))",
        definition="1 / (1 + exp(-x))",
        latex=r"\sigma",
    ),
    Function(
        "tanh",
        ("x",),
        ("1 - y * y",),
        definition="(exp(2 * x) - 1) / (exp(2 * x) + 1)",
        latex=r"\tanh",
    ),
    Function(
        "relu", ("x",), ("positive(y)",), stable="max(x, 0)", kink="x", latex=r"\mathrm{relu}"
    ),
    Function("exp", ("x",), ("y",), definition="exp(x)", latex=r"\exp"),
    Function("log", ("x",), ("1 / x",), definition="log(x)", latex=r"\log"),
    Function("sqrt", ("x",), ("0.5 / y",), definition="sqrt(x)", latex=r"\mathrm{sqrt}"),
    Function("sin", ("x",), ("cos(x)",), definition="sin(x)", latex=r"\sin"),
    Function("cos", ("x",), ("-sin(x)",), definition="cos(x)", latex=r"\cos"),
    Function(
        "softplus",
        ("x",),
        ("sigmoid(x)",),
        stable="max(x, 0) + log1p(exp(-abs(x)))",
        definition="log(1 + exp(x))",
        latex=r"\mathrm{softplus}",
    ),
    Function(
        "silu",
        ("x",),
        ("sigmoid(x) * (1 + x - y)",),
        stable="x * sigmoid(x)",
        definition="x / (1 + exp(-x))",
        latex=r"\mathrm{silu}",
    ),
    Function(
        "softsign",
        ("x",),
        ("(1 - abs(y)) * (1 - abs(y))",),
        stable="x / (1 + abs(x))",
        latex=r"\mathrm{softsign}",
    ),
    Function(
        "hard_tanh",
        ("x",),
        ("positive(1 - abs(x))",),
        stable="max(min(x, 1), -1)",
        kink="1 - abs(x)",
        latex=r"\mathrm{hard\_tanh}",
    ),
    Function("abs", ("x",), ("sign(x)",), kink="x", latex=r"\mathrm{abs}"),
    Function("max", ("a", "b"), ("half(a - b)", "half(b - a)"), kink="a - b", latex=r"\max"),
    Function("min", ("a", "b"), ("half(b - a)", "half(a - b)"), kink="a - b", latex=r"\min"),
    # What derivatives read. 1, 0 or (for `half`) 0.5 and (for `sign`) -1: constant but for a jump.
    Function("log1p", ("x",), ("1 / (1 + x)",), internal=True),
    Function("positive", ("x",), ("0",), kink="x", internal=True),
    Function("half", ("x",), ("0",), kink="x", internal=True),
    Function("sign", ("x",), ("0",), kink="x", internal=True),
)

FUNCTIONS: dict[str, Function] = {row.name: row for row in _ROWS}
AUTHOR_FUNCTIONS: dict[str, Function] = {row.name: row for row in _ROWS if not row.internal}
