"""Report -> SVG: every ratio as a bar on a logarithmic axis, one column of bars per peer.

A bar starts at the line at 1 and goes right where our kernels are faster, left where the peer is.
Points are rows, grouped by cell, task and number of threads; the axis is the same in all columns.
Bars are pale where other processes disturbed the measurement.

Why written by hand: a drawing of rectangles and words needs no library, and the file stays small
enough to be committed and read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from gatewright.studies.report import Report, Row
from gatewright.studies.tables import number_text

LABEL, COLUMN, GAP, MARGIN = 84, 210, 16, 16
# Room for the number beside a bar, inside its column.
ROOM = 34
LINE, HEADING, TOP = 14, 22, 92
INK, FAINT, FASTER, SLOWER, WRONG = "#1f2328", "#d0d7de", "#1a6fb5", "#c4621a", "#b3261e"
PALE = 0.35
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class _Axis:
    """A logarithmic axis that holds 1 and all ratios, ending on ticks."""

    def __init__(self, ratios: Sequence[float]) -> None:
        low, high = min([*ratios, 1.0]), max([*ratios, 1.0])
        self.low = max((t for t in TICKS if t <= min(low, 0.5)), default=low)
        self.high = min((t for t in TICKS if t >= max(high, 2.0)), default=high)
        self.ticks = [t for t in TICKS if self.low <= t <= self.high]
        if len(self.ticks) > 7:
            self.ticks = [t for t in self.ticks if math.log10(t) % 1 in (0.0, 1.0)]

    def x(self, ratio: float) -> float:
        """Return how far from a column's left edge a ratio is."""
        part = math.log(ratio / self.low) / math.log(self.high / self.low)
        return ROOM + part * (COLUMN - 2 * ROOM)


def svg(report: Report) -> str:
    """Return the drawing as the text of an SVG file."""
    peers = report.peers
    each = [comparison.ratio for row in report.rows for comparison in row.peers]
    axis = _Axis([ratio for ratio in each if ratio is not None])
    groups = _groups(report.rows)
    height = TOP + sum(HEADING + LINE * len(rows) for _, rows in groups) + 2 * MARGIN
    width = 2 * MARGIN + LABEL + len(peers) * (COLUMN + GAP)
    machine = report.machine
    versions = machine["versions"]
    libraries = ", ".join(
        f"{k} {versions[k]}" for k in ("torch", "jax", "onnxruntime") if k in versions
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-labelledby="title about" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11">',
        '<title id="title">Time of other libraries divided by time of gatewright</title>',
        f'<desc id="about">{escape(_description(report))}</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(
            MARGIN, 24, "Time of other libraries divided by time of gatewright", size=15, bold=True
        ),
        _text(MARGIN, 42, f"{machine['cpu']}, {machine['cores']} cores, float32; {libraries}"),
        f'<rect x="{MARGIN}" y="51" width="10" height="9" fill="{FASTER}"/>',
        _text(MARGIN + 15, 59, "gatewright is faster"),
        f'<rect x="{MARGIN + 135}" y="51" width="10" height="9" fill="{SLOWER}"/>',
        _text(MARGIN + 150, 59, "the library is faster"),
    ]
    if any(row.disturbed for row in report.rows):
        lines.append(_text(MARGIN + 280, 59, "pale: other processes were busy; in no mean"))
    for k, peer in enumerate(peers):
        lines += _column(axis, peer, _left(k), height)
    y = TOP
    for heading, rows in groups:
        lines.append(_text(MARGIN, y + 15, heading, bold=True, halo=True))
        y += HEADING
        for row in rows:
            lines.append(_text(MARGIN, y + 10, f"B={row.B} H={row.H}"))
            lines += _bars(axis, row, peers, y)
            y += LINE
    return "\n".join([*lines, "</svg>", ""])


def _groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        heading = f"{row.cell}, {row.task}, {_threads(row.threads)}"
        found.setdefault(heading, []).append(row)
    return list(found.items())


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _description(report: Report) -> str:
    means = (
        f"{m.peer}, {m.cell}, {m.task}, {_threads(m.threads)}: {number_text(m.ratio)}"
        for m in report.means()
    )
    return "Geometric means of the ratios. " + "; ".join(means)


def _left(column: int) -> int:
    return MARGIN + LABEL + GAP + column * (COLUMN + GAP)


def _column(axis: _Axis, peer: str, left: int, height: int) -> Iterator[str]:
    """Yield a peer's heading and its axis."""
    yield _text(left + COLUMN / 2, TOP - 17, peer, anchor="middle", bold=True)
    for tick in axis.ticks:
        x = left + axis.x(tick)
        colour, width = (INK, 1.2) if tick == 1 else (FAINT, 0.8)
        yield (
            f'<line x1="{x:.1f}" y1="{TOP + 3}" x2="{x:.1f}" y2="{height - MARGIN - 8}" '
            f'stroke="{colour}" stroke-width="{width}"/>'
        )
        yield _text(x, TOP - 1, f"{tick:g}", anchor="middle", size=9)


def _bars(axis: _Axis, row: Row, peers: Sequence[str], y: int) -> Iterator[str]:
    for k, peer in enumerate(peers):
        found = row.peer(peer)
        if found is None:
            continue
        one = _left(k) + axis.x(1.0)
        if found.ratio is None:
            yield _text(one + 4, y + 10, "disagrees", size=9, colour=WRONG)
            continue
        end = _left(k) + axis.x(found.ratio)
        faster = found.ratio >= 1
        pale = f' fill-opacity="{PALE}"' if row.disturbed else ""
        yield (
            f'<rect class="bar" x="{min(one, end):.1f}" y="{y + 2}" height="{LINE - 4}" '
            f'width="{max(abs(end - one), 0.8):.1f}" fill="{FASTER if faster else SLOWER}"{pale}/>'
        )
        x, anchor = (end + 3, "start") if faster else (end - 3, "end")
        yield _text(x, y + 10, number_text(found.ratio), size=9, anchor=anchor, halo=True)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 11,
    anchor: str = "start",
    bold: bool = False,
    halo: bool = False,
    colour: str = INK,
) -> str:
    """Return a line of text; a halo keeps it legible on the lines of the axis."""
    style = ' font-weight="bold"' if bold else ""
    if halo:
        style += ' stroke="#ffffff" stroke-width="3" paint-order="stroke"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{colour}"{style}>{escape(text)}</text>'
    )
