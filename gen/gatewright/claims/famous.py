"""The famous claim told in full: that a GRU is an LSTM with tied gates.

What is claimed, what is true, by how much each reading fails, what else would have to hold, and how
large the difference is; the numbers and formulas come from the verdicts and the searches.

Why text here and not in the claim file: the file states claims, and a story about fourteen of them
belongs to none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gatewright.claims.assume import abduce
from gatewright.claims.claim import Claim
from gatewright.claims.details import residual_blocks
from gatewright.claims.divergence import drifts
from gatewright.claims.pages import Block
from gatewright.claims.pictures import divergence_svg, timing_svg
from gatewright.claims.relate import relate
from gatewright.claims.tell import numbers
from gatewright.claims.typeset import ClaimNaming, naming
from gatewright.claims.verdict import Refuted, Verdict
from gatewright.claims.worked import worked
from gatewright.language.catalogue import load

FAMILY = "lstm_gru"
SHORT = (
    "As printed, the claim is false. It is true of gates that are given as sequences if `o[t-1]` "
    "stands for `r[t]`, which no LSTM can do that runs in order and whose reset gate reads the "
    "input. Three things part the two cells; the text names one."
)
CLAIMED = (
    "if f = 1 − z, i = z, o = r and φ2(x) = x, the GRU and LSTM models implement the same "
    "recurrence. The only difference that remains is that the gates are computed from o·φ2(c) in "
    "the LSTM, rather than from c as it is the case in the GRU. In this sense, the GRU is a "
    "strictly simplified version of the LSTM."
)
ANSWER = (
    "With `f = 1 - z`, `i = z` and `phi2` the identity, the LSTM's cell follows the GRU's "
    "recurrence exactly if the gate that multiplies the state inside the candidate is the same at "
    "the same time, `o[t-1] = r[t]`. A real LSTM has computed `o[t-1]` one step earlier, from "
    "`x[t-1]` and `h[t-2]`; its gates read `o * c`; and it emits `o * c`. Move the output gate "
    "from write time to read time, let the gates read `c` and emit `c`, and the LSTM is the GRU."
)
DIFFERENCES = (
    ("difference", "in the LSTM", "in the GRU", "in the text"),
    (
        "timing: what multiplies the state inside the candidate",
        "`o[t-1]`, computed from `x[t-1]` and `h[t-2]`",
        "`r[t]`, computed from `x[t]` and `h[t-1]`",
        "not named",
    ),
    ("source: what the other gates read", "`o[t-1] * phi2(c[t-1])`", "`h[t-1]`", "named"),
    ("output: what is emitted", "`o[t] * phi2(c[t])`", "`h[t]`", "not named"),
)
# The readings whose residuals say what each difference contributes, and what is said of them.
PARTS = {
    "formulas": "Real cells, the weights tied. `i` and `z` are one formula that reads `o * c` in "
    "the LSTM and `h` in the GRU; `g` and `n` are one formula that reads `o[t-1] * c[t-1]` and "
    "`r[t] * h[t-1]`. The first product is the difference in source, the second that in timing.",
    "formulas_gates_read_c": "The source, which the text names, repaired: the timing remains.",
    "formulas_read_time": "The timing repaired: the source remains.",
    "sequences_same_step": "Gates as sequences tied at equal steps: the timing remains.",
}
SIMPLIFIED = (
    "Nor do other weights help. If the reset gate lets the candidate depend on the present input "
    "through `U @ (r[t] * h[t-1])`, then no LSTM with `phi2` the identity, of any size and with "
    "any weights, computes what the GRU computes: as a function of the input extended to complex "
    "numbers, one step of the LSTM has only isolated poles, while the candidate of the GRU, a tanh "
    "of something that itself has poles, has points where poles accumulate. This argument was made "
    "by hand; no program here checked it. So the GRU is not a special case of the LSTM, simplified "
    "or otherwise: the two classes of functions overlap."
)
BOUND = (
    "With gates as sequences tied at equal steps, let L be the largest row sum of |U|, r the "
    "largest value of the reset gate and d its largest change from one step to the next. If "
    "L r < 1 and the states begin equal, the difference never exceeds L d B / (1 − L r), with B "
    "the larger of 1 and the first state, and in any case 2 B; this bound was derived by hand. "
)


def is_whole(family: str, verdicts: Sequence[Verdict]) -> bool:
    """Tell whether the readings that the story speaks of are there, and not only some."""
    names = {verdict.claim.name for verdict in verdicts}
    return family == FAMILY and names >= PARTS.keys()


def story(verdicts: Sequence[Verdict]) -> Iterator[Block]:
    """Yield what is true, what is claimed, and why that is not so."""
    names = naming(verdicts[0].claim)
    yield Block("text", SHORT, names=names)
    yield Block("heading", "What is true")
    yield Block("quote", ANSWER, names=names)
    yield Block("heading", "What is claimed")
    yield Block("text", "A text that is often quoted says of the two cells:")
    yield Block("quote", CLAIMED)
    yield Block(
        "text",
        "Its o and r carry no step, and it does not say which values agree. The cells are:",
    )
    yield Block("cell", "lstm")
    yield Block("cell", "gru")
    yield Block("heading", "Where they differ")
    yield Block("text", "Three differences, independent of each other:")
    yield Block("table", rows=DIFFERENCES, names=names)
    yield Block("picture", timing_svg(), rows=(("timing", "When each cell computes its gate"),))


def what_else(verdicts: Sequence[Verdict]) -> Iterator[Block]:
    """Yield residuals, a worked counterexample, and what the searches and measurements found."""
    by_name = {verdict.claim.name: verdict for verdict in verdicts}
    yield Block("heading", "By how much one step parts them")
    for name, text in PARTS.items():
        yield Block("text", text, names=naming(by_name[name].claim))
        what, shown, *then = residual_blocks(by_name[name])
        yield from (what, shown, *(each for each in then[:1] if each.text.startswith("which")))
    yield from _worked(by_name["formulas"])
    yield from _assumed(by_name["formulas"].claim)
    yield from _no_other(naming(verdicts[0].claim))
    yield from _bounded()


def _worked(verdict: Verdict) -> Iterator[Block]:
    assert isinstance(verdict.finding, Refuted)
    example = verdict.finding.counterexample
    yield Block("heading", "A counterexample to follow by hand")
    yield Block(
        "text",
        "One hidden unit, real cells with tied weights, both from zero. The LSTM's `c` and the "
        f"GRU's `h` first differ in step {example.step}:",
        names=naming(verdict.claim),
    )
    yield Block("code", "\n".join(numbers(example)))
    rows = worked(verdict.claim, example)
    yield Block("table", rows=rows, names=naming(verdict.claim))


def _assumed(claim: Claim) -> Iterator[Block]:
    found = abduce(claim)
    yield Block("heading", "What else would have to hold")
    yield Block(
        "text",
        "For real cells with tied weights, these are all minimal sets of at most three further "
        f"assumptions under which the LSTM's c is the GRU's h. {found.tried} sets were tried: "
        f"{found.refuted} are refuted by numbers and {len(found.undecided)} left undecided. Not "
        "listed are sets that only give a constant of another set its value.",
    )
    names = naming(claim)
    sufficient = [frozenset(each.assumptions) for each in found.sufficient]
    weakest = [
        each
        for each in found.sufficient
        if not any(_loosened(each.assumptions, text) in sufficient for text in each.assumptions)
    ]
    sets = [
        " and ".join(map(_assumption, each.assumptions)) + " (all states stay 0)" * each.at_rest
        for each in weakest
    ]
    yield Block("list", "sets", tuple((each,) for each in sets), names)
    yield Block(
        "text",
        "A repair of the timing (the output gate at read time, a reset gate that never changes, or "
        "`U_n = 0`) together with a repair of the source (gates that read c, an update gate that "
        "never changes, or `U_z = 0`) is such a set; the others repair both at once.",
        names=names,
    )


def _loosened(assumptions: tuple[str, ...], text: str) -> frozenset[str]:
    """Return a set with one `x = 0` replaced by `x is constant`."""
    loose = f"{text.partition(' = ')[0]} is constant"
    return frozenset(loose if each == text else each for each in assumptions)


def _assumption(text: str) -> str:
    """Write `gru.r = 1` as a formula; the cell is known."""
    bare = text.replace("gru.", "")
    formula = re.match(r"\w+( = \d)?(?=$| is )", bare)
    return f"`{formula[0]}`{bare[formula.end() :]}" if formula else bare


def _no_other(names: ClaimNaming) -> Iterator[Block]:
    related = relate(load("lstm"), load("gru"), all_ways=True)
    plain = [each for each in related.relations if not each.changes[0].startswith("gru.")]
    yield Block("heading", "No other tie does it")
    yield Block(
        "text",
        f"Of {related.account.all:,} combinations of ties, constants, functions, weights and "
        "state maps, the cheapest that turns the LSTM into the GRU fixes the reset gate:",
    )
    yield Block("list", "", tuple((_change(e),) for e in related.relations[0].changes), names)
    if plain:
        yield Block("text", "With the reset gate left free, the cheapest is:")
        yield Block("list", "", tuple((_change(each),) for each in plain[0].changes), names)
        yield Block(
            "text",
            "It ties a gate to one of the next step, which sequences can and cells that run in "
            "order cannot.",
        )
    yield Block("text", SIMPLIFIED, names=names)


def _change(text: str) -> str:
    """Write a change as a formula, or, where it stands for several parameters, as it is."""
    return text if " in " in text else f"`{text}`"


def _bounded() -> Iterator[Block]:
    measured = drifts()
    shares = ", ".join(f"{100 * m.largest / m.bound:.0f} % at L = {m.size}" for m in measured)
    yield Block("heading", "How large the difference is")
    yield Block(
        "text",
        f"{BOUND}Measured over {len(measured[0].run)} steps, the largest difference as a part of "
        f"that bound: {shares}. So the two are close where the reset gate changes slowly, and that "
        "is all that can be said.",
    )
    what = "Measured difference of the two cells, and its bound"
    yield Block("picture", divergence_svg(measured), rows=(("divergence", what),))
