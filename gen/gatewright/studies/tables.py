"""Report -> rows of text: points, geometric means, targets, and the plans of points.

Why text and not numbers: the command line aligns it, and the README takes the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatewright.studies.explain import Explanation
from gatewright.studies.report import Comparison, Report
from gatewright.studies.targets import Verdict

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def points(report: Report) -> Table:
    """Return headings and one row per point."""
    peers = report.peers
    headings = ("cell", "task", "threads", "B", "H", "T", "µs/step", "% of peak", *peers)
    rows = [
        (
            row.cell,
            row.task,
            *(str(number) for number in (row.threads, row.B, row.H, row.T)),
            ("~" if row.disturbed else "") + number_text(row.us_per_step),
            f"{row.percent_of_peak:.1f}",
            *(_ratio(row.peer(peer)) for peer in peers),
        )
        for row in report.rows
    ]
    return headings, rows


def means(report: Report) -> Table:
    """Return headings and one row of geometric means per cell, task and number of threads."""
    peers, found = report.peers, report.means()
    places = dict.fromkeys((each.cell, each.task, each.threads) for each in found)
    ratios = {(each.cell, each.task, each.threads, each.peer): each.ratio for each in found}
    rows = []
    for cell, task, threads in places:
        each = [ratios.get((cell, task, threads, peer)) for peer in peers]
        texts = ("-" if ratio is None else f"{number_text(ratio)}x" for ratio in each)
        rows.append((cell, task, str(threads), *texts))
    return ("cell", "task", "threads", *peers), rows


def targets(found: Sequence[Verdict]) -> Table:
    """Return headings and one row per promise and group of points."""
    rows: list[tuple[str, ...]] = []
    for each in found:
        target = each.target
        unit = "x" if target.peer else "%"
        mean, ceiling, worst = (
            "-" if value is None else f"{number_text(value)}{unit}"
            for value in (each.mean, each.ceiling, each.worst)
        )
        rows.append(
            (
                target.name,
                each.cell,
                each.task,
                ", ".join(map(str, each.threads)),
                f"{mean} of {target.mean:g}{unit}",
                ceiling,
                f"{worst} of {target.worst:g}{unit}",
                f"{each.points} of {each.expected}",
                each.verdict,
                each.where,
            )
        )
    headings = (
        "target",
        "cell",
        "task",
        "threads",
        "mean",
        "at the peak",
        "worst",
        "points",
        "verdict",
        "worst at",
    )
    return headings, rows


def plans(found: Iterable[Explanation]) -> Table:
    """Return headings and one row per direction of a point."""
    headings = ("cell", "direction", "threads", "B", "H", "T", "uses", "split", "why")
    return headings, [
        (
            each.cell,
            each.direction,
            *(str(number) for number in (each.threads, each.B, each.H, each.T, each.used)),
            each.split,
            each.why,
        )
        for each in found
    ]


def number_text(value: float) -> str:
    """Write a positive number with three digits and no exponent."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{3 if value < 0.1 else digits}f}"


def _ratio(found: Comparison | None) -> str:
    if found is None:
        return "-"
    return "disagrees" if found.ratio is None else f"{number_text(found.ratio)}x"
