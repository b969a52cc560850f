"""Cell, Cell -> the ways in which one becomes the other: ties, constants, functions, maps, weights.

The space that is searched, all of it:
  a gate of the first cell       its own formula, 0, 1, or a gate of the second, or 1 minus it, of
                                 the same or the next step
  the parameters of an equation  all 0, or those of an equation of the second cell, a gate's for a
                                 gate's, times 1, -1, 2 or 1/2; those without a counterpart are 0
  functions                      as they are, or the identity
  a gate of the second cell      as it is, or 1
  the states of the first cell   a state of the second, a state times a gate, or 0 for one that is
                                 not emitted

Gates are what a cell lists as such, and where it lists none, the equations that are a sigmoid.

A relation is a choice of these such that one step of the first cell, from mapped states, ends in
mapped states, whatever the states of the second cell were.

Every combination is accounted for. It is proved, as a claim; or excluded by exact numbers, at which
enclosures of the two sides have no point in common, or because its values cannot be computed; or
undecided, and then it is listed. So "none" is a proof that there is none in this space.

Why one unit first: what differs there differs, and a scalar step takes microseconds; what does not
is tried with two and three units, where matrices no longer commute with products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gatewright.claims.claim import Side
from gatewright.claims.formulas import MeaningError
from gatewright.claims.named_like import named_like
from gatewright.claims.normal_form import NormalForm, TooLargeError
from gatewright.claims.prove import proof
from gatewright.claims.relation import Found, Relation, claim_of, distinct, is_instance, relation
from gatewright.claims.runs import random_steps
from gatewright.claims.screen import NOTHING, Account, Chosen, Screen
from gatewright.claims.terms import Terms
from gatewright.claims.translation import cell_values
from gatewright.language.cell import Cell
from gatewright.language.expression import Call, Expr, Number

RUNS = 9  # sets of numbers for one, two and three units
LISTED = 20


SPACE = (
    "a gate of FIRST: its own formula, 0, 1, or a gate of SECOND or 1 minus it, of this step or "
    "the next",
    "the parameters of an equation: 0, or those of an equation of SECOND, a gate's for a gate's, "
    "times 1, -1, 2 or 1/2; those without a counterpart are 0",
    "functions that are no gate's: as they are, or the identity",
    "gates of SECOND: as they are, or one of them 1",
    "each state of FIRST: a state of SECOND, a gate of the next step times a state, or 0 for one "
    "that is not emitted; the first state of SECOND stands in one of them",
    "a relation: from any states of SECOND, one step of FIRST from the mapped states ends in them",
)


@dataclass(frozen=True)
class Related:
    """The relations found, cheapest first, and the account of the whole space.

    Relations that follow from another one are proved and counted, but not told apart from it.
    `undecided` says, for the first few combinations that are neither proved nor excluded, what
    they change. `left_out` says what is no part of the space for these two cells.
    """

    relations: tuple[Relation, ...]
    account: Account = NOTHING
    undecided: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every combination of the space is proved or excluded."""
        return self.account.undecided == 0


def relate(first: Cell, second: Cell, all_ways: bool = False) -> Related:
    """Return how the first cell becomes the second, within the space of the module's docstring.

    Without `all_ways`, relations that need more than the cheapest by more than one are left out.
    """
    first, second = _with_gates(named_like(first, second)), _with_gates(second)
    if first.inputs != second.inputs:
        return Related((), left_out=("everything: the cells read different inputs",))
    left, right = Side("first", first, {}), Side("second", second, {})
    proved: list[Found] = []
    account = NOTHING
    undecided: list[str] = []
    left_out: list[str] = []
    for fixed in _fixed_gates(second):
        if _keeps_its_states(second, fixed):
            left_out.append(f"{second.name}.{next(iter(fixed))} = 1: the states are kept")
            continue
        search = _Search(left, right, fixed)
        proved += distinct(search.proved, search.screen.options)
        account += search.account
        undecided += search.undecided
    told = [
        relation(first, second, each)
        for each in proved
        if not any(is_instance(each, other) for other in proved)
    ]
    found = sorted(dict.fromkeys(told), key=lambda each: (each.cost, each.changes))
    kept = [each for each in found if all_ways or each.cost <= found[0].cost + 1]
    return Related(tuple(kept), account, tuple(undecided[:LISTED]), tuple(left_out))


def _with_gates(cell: Cell) -> Cell:
    """Return a cell with its gates listed: an author who lists none may have some all the same."""
    found = [e.target for e in cell.equations if not e.target.endswith("'") and _is_gate(e.expr)]
    return cell if cell.gates else replace(cell, gates=tuple(found))


def _is_gate(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.function == "sigmoid"


def _fixed_gates(cell: Cell) -> list[dict[str, float]]:
    return [{}, *({gate: 1.0} for gate in cell.gates)]


def _keeps_its_states(cell: Cell, fixed: Mapping[str, float]) -> bool:
    """Tell whether a cell with a gate fixed keeps its states: every cell that does becomes it."""
    equations = tuple(
        replace(each, expr=Number(fixed[each.target])) if each.target in fixed else each
        for each in cell.equations
    )
    terms = Terms()
    values = cell_values(terms, replace(cell, equations=equations))
    form = NormalForm()
    pairs = [(values[f"{s.name}'"], terms.variable(s.name)) for s in cell.states]
    return all(not form.difference(after, before) for after, before in pairs)


class _Search:
    """What becomes of the combinations that numbers do not exclude."""

    def __init__(self, left: Side, right: Side, fixed: Mapping[str, float]) -> None:
        self.left, self.right = left, right
        self.screen = Screen(left.cell, right.cell, fixed)
        self.undecided: list[str] = []
        self.proved: list[Found] = []
        excluded = meaningless = 0
        for chosen in self.screen.left_over():
            match self._decided(chosen):
                case Found() as found:
                    self.proved.append(found)
                case "excluded":
                    excluded += 1
                case "meaningless":
                    meaningless += 1
                case _:
                    self.undecided.append(self._told(chosen))
        excluded += self.screen.excluded
        self.account = Account(self.screen.all, len(self.proved), excluded, meaningless)

    def _decided(self, chosen: Chosen) -> Found | Literal["excluded", "meaningless", "undecided"]:
        claim = claim_of(self.left, self.right, chosen)
        try:
            found = proof(claim)
        except (MeaningError, ZeroDivisionError):
            return "meaningless"
        except TooLargeError:
            found = None
        if found is not None:
            return Found(chosen, found.theory, bool(found.lookahead))
        return "excluded" if random_steps(claim, RUNS).disagreed else "undecided"

    def _told(self, chosen: Chosen) -> str:
        changes = [f"{self.right.cell.name}.{gate} = 1" for gate in chosen.fixed]
        return ", ".join([*changes, *(o.text for o in chosen.options.values() if o.text)])
