"""Cell, Cell -> what each equation of the first may become in a search for relations.

Why by equation: parameters belong to one equation in every cell of the catalogue, so what is chosen
for a gate is chosen for its three arrays at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations, product

from gatewright.language.cell import Cell, Dims, Equation
from gatewright.language.expression import Binary, Call, Name, names, walk

FACTORS = (1.0, -1.0, 2.0, 0.5)
MOST_UNNAMED = 3  # parameters of one shape in an equation that are paired in every order
KEPT_FUNCTIONS = ("exp", "log", "sqrt")


@dataclass(frozen=True)
class Option:
    """What an equation becomes: tied, with parameters given, or with functions left out.

    `text` is empty for the plain correspondence of equations of one name and kind.
    """

    text: str
    cost: int
    tie: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    linear: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash((self.text, self.tie, self.linear))


ANYTHING = Option("anything", 0)  # in place of an option where none makes a difference


def options(first: Cell, second: Cell, gates: tuple[str, ...]) -> dict[str, tuple[Option, ...]]:
    """Return the options of every equation of the first cell, by its target.

    `gates` are those of the second cell that gates of the first may be tied to.
    """
    return {each.target: tuple(_options(each, first, second, gates)) for each in first.equations}


def _options(
    equation: Equation, first: Cell, second: Cell, gates: tuple[str, ...]
) -> Iterator[Option]:
    own = _parameters(equation, first)
    target = f"{first.name}.{equation.target.removesuffix(chr(39))}"
    gate = equation.target in first.gates
    functions = tuple(
        dict.fromkeys(
            node.function
            for node in walk(equation.expr)
            if isinstance(node, Call) and len(node.arguments) == 1
        )
    )
    ways: list[tuple[str, int, tuple[str, ...]]] = [("", 0, ())]
    if functions and not gate and not set(functions) & set(KEPT_FUNCTIONS):
        ways.append((f"{', '.join(functions)} in {target} = identity", 1, functions))
    for text, cost, linear in ways:
        if not own:
            yield Option(text, cost, linear=linear)
            continue
        for words, price, given in _given(own, gate, first, second):
            both = f"{text}, {words}" if text else words
            yield Option(both, cost + price, parameters=given, linear=linear)
    if gate and own:
        yield Option(f"{target} = 1", 1, tie="1")
        yield Option(f"{target} = 0", 1, tie="0")
        for other in gates:
            for when in ("", "+1"):
                yield Option(f"{target}[t] = {other}[t{when}]", 2, tie=f"{other}[t{when}]")
                yield Option(f"{target}[t] = 1 - {other}[t{when}]", 2, tie=f"1 - {other}[t{when}]")


def _parameters(equation: Equation, cell: Cell) -> dict[str, Dims]:
    """Return the parameters an equation reads and their shapes; a factor's ends in a star.

    So a bias, which is a term, has no peephole, which is a factor, for its counterpart.
    """
    declared = {parameter.name: parameter.dims for parameter in cell.parameters}
    factors = {
        part.name
        for node in walk(equation.expr)
        if isinstance(node, Binary) and node.operator in ("*", "/")
        for part in (node.left, node.right)
        if isinstance(part, Name)
    }
    return {
        name: (*declared[name], *("*" * (name in factors)))
        for name in names(equation.expr)
        if name in declared
    }


def _given(
    own: Mapping[str, Dims], gate: bool, first: Cell, second: Cell
) -> Iterator[tuple[str, int, dict[str, str]]]:
    group = _group(own)
    for equation in second.equations:
        if gate != (equation.target in second.gates):
            continue
        theirs = _parameters(equation, second)
        for pairs, factor in product(_matched(own, theirs), FACTORS):
            zeros = [name for name in own if name not in pairs]
            sign = {1.0: "", -1.0: "-", 2.0: "2 * ", 0.5: "0.5 * "}[factor]
            given = {name: f"{sign}second.{other}" for name, other in pairs.items()}
            given |= dict.fromkeys(zeros, "0")
            words = f"{first.name}.{group} = {sign}{second.name}.{_group(theirs)}"
            words += f", {', '.join(zeros)} = 0" if zeros else ""
            yield words, int(factor != 1.0) + len(zeros), given
    yield f"{first.name}.{group} = 0", 2, dict.fromkeys(own, "0")


def _group(parameters: Mapping[str, Dims]) -> str:
    """Name the parameters of an equation together: `*_i` for W_i, U_i and b_i."""
    endings = {name.partition("_")[2] for name in parameters}
    if len(endings) == 1 and len(parameters) > 1 and "" not in endings:
        return f"*_{endings.pop()}"
    return f"({', '.join(parameters)})" if len(parameters) > 1 else next(iter(parameters))


def _matched(own: Mapping[str, Dims], theirs: Mapping[str, Dims]) -> list[dict[str, str]]:
    """Pair parameters of one shape: those whose names begin alike, and the others in every way.

    An author's names say nothing, so what has no counterpart by its name is also tried without one.
    """
    alike: dict[str, str] = {}
    for name, dims in own.items():
        free = [other for other in theirs if other not in alike.values()]
        same = [other for other in free if _first(other) == _first(name) and theirs[other] == dims]
        if same:
            alike[name] = same[0]
    shapes = dict.fromkeys(dims for name, dims in own.items() if name not in alike)
    ways = []
    for shape in shapes:
        mine = [n for n, dims in own.items() if dims == shape and n not in alike]
        free = [n for n, dims in theirs.items() if dims == shape and n not in alike.values()]
        short, long = sorted((mine, free), key=len)
        if len(long) > MOST_UNNAMED:
            short, long = [], []
        orders = [dict(zip(short, each, strict=True)) for each in permutations(long, len(short))]
        ways.append(orders if short is mine else [{v: k for k, v in o.items()} for o in orders])
    found = [alike | {k: v for way in each for k, v in way.items()} for each in product(*ways)]
    return [each for each in ([alike] if alike and alike not in found else []) + found if each]


def _first(name: str) -> str:
    return name.split("_")[0]
