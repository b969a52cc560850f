"""Programs, text -> the same with one seeded fault: what a gradient certificate must find.

Faults in a Program are those that a wrong derivative rule or pass would make; faults in a text are
those of a wrong printer, template or driver. Each names the cell it is seeded in.

Why a catalogue in the package: a check that has never failed proves nothing. The detection table
can be printed by anyone, for the very certificate that vouches for the kernels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from gatewright.language.cell import Cell, Equation, Variable
from gatewright.language.equation import parse
from gatewright.language.expression import Expr
from gatewright.program.compile import Programs, forward_program, saving
from gatewright.program.ir import Assign, Elementwise, Outer, Product, Products, Program, Stage
from gatewright.program.vjp import vjp

Change = Callable[[Programs], Programs]
Rewrite = Callable[[str], str]
PEEPHOLE, GRU, SHARED = "lstm_peephole", "gru", "shared_weight"


@dataclass(frozen=True)
class Fault:
    """One seeded fault: `change` for a Program's, `rewrite` for a text's."""

    name: str
    cell: str
    change: Change | None = None
    rewrite: Rewrite | None = None


class NoPlaceError(ValueError):
    """A fault that finds nothing to change: the catalogue is out of date."""


def shared_weight() -> Cell:
    """Return a cell that uses one recurrent weight twice, so that its gradient accumulates."""
    hidden = ("hidden",)
    equations = (("z", "tanh(W @ x + U @ h)"), ("h'", "tanh(U @ z + p * h)"))
    return Cell(
        name=SHARED,
        title="One weight, used twice",
        cite=(),
        inputs=(Variable("x", ("input",)),),
        states=(Variable("h", hidden),),
        parameters=(
            Variable("W", ("hidden", "input")),
            Variable("U", ("hidden", "hidden")),
            Variable("p", hidden),
        ),
        constants=(),
        choices=(),
        equations=tuple(Equation(name, hidden, parse(text), text) for name, text in equations),
        output="h'",
        gates=(),
    )


def _each_assign(stages: tuple[Stage, ...], target: str, expr: Expr) -> tuple[Stage, ...]:
    found = []
    for stage in stages:
        if isinstance(stage, Elementwise):
            items = tuple(
                replace(item, expr=expr) if item.target.name == target else item
                for item in stage.items
            )
            stage = replace(stage, items=items)
        found.append(stage)
    return tuple(found)


def _assigned(program: Program, target: str, text: str) -> Program:
    known = {t.name for item in program.statements() for t in item.targets}
    if target not in known:
        raise NoPlaceError(f"`{program.name}` defines no `{target}`")
    expr = parse(text)
    return replace(
        program,
        before=_each_assign(program.before, target, expr),
        step=_each_assign(program.step, target, expr),
        after=_each_assign(program.after, target, expr),
    )


def _reverse(target: str, text: str) -> Change:
    """Replace the expression of one statement of the reverse."""
    return lambda programs: replace(programs, reverse=_assigned(programs.reverse, target, text))


def _scaled(target: str, factor: float) -> Change:
    """Multiply one value of the reverse by a factor."""

    def change(programs: Programs) -> Programs:
        found = [
            item
            for item in programs.reverse.statements()
            if isinstance(item, Assign) and item.target.name == target
        ]
        if not found:
            raise NoPlaceError(f"the reverse defines no `{target}`")
        text = f"({found[0].expr}) * {factor!r}"
        return replace(programs, reverse=_assigned(programs.reverse, target, text))

    return change


def _forward(target: str, text: str) -> Change:
    """Replace the expression of one statement of the forward Program and derive it anew."""

    def change(programs: Programs) -> Programs:
        forward = _assigned(forward_program(programs.cell), target, text)
        reverse = vjp(forward)
        return Programs(programs.cell, saving(forward, reverse), reverse)

    return change


def _summed(target: str, text: str) -> Change:
    """Replace what is summed for the gradient of a vector."""

    def change(programs: Programs) -> Programs:
        reverse = programs.reverse
        outers = tuple(
            replace(item, expr=parse(text))
            if not isinstance(item, Outer) and item.target.name == target
            else item
            for item in reverse.outers
        )
        return replace(programs, reverse=_different(reverse, replace(reverse, outers=outers)))

    return change


def _different(old: Program, new: Program) -> Program:
    if old == new:
        raise NoPlaceError(f"nothing to change in `{old.name}`")
    return new


def _outer(edit: Callable[[Outer], Outer]) -> Change:
    def change(programs: Programs) -> Programs:
        reverse = programs.reverse
        outers = tuple(edit(i) if isinstance(i, Outer) else i for i in reverse.outers)
        return replace(programs, reverse=_different(reverse, replace(reverse, outers=outers)))

    return change


def _swapped(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*reversed(names[:2]), *names[2:])


def _swap_gates(outer: Outer) -> Outer:
    return replace(outer, lefts=_swapped(outer.lefts))


def _other_right(old: str, new: str) -> Callable[[Outer], Outer]:
    return lambda outer: replace(outer, right=new) if outer.right == old else outer


def _product(target: str, edit: Callable[[Product], Product]) -> Change:
    def stages(found: tuple[Stage, ...]) -> tuple[Stage, ...]:
        return tuple(
            Products(tuple(edit(i) if i.targets[0].name == target else i for i in stage.items))
            if isinstance(stage, Products)
            else stage
            for stage in found
        )

    def change(programs: Programs) -> Programs:
        reverse = programs.reverse
        new = replace(reverse, step=stages(reverse.step), after=stages(reverse.after))
        return replace(programs, reverse=_different(reverse, new))

    return change


def _without_last(product: Product) -> Product:
    return replace(product, weights=product.weights[:-1], operands=product.operands[:-1])


def _untransposed(product: Product) -> Product:
    return replace(product, transposed=False)


def _swapped_weights(product: Product) -> Product:
    return replace(product, weights=_swapped(product.weights))


def _text(pattern: str, replacement: str, after: str = "") -> Rewrite:
    """Replace the first match of a pattern that follows the text `after`."""

    def rewrite(text: str) -> str:
        start = text.index(after) if after else 0
        head, tail = text[:start], text[start:]
        new, count = re.subn(pattern, replacement, tail, count=1)
        if not count:
            raise NoPlaceError(f"no `{pattern}` in the text")
        return head + new

    return rewrite


def _single(text: str) -> str:
    """Round one intermediate value to single precision."""
    rounded = _text(r"d_g = d_c_next \* i\n", r"d_g = real(float32(d_c_next * i))\n")(text)
    return rounded.replace("from numpy import float64 as real\n", _BOTH, 1)


_BOTH = "from numpy import float32\nfrom numpy import float64 as real\n"
_D_C_NEXT = "ct_c_next + d_tanh_c_next * (1 - tanh_c_next * tanh_c_next) + d_a_o * p_o"

PROGRAM_FAULTS: tuple[Fault, ...] = (
    Fault("missing factor", PEEPHOLE, _reverse("d_a_o", "d_o * o")),
    Fault("wrong sign", PEEPHOLE, _reverse("d_g", "-(d_c_next * i)")),
    Fault("wrong derivative of tanh", PEEPHOLE, _reverse("d_a_g", "d_g * (1 - g)")),
    Fault("swapped operands", PEEPHOLE, _reverse("d_i", "d_c_next * c")),
    Fault("swapped gates in an outer", PEEPHOLE, _outer(_swap_gates)),
    Fault("next input for the state in an outer", SHARED, _outer(_other_right("z", "h"))),
    Fault("transposed recurrent weight", GRU, _product("d_r_h", _untransposed)),
    Fault("swapped recurrent weights", PEEPHOLE, _product("d_h", _swapped_weights)),
    Fault("missing term of a product", PEEPHOLE, _product("d_h", _without_last)),
    Fault("missing term of an input product", PEEPHOLE, _product("d_x", _without_last)),
    Fault("missing term of a sum", PEEPHOLE, _reverse("d_c", "d_c_next * f + d_a_f * p_f")),
    Fault(
        "dropped peephole path",
        PEEPHOLE,
        _reverse("d_c_next", _D_C_NEXT.removesuffix(" + d_a_o * p_o")),
    ),
    Fault("old c for new c in a peephole gradient", PEEPHOLE, _summed("d_p_o", "d_a_o * c")),
    Fault("dropped state cotangent", PEEPHOLE, _reverse("d_h_next", "ct_y")),
    Fault("dropped output cotangent", PEEPHOLE, _reverse("d_h_next", "ct_h_next")),
    Fault(
        "dropped cell cotangent",
        PEEPHOLE,
        _reverse("d_c_next", _D_C_NEXT.removeprefix("ct_c_next + ")),
    ),
    Fault(
        "wrong only through dc",
        PEEPHOLE,
        _reverse("d_c_next", _D_C_NEXT.replace("ct_c_next", "0.999 * ct_c_next")),
    ),
    Fault("bias divided by rows", PEEPHOLE, _summed("d_b_f", "d_a_f / 6")),
    Fault("bias of another gate", PEEPHOLE, _summed("d_b_f", "d_a_i")),
    Fault(
        "wrong where saturated",
        PEEPHOLE,
        _reverse("d_a_i", "d_i * i * (1 - i) * positive(0.982 - i)"),
    ),
    Fault(
        "wrong where tiny",
        PEEPHOLE,
        _reverse("d_a_g", "d_g * (1 - g * g) * positive(abs(g) - 0.0001)"),
    ),
    Fault("wrong forward sign", PEEPHOLE, _forward("c_next", "f * c - i * g")),
    Fault("old c for new c forward", PEEPHOLE, _forward("tanh_c_next", "tanh(c)")),
    Fault("wrong forward by 1e-11", PEEPHOLE, _forward("c_next", "f * c + 1.00000000001 * i * g")),
)

RELATIVE_FAULTS: tuple[Fault, ...] = tuple(
    Fault(f"`{target}` scaled by 1 + {delta:.0e}", PEEPHOLE, _scaled(target, 1.0 + delta))
    for target, delta in (
        ("d_a_i", 1e-9),
        ("d_a_f", -1e-9),
        ("d_a_o", 1e-10),
        ("d_a_g", 1e-11),
        ("d_c", 1e-11),
    )
)

TEXT_FAULTS: tuple[Fault, ...] = tuple(
    Fault(name, cell, rewrite=rewrite)
    for name, cell, rewrite in (
        (
            "bias of the last row only",
            PEEPHOLE,
            _text(r"d_b_i\[unit\] \+= d_a_i", "d_b_i[unit] = d_a_i", "def sums("),
        ),
        (
            "bias mean for sum",
            PEEPHOLE,
            _text(
                r"\+= d_a_g\[row, unit\]\n",
                "+= d_a_g[row, unit] / real(d_a_g.shape[0])\n",
                "def sums(",
            ),
        ),
        (
            "overwrite for accumulate",
            SHARED,
            _text(r"outer\(part, True, ", "outer(part, more, ", "def outers_vjp("),
        ),
        (
            "dropped last unit, forward",
            PEEPHOLE,
            _text(r"units_of\(part, (\w+)\)", r"range(\1.shape[1] - 1)", "def cell_rows("),
        ),
        (
            "dropped tail of units, reverse",
            PEEPHOLE,
            _text(r"units_of\(part, (\w+)\)", r"range(\1.shape[1] // 2 * 2)", "def cell_vjp_rows("),
        ),
        (
            "units beyond 32 dropped",
            PEEPHOLE,
            _text(r"units_of\(part, (\w+)\)", r"range(min(\1.shape[1], 32))", "def cell_vjp_rows("),
        ),
        (
            "dropped last row",
            PEEPHOLE,
            _text(r"range\((\w+)\.shape\[0\] - 1, ", r"range(\1.shape[0] - 2, ", "def sums("),
        ),
        (
            "last step not reversed",
            PEEPHOLE,
            _text(r"range\(last - 1, first - 1, -1\)", "range(last - 2, first - 1, -1)"),
        ),
        (
            "first step not reversed",
            PEEPHOLE,
            _text(r"range\(last - 1, first - 1, -1\)", "range(last - 1, first, -1)"),
        ),
        (
            "steps reversed forwards",
            PEEPHOLE,
            _text(r"range\(last - 1, first - 1, -1\)", "range(first, last)"),
        ),
        (
            "sums started from old memory",
            PEEPHOLE,
            _text(r"d_b_o\[unit\] if more else real\(0\)", "d_b_o[unit]"),
        ),
        (
            "one element scaled by 1 + 1e-9",
            PEEPHOLE,
            _text(r"(    sums\()", r"    d_U_f[0, 1] *= real(1.000000001)\n\1", "def outers_vjp("),
        ),
        ("a float32 intermediate", PEEPHOLE, _single),
        (
            "wrong sigmoid below -4",
            PEEPHOLE,
            _text(
                r"\n    i = (sigmoid\(.*\))\n",
                r"\n    i = \1 if \1 > real(0.018) else real(0)\n",
                "def cell(",
            ),
        ),
        (
            "old slab of the state",
            PEEPHOLE,
            _text(r"d_h\[\(t \+ 1\) % 2\]", "d_h[t % 2]", "def backward("),
        ),
    )
)

FAULTS: tuple[Fault, ...] = (*PROGRAM_FAULTS, *RELATIVE_FAULTS, *TEXT_FAULTS)
