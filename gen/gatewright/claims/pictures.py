"""Numbers -> SVG: the pictures of a report, as text without a library.

Why SVG by hand: two pictures of thirty lines need no plotting library, stay sharp in print, and
differ from run to run only where their numbers do.
"""

from __future__ import annotations

import math

from gatewright.claims.divergence import Drift

WIDTH, LEFT, RIGHT = 640, 60, 520
TOP, BASE = 30, 250
KINDS = ("one", "two", "three")
DECADES = (-4, 0)


def divergence_svg(drifts: tuple[Drift, ...]) -> str:
    """Return the differences over the steps on a logarithmic scale, each with its bound, dashed."""
    steps = len(drifts[0].run)

    def x(step: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * step / steps, 1)

    def y(value: float) -> float:
        low, high = DECADES
        share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return round(BASE - (BASE - TOP) * share, 1)

    parts = [
        f'<path d="M{LEFT} {TOP}V{BASE}H{RIGHT}" class="axis"/>',
        f'<text x="{(LEFT + RIGHT) / 2}" y="{BASE + 38}" class="m">step t</text>',
        f'<text x="{LEFT - 44}" y="{TOP - 14}">largest |c − h|, and its bound, dashed</text>',
    ]
    for power in range(DECADES[0], DECADES[1] + 1):
        at = y(10.0**power)
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4}" class="e">{10.0**power:g}</text>')
        parts.append(f'<path d="M{LEFT} {at}H{RIGHT}" class="grid"/>')
    for tick in range(0, steps + 1, 20):
        parts.append(f'<text x="{x(tick)}" y="{BASE + 20}" class="m">{tick}</text>')
    for drift, kind in zip(drifts, KINDS, strict=False):
        points = " ".join(f"{x(k + 1)},{y(v)}" for k, v in enumerate(drift.run))
        parts.append(f'<polyline points="{points}" class="{kind}"/>')
        line = y(drift.bound)
        parts.append(f'<path d="M{LEFT} {line}H{RIGHT}" class="{kind} dashed"/>')
        label = f"bound, L = {drift.size}"
        parts.append(f'<text x="{RIGHT + 8}" y="{line + 4}" class="{kind}">{label}</text>')
    return _svg(parts, BASE + 48, "Measured difference of the two cells and its bound, dashed")


def timing_svg() -> str:
    """Return when each cell computes the gate that multiplies the state in step t."""
    parts = []
    for left, when in ((70, "t − 1"), (300, "t")):
        parts.append(f'<rect x="{left}" y="8" width="220" height="180" rx="6" class="box"/>')
        parts.append(f'<text x="{left + 110}" y="28" class="m">step {when}</text>')
    rows = (
        (76, "LSTM", 96, "o[t−1] computed", "from x[t−1] and h[t−2]"),
        (146, "GRU", 326, "r[t] computed", "from x[t] and h[t−1]"),
    )
    for height, cell, start, gate, reads in rows:
        parts.append(f'<text x="12" y="{height + 4}">{cell}</text>')
        parts.append(f'<path d="M{start} {height}H492" class="link"/>')
        parts.append(f'<circle cx="{start}" cy="{height}" r="6" class="one"/>')
        parts.append(f'<text x="{start - 6}" y="{height - 12}">{gate}</text>')
        parts.append(f'<text x="{start - 6}" y="{height + 24}" class="s">{reads}</text>')
        parts.append(f'<circle cx="492" cy="{height}" r="6" class="two"/>')
        parts.append(f'<text x="528" y="{height - 2}">multiplies</text>')
        parts.append(f'<text x="528" y="{height + 14}">the state in U</text>')
    label = "The gate that multiplies the state in step t is one step old in the LSTM"
    return _svg(parts, 196, label)


STYLE = (
    "svg{--ink:#222;--soft:#666;--box:#f6f6f2;--edge:#ccc;--grid:#e6e6e6;--one:#1b6ca8;"
    "--two:#b5541c;--three:#3d7a3a}@media(prefers-color-scheme:dark){svg{--ink:#ddd;--soft:#a0a0a0;"
    "--box:#262622;--edge:#555;--grid:#333;--one:#6db3e8;--two:#f09a63;--three:#86c783}}"
    "text{font:12px system-ui,sans-serif;fill:var(--ink)}text.e{text-anchor:end}"
    "text.m{text-anchor:middle}text.s{font-size:11px;fill:var(--soft)}"
    ".box{fill:var(--box);stroke:var(--edge)}.axis{fill:none;stroke:var(--ink)}"
    ".grid{stroke:var(--grid)}.link{stroke:var(--soft)}.dashed{stroke-dasharray:5 4}"
    "polyline,path{fill:none}"
)


def _svg(parts: list[str], height: int, label: str) -> str:
    coloured = "".join(
        f".{kind}{{stroke:var(--{kind})}}circle.{kind},text.{kind}{{fill:var(--{kind});stroke:none}}"
        for kind in KINDS
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{label}"><style>{STYLE}{coloured}</style>{"".join(parts)}</svg>'
    )
