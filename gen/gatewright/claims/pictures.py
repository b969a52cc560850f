"""Numbers -> SVG: the pictures of a report, as text without a library.

Why SVG by hand: two pictures of thirty lines need no plotting library, stay sharp in print, and
differ from run to run only where their numbers do.
"""

from __future__ import annotations

from gatewright.claims.divergence import Drift

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 280, 56, 36
COLOURS = ("#1b6ca8", "#b5541c", "#3d7a3a")


def divergence_svg(drifts: tuple[Drift, ...]) -> str:
    """Return the differences over the steps, each with its bound as a dashed line."""
    top = max(drift.bound for drift in drifts) * 1.08
    steps = len(drifts[0].run)

    def x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 110) * step / steps, 1)

    def y(value: float) -> float:
        return round((HEIGHT - BOTTOM) * (1 - value / top) + 6, 1)

    parts = [_axes("step t", "largest |c − h|")]
    for tick in range(5):
        value = top * tick / 4
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4}" class="e">{value:.2f}</text>')
    for tick in range(0, steps + 1, 20):
        parts.append(f'<text x="{x(tick)}" y="{HEIGHT - BOTTOM + 22}" class="m">{tick}</text>')
    for drift, colour in zip(drifts, COLOURS, strict=False):
        points = " ".join(f"{x(k + 1)},{y(v)}" for k, v in enumerate(drift.run))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        line = y(drift.bound)
        parts.append(
            f'<line x1="{LEFT}" x2="{x(steps)}" y1="{line}" y2="{line}" stroke="{colour}" '
            'stroke-dasharray="5 4"/>'
        )
        label = f"L = {drift.size}"
        parts.append(f'<text x="{x(steps) + 6}" y="{line + 4}" fill="{colour}">{label}</text>')
    return _svg(parts, "Measured difference of the two cells and its bound, dashed")


def timing_svg() -> str:
    """Return when each cell computes the gate that multiplies the state in step t."""
    parts = []
    for step, when in ((110, "t − 1"), (330, "t")):
        parts.append(f'<rect x="{step}" y="16" width="190" height="200" rx="6" class="box"/>')
        parts.append(f'<text x="{step + 95}" y="36" class="m">step {when}</text>')
    rows = (
        (80, "LSTM", 150, "o computed", "reads x[t−1], h[t−2]"),
        (160, "GRU", 370, "r computed", "reads x[t], h[t−1]"),
    )
    for height, cell, start, gate, reads in rows:
        parts.append(f'<text x="20" y="{height + 4}">{cell}</text>')
        parts.append(f'<circle cx="{start}" cy="{height}" r="6" fill="{COLOURS[0]}"/>')
        parts.append(f'<text x="{start - 30}" y="{height - 14}">{gate}</text>')
        parts.append(f'<text x="{start - 30}" y="{height + 26}" class="s">{reads}</text>')
        parts.append(f'<circle cx="480" cy="{height}" r="6" fill="{COLOURS[1]}"/>')
        parts.append(f'<line x1="{start + 6}" x2="474" y1="{height}" y2="{height}" stroke="#888"/>')
        parts.append(f'<text x="492" y="{height + 4}">used in U(gate * state)</text>')
    return _svg(parts, "The gate that multiplies the state in step t is one step old in the LSTM")


def _axes(below: str, beside: str) -> str:
    base = HEIGHT - BOTTOM + 6
    return (
        f'<path d="M{LEFT} 6V{base}H{WIDTH - 110}" fill="none" stroke="#444"/>'
        f'<text x="{(WIDTH - 110) / 2}" y="{HEIGHT - 2}" class="m">{below}</text>'
        f'<text x="{LEFT + 8}" y="14">{beside}</text>'
    )


def _svg(parts: list[str], label: str) -> str:
    style = (
        "text{font:12px system-ui,sans-serif;fill:#222}.e{text-anchor:end}.m{text-anchor:middle}"
        ".s{font-size:11px;fill:#666}.box{fill:#f6f6f2;stroke:#ccc}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}"><style>{style}</style>{"".join(parts)}</svg>'
    )
