"""Curves -> SVG: the held-out loss of every cell over the steps of its training.

The red line is the loss of an answer without a memory: what lies below it was learnt. The axis
ends at the largest loss after the first step; one before it that is larger is drawn there.

Why the vertical axis begins at zero: how far a loss has fallen can then be read off.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import pairwise

from gatewright.examples.curve import Curve
from gatewright.studies.plot_parts import MARKS, STYLE, Box, line, mark, text

WIDTH, BOX = 560, Box(56, 78, 480, 230)
HEIGHT, LINE = 352, 15
STEPS = (1.0, 2.0, 5.0)


def svg(title: str, unit: str, curves: Mapping[str, Curve], baseline: float, named: str) -> str:
    """Return the drawing of curves by the names of their cells as the text of an SVG file.

    `baseline` is the loss of the answer that `named` describes, in `unit` as all losses are.
    """
    highest = max(
        [baseline * 1.1, *(point.held_out for each in curves.values() for point in each.points[1:])]
    )
    last = max(each.points[-1].step for each in curves.values())
    finals = ", ".join(f"{name} {each.final:.4g}" for name, each in curves.items())
    about = f"Loss in {unit}. {named}: {baseline:.4g}. At the end: {finals}."
    body = [text(16, 28, title, size=16, bold=True), text(16, 47, unit, size=11, kind="soft")]
    x = 16.0 + 6
    for k, name in enumerate(curves):
        body += [mark(k, x, 62), text(x + 10, 66, name, size=12)]
        x += 34 + 7 * len(name)
    for tick in ticks(highest):
        y = BOX.y(tick / highest)
        body.append(line(BOX.left, y, BOX.left + BOX.width, y, "one" if not tick else "rule"))
        body.append(text(BOX.left - 6, y + 3.5, f"{tick:g}", size=10, anchor="end", kind="soft"))
    below = BOX.top + BOX.height
    for tick in ticks(last):
        place = BOX.left + BOX.width * tick / last
        body.append(text(place, below + 15, f"{tick:g}", size=10, anchor="middle", kind="soft"))
    body.append(text(BOX.left + BOX.width / 2, below + 32, "steps", size=11, anchor="middle"))
    y = BOX.y(baseline / highest)
    body.append(line(BOX.left, y, BOX.left + BOX.width, y, "wrong"))
    body.append(
        text(BOX.left + BOX.width, y - 5, named, size=10, anchor="end", kind="soft")
    )  # fmt: skip
    for k, curve in enumerate(curves.values()):
        places = [
            (BOX.left + BOX.width * each.step / last, BOX.y(min(each.held_out / highest, 1.0)))
            for each in curve.points
        ]
        body += [line(*a, *b, f"join p{k % len(MARKS)}") for a, b in pairwise(places)]
        body += [mark(k, *place, kind="point") for place in places]
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-labelledby="title about" '
        'font-family="Helvetica, Arial, sans-serif">'
    )
    names = f'<title id="title">{escape(title)}</title><desc id="about">{escape(about)}</desc>'
    ground = f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>'
    return "\n".join([start, names, STYLE, ground, *body, "</svg>", ""])


def ticks(highest: float) -> list[float]:
    """Return round numbers from zero, three to six of them, none above the highest."""
    size = 10.0 ** len(str(int(highest))) if highest >= 1 else 1.0
    while True:
        for part in reversed(STEPS):
            step = size * part / 10
            if 3 <= highest / step + 1 <= 7:
                return [k * step for k in range(int(highest / step + 1e-9) + 1)]
        size /= 10
