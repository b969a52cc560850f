"""What was looked at in a verification: how many identities, and those that are not proved.

Why one record for Programs, function rows and printed text: what `gatewright verify` says of each
is the same three things.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewright.claims.theory import Theory


@dataclass
class Identities:
    """How many identities were looked at, and the theory that proves them.

    `broken` has a sentence for each that numbers refute, `undecided` for each that is neither
    proved nor refuted.
    """

    count: int = 0
    broken: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    theory: Theory = Theory.UF

    @property
    def word(self) -> str:
        """`fail`, `inconclusive` or `pass`."""
        return "fail" if self.broken else "inconclusive" if self.undecided else "pass"
