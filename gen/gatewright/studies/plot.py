"""Report -> SVG: a small panel per cell, task and number of threads, every ratio a mark in it.

Panels of one cell stand side by side. In a panel the batch grows from left to right, and within
each batch the number of units; marks of one batch are joined. The vertical axis is logarithmic and
the same in all panels; below the line at 1, where the other library is faster, the ground is
tinted. Under its heading a panel states each peer's geometric mean. Marks are hollow where other
processes disturbed the measurement, and a cross lies at the bottom where a peer did not agree.

Why one axis for all: a panel with an axis of its own would make every cell look alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from gatewright.studies.plot_parts import (
    MARKS,
    STYLE,
    Axis,
    Box,
    cross,
    line,
    mark,
    text,
    wrapped,
)
from gatewright.studies.report import PEER_ORDER, Report, Row
from gatewright.studies.tables import number_text

TITLE = "Speed of gatewright relative to other libraries"
MARGIN, LABELS, GAP, PANEL_WIDTH, PANEL_HEIGHT = 16, 30, 10, 202, 150
HEADING, MEANS, TICKS, BETWEEN = 30, 30, 18, 12
LEAST_WIDTH, LINE = 560, 15


def svg(report: Report) -> str:
    """Return the drawing as the text of an SVG file, at most 900 pixels wide for two tasks on two
    numbers of threads."""
    groups = report.groups()
    columns = sorted({(task, threads) for _, task, threads in groups})
    cells = tuple(dict.fromkeys(cell for cell, _, _ in groups))
    width = max(LEAST_WIDTH, 2 * MARGIN + LABELS + len(columns) * (PANEL_WIDTH + GAP) - GAP)
    head, y = _head(report, width)
    body: list[str] = []
    axis = Axis([each.ratio for row in report.rows for each in row.peers if each.ratio is not None])
    for cell in cells:
        body.append(text(MARGIN, y + 12, cell, size=13, bold=True))
        top = y + HEADING + MEANS
        box = Box(MARGIN + LABELS, top, PANEL_WIDTH, PANEL_HEIGHT)
        body += _labels(axis, box)
        for k, (task, threads) in enumerate(columns):
            if rows := groups.get((cell, task, threads)):
                left = MARGIN + LABELS + k * (PANEL_WIDTH + GAP)
                body += _panel(report, rows, axis, Box(left, top, PANEL_WIDTH, PANEL_HEIGHT))
        y = top + PANEL_HEIGHT + TICKS + BETWEEN
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" '
        f'height="{y}" role="img" aria-labelledby="title about" '
        'font-family="Helvetica, Arial, sans-serif">'
    )
    names = f'<title id="title">{TITLE}</title><desc id="about">{escape(_about(report))}</desc>'
    ground = f'<rect class="ground" width="{width}" height="{y}"/>'
    return "\n".join([start, names, STYLE, ground, *head, *body, "</svg>", ""])


def _head(report: Report, width: int) -> tuple[list[str], int]:
    """Return the title, the machine, how to read the panels and the marks, and where they end."""
    machine, versions = report.machine, report.machine["versions"]
    libraries = [f"{k} {versions[k]}" for k in ("torch", "jax", "onnxruntime") if k in versions]
    where = [machine["cpu"], f"{machine['cores']} cores", "float32", *libraries]
    where += [str(machine["date"])] if "date" in machine else []
    how = (
        "Time of the library divided by ours, on a logarithmic axis: above the line at 1 "
        "gatewright is faster. From left to right the batch B grows, and within each batch the "
        f"number of units H{_range([row.H for row in report.rows])}. Numbers are geometric means."
    )
    if any(row.disturbed for row in report.rows):
        how += " Hollow: disturbed by others; in no mean."
    found = [text(MARGIN, 28, TITLE, size=16, bold=True)]
    y = 32
    for sentence in (", ".join(where), how):
        for each in wrapped(sentence, width - 2 * MARGIN):
            y += LINE
            found.append(text(MARGIN, y, each, size=11, kind="soft"))
    y += 24
    x: float = MARGIN + 6
    for peer in report.peers:
        found.append(mark(_number(report, peer), x, y - 4))
        found.append(text(x + 10, y, peer, size=12))
        x += 34 + 7 * len(peer)
    if report.disagreements:
        found += [cross(x, y - 4), text(x + 10, y, "computed something else", size=12)]
    return found, y + 18


def _number(report: Report, peer: str) -> int:
    """Return the number of a peer's mark: the same in every drawing for those of this project."""
    others = [each for each in report.peers if each not in PEER_ORDER]
    return PEER_ORDER.index(peer) if peer in PEER_ORDER else len(PEER_ORDER) + others.index(peer)


def _range(sizes: Sequence[int]) -> str:
    return f" from {min(sizes)} to {max(sizes)}" if len(set(sizes)) > 1 else ""


def _about(report: Report) -> str:
    means = (
        f"{m.peer}, {m.cell}, {m.task}, {_threads(m.threads)}: {number_text(m.ratio)}"
        for m in report.means()
    )
    return "Geometric means of the ratios. " + "; ".join(means)


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _labels(axis: Axis, box: Box) -> Iterator[str]:
    for tick in axis.ticks:
        y = box.y(axis.part(tick))
        yield text(box.left - 5, y + 3.5, f"{tick:g}", size=10, anchor="end", kind="soft")


def _panel(report: Report, rows: Sequence[Row], axis: Axis, box: Box) -> Iterator[str]:
    _, task, threads = rows[0].group
    yield text(box.left, box.top - MEANS - 2, f"{task}, {_threads(threads)}", size=11)
    yield from _means(report, rows, box)
    one = box.y(axis.part(1.0))
    yield (
        f'<rect class="slower" x="{box.left}" y="{one:.1f}" width="{box.width}" '
        f'height="{box.top + box.height - one:.1f}"/>'
    )
    for tick in axis.ticks:
        y = box.y(axis.part(tick))
        yield line(box.left, y, box.left + box.width, y, "one" if tick == 1 else "rule")
    batches = sorted({row.B for row in rows})
    share = box.width / len(batches)
    for k, batch in enumerate(batches):
        left = box.left + k * share
        if k:
            yield line(left, box.top, left, box.top + box.height, "rule")
        label = f"B={batch}"
        yield text(left + share / 2, box.top + box.height + 13, label, size=10, anchor="middle",
                   kind="soft")  # fmt: skip
        chosen = sorted((r for r in rows if batch == r.B), key=lambda row: (row.H, row.T))
        places = [left + share * (n + 0.5) / len(chosen) for n in range(len(chosen))]
        for peer in report.peers:
            yield from _series(_number(report, peer), peer, chosen, places, axis, box)


def _means(report: Report, rows: Sequence[Row], box: Box) -> Iterator[str]:
    """Yield the geometric means of a panel beside their marks."""
    ratios = {
        mean.peer: mean.ratio
        for mean in report.means()
        if (mean.cell, mean.task, mean.threads) == rows[0].group
    }
    slot = box.width / max(4, len(report.peers))
    for k, peer in enumerate(report.peers):
        if peer in ratios:
            x = box.left + 5 + k * slot
            yield mark(_number(report, peer), x, box.top - 15)
            yield text(x + 8, box.top - 11, f"{number_text(ratios[peer])}×", size=11, bold=True)


def _series(
    number: int, peer: str, rows: Sequence[Row], places: Sequence[float], axis: Axis, box: Box
) -> Iterator[str]:
    """Yield the marks of one peer and one batch, joined by lines."""
    found = [
        (x, box.y(axis.part(comparison.ratio)), row.disturbed)
        for x, row in zip(places, rows, strict=True)
        if (comparison := row.peer(peer)) and comparison.ratio is not None
    ]
    for (x, y, _), (x_next, y_next, _) in pairwise(found):
        yield line(x, y, x_next, y_next, f"join p{number % len(MARKS)}")
    for x, y, disturbed in found:
        yield mark(number, x, y, hollow=disturbed, kind="point")
    for x, row in zip(places, rows, strict=True):
        comparison = row.peer(peer)
        if comparison and not comparison.agrees:
            yield cross(x, box.top + box.height - 6)
