"""Programs -> Check: the exact step of a certificate, without numbers.

For every function that the Programs use: the partial derivatives of its row are those of its
definition, and its stable form is its definition; see `claims.function_rows`. For the Programs:
see `claims.translation`. Both are decided by the normal forms that decide claims.

Why here and not only in `gatewright verify`: a certificate is about one cell on one target, and
says of everything it rests on whether it was proved.
"""

from __future__ import annotations

from gatewright.claims.function_rows import functions_of, rows_verified
from gatewright.claims.normal_form import TooLargeError
from gatewright.claims.translation import reverse_identities
from gatewright.language.functions import FUNCTIONS
from gatewright.verify.subject import Subject
from gatewright.verify.verdict import Check, Deviation, UndecidedError, judged


def symbolic(subject: Subject) -> Check:
    """Prove the rows of the function table and the reverse Program."""
    used = functions_of(subject.programs)
    try:
        rows = rows_verified(used, FUNCTIONS)
        program = reverse_identities(subject.programs, FUNCTIONS)
    except TooLargeError as problem:
        raise UndecidedError(str(problem)) from None
    broken = [*rows.broken, *program.broken]
    undecided = [*rows.undecided, *program.undecided]
    if undecided and not broken:
        raise UndecidedError(f"neither proved nor refuted: {'; '.join(undecided)}")
    detail = f"{rows.count} identities of {len(used)} functions, {program.count} of the reverse"
    return judged("symbolic", Deviation(float(len(broken)), "; ".join(broken)), 0.0, detail)
