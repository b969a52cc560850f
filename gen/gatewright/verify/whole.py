"""Cell -> everything that `gatewright verify` proves of it, by what it is proved of.

    programs    the forward and reverse Program compute the equations and their adjoints
    functions   rows of the function table: derivatives and stable forms follow from definitions
    cpu, cuda   the text of the generated file computes what the Programs do

Together: what runs is what the author wrote, over the real numbers, for all sizes. Rounding is what
`gatewright grad` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from gatewright.claims.function_rows import functions_of, rows_verified
from gatewright.claims.identities import Identities
from gatewright.claims.normal_form import TooLargeError
from gatewright.claims.translation import verified
from gatewright.emit.source import TARGETS, emit
from gatewright.language.cell import Cell
from gatewright.program.compile import Programs, compile_cell
from gatewright.verify.printed import text_verified


@dataclass(frozen=True)
class Verified:
    """What is proved of one cell; `parts` has the identities by what they are about."""

    cell: str
    functions: tuple[str, ...]
    parts: Mapping[str, Identities]

    @property
    def word(self) -> str:
        """`fail` if any part fails, else `inconclusive` if any is, else `pass`."""
        words = [part.word for part in self.parts.values()]
        return next((word for word in ("fail", "inconclusive") if word in words), "pass")

    @property
    def broken(self) -> list[str]:
        """A sentence for each identity that numbers refute."""
        return [f"{name}: {text}" for name, part in self.parts.items() for text in part.broken]

    @property
    def undecided(self) -> list[str]:
        """A sentence for each identity that is neither proved nor refuted."""
        return [f"{name}: {text}" for name, part in self.parts.items() for text in part.undecided]

    @property
    def summary(self) -> str:
        """How many identities were proved, in one line."""
        programs, functions = self.parts["programs"], self.parts["functions"]
        texts = [f"{name} {self.parts[name].count}" for name in TARGETS]
        told = [f"{programs.count} identities in {programs.theory}"]
        if self.functions:
            told.append(f"{functions.count} of {', '.join(self.functions)}")
        return "; ".join((*told, f"text of {', '.join(texts)}"))


def whole(cell: Cell, programs: Programs | None = None) -> Verified:
    """Verify a cell's Programs (compiled anew if None), functions and generated files."""
    compiled = programs or compile_cell(cell)
    used = functions_of(compiled)
    found = {
        "programs": _part(lambda: verified(compiled)),
        "functions": _part(lambda: rows_verified(used)),
    }
    for name, target in TARGETS.items():
        text = emit(compiled, target).text
        found[name] = _part(partial(text_verified, text, compiled))
    return Verified(cell.identifier, used, found)


def _part(prove: Callable[[], Identities]) -> Identities:
    try:
        return prove()
    except TooLargeError as problem:
        return Identities(1, [], [str(problem)])
