"""Numbers -> pieces of SVG: an axis, marks, lines and words that a drawing is put together from.

Colours are those of Okabe and Ito, which people with any colour vision tell apart, darker on a
light ground and lighter on a dark one; each colour has a mark of its own shape, too. The ground is
part of the drawing, so it can be read on any page.

Why written by hand: a drawing of marks and words needs no library, and the file stays small enough
to be committed and read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10000)
# About what a letter of the sans-serif fonts takes, as a part of the size.
LETTER = 0.52
STYLE = """<style>
  .ground { fill: #ffffff }
  .ink { fill: #1f2328 }
  .soft { fill: #59636e }
  .rule { stroke: #d8dee4; stroke-width: 0.8 }
  .one { stroke: #1f2328; stroke-width: 1.2 }
  .slower { fill: #d55e00; fill-opacity: 0.09 }
  .wrong { stroke: #b3261e; stroke-width: 1.8 }
  .p0 { fill: #0072b2; stroke: #0072b2 }
  .p1 { fill: #7a7f87; stroke: #7a7f87 }
  .p2 { fill: #008a64; stroke: #008a64 }
  .p3 { fill: #d0560a; stroke: #d0560a }
  .p4 { fill: #a23e78; stroke: #a23e78 }
  .join { fill: none; stroke-width: 1.1; stroke-opacity: 0.55 }
  .hollow { fill: #ffffff; stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 }
    .ink { fill: #e6edf3 }
    .soft { fill: #9aa4af }
    .rule { stroke: #2b323b }
    .one { stroke: #e6edf3 }
    .slower { fill-opacity: 0.2 }
    .wrong { stroke: #ff8a80 }
    .p0 { fill: #56b4e9; stroke: #56b4e9 }
    .p1 { fill: #a5adb8; stroke: #a5adb8 }
    .p2 { fill: #2fc79a; stroke: #2fc79a }
    .p3 { fill: #f59a4a; stroke: #f59a4a }
    .p4 { fill: #e58fc0; stroke: #e58fc0 }
    .join { fill: none }
    .hollow { fill: #0d1117 }
  }
</style>"""


class Axis:
    """A logarithmic axis that holds 1 and all ratios, with a little room at both ends."""

    def __init__(self, ratios: Sequence[float]) -> None:
        self.low = min([*ratios, 0.8]) / 1.15
        self.high = max([*ratios, 2.0]) * 1.15
        self.ticks = [tick for tick in TICKS if self.low <= tick <= self.high]
        if len(self.ticks) > 8:
            self.ticks = [tick for tick in self.ticks if math.log10(tick) % 1 == 0.0]

    def part(self, ratio: float) -> float:
        """Return how far up the axis a ratio is, from 0 to 1."""
        return math.log(ratio / self.low) / math.log(self.high / self.low)


@dataclass(frozen=True)
class Box:
    """The rectangle of a panel, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def y(self, part: float) -> float:
        """Return the height on the page of a part of the axis."""
        return self.top + self.height * (1.0 - part)


def _diamond(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 3.6:.1f}l3.6 3.6l-3.6 3.6l-3.6 -3.6z"'


def _square(x: float, y: float) -> str:
    return f'<path d="M{x - 2.6:.1f} {y - 2.6:.1f}h5.2v5.2h-5.2z"'


def _triangle(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 3.4:.1f}l3.4 6h-6.8z"'


def _disc(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.9"'


def _wedge(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y + 3.4:.1f}l3.4 -6h-6.8z"'


MARKS = (_disc, _diamond, _triangle, _square, _wedge)


def mark(number: int, x: float, y: float, hollow: bool = False, kind: str = "") -> str:
    """Return the mark of a peer by its number, centred on a place."""
    shape = MARKS[number % len(MARKS)](x, y)
    classes = [kind, f"p{number % len(MARKS)}", "hollow" if hollow else ""]
    return f'{shape} class="{" ".join(filter(None, classes))}"/>'


def cross(x: float, y: float) -> str:
    """Return the mark of a peer that computed something else."""
    return (
        f'<path class="wrong" d="M{x - 3:.1f} {y - 3:.1f}l6 6'
        f'M{x + 3:.1f} {y - 3:.1f}l-6 6"/>'
    )  # fmt: skip


def line(x: float, y: float, x_end: float, y_end: float, kind: str) -> str:
    """Return a straight line."""
    return (
        f'<line class="{kind}" x1="{x:.1f}" y1="{y:.1f}" x2="{x_end:.1f}" y2="{y_end:.1f}"/>'
    )  # fmt: skip


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int,
    anchor: str = "start",
    bold: bool = False,
    kind: str = "ink",
) -> str:
    """Return a line of words that begins, ends or is centred at a place."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def wrapped(words: str, width: float, size: int = 11) -> Iterator[str]:
    """Yield the lines of a sentence that is broken to fit a width in pixels."""
    room, current = int(width / (LETTER * size)), ""
    for word in words.split():
        if current and len(current) + 1 + len(word) > room:
            yield current
            current = word
        else:
            current = f"{current} {word}".strip()
    yield current
