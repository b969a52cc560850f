"""Reports made up for tests, and the shape that a result file must have."""

from __future__ import annotations

from typing import Any

from gatewright.studies.jobs import GRIDS, TASKS
from gatewright.studies.report import Comparison, Peak, Report, Row

MACHINE: dict[str, Any] = {
    "cpu": "a processor",
    "cores": 4,
    "date": "2026-01-02",
    "load_average_before": 0.1,
    "versions": {"python": "3.11", "torch": "2.13"},
}
PROTOCOL = {"peers": ["torch"], "dtype": "float32", "seconds_per_candidate": 0.3}


def row(
    cell: str, task: str, threads: int, B: int = 1, H: int = 32, /, **ratios: float | None
) -> Row:
    """Return a point where we take 1 µs and the peers as much as their ratios say."""
    peers = tuple(
        Comparison(name, False, 0.5, "y", None, None, 0)
        if ratio is None
        else Comparison(name, True, 1e-7, "", ratio, ratio, 5)
        for name, ratio in ratios.items()
    )
    T = 50 if H == 1024 else 128
    return Row(cell, "12345678", task, threads, B, H, T, 1.0, 50.0, 5, 0.0, peers)


def report(*rows: Row, gflops: float = 100.0) -> Report:
    """Return a report of some points, with the peaks of their numbers of threads."""
    peaks = tuple(Peak(n, gflops * n, "tiles") for n in sorted({each.threads for each in rows}))
    return Report(MACHINE, PROTOCOL, (), peaks, tuple(sorted(rows, key=lambda each: each.key)))


def full_grid(cell: str, task: str, threads: int, /, **ratios: float | None) -> list[Row]:
    """Return the points of the full grid, all alike."""
    return [row(cell, task, threads, size.B, size.H, **ratios) for size in GRIDS["full"]]


# ------------------------------------------------------------------------- the file's own shape

NUMBER, TEXT = {"type": "number", "exclusiveMinimum": 0}, {"type": "string", "minLength": 1}
COUNT, MAYBE = {"type": "integer", "minimum": 1}, {"type": ["number", "null"]}


def _object(**properties: Any) -> dict[str, Any]:
    item = {"type": "object", "properties": properties, "required": sorted(properties)}
    return item | {"additionalProperties": False}


def _list(*items: Any) -> dict[str, Any]:
    exact = {"minItems": len(items), "maxItems": len(items)}
    return {"type": "array", "prefixItems": list(items), **exact}


AGREES = _list(NUMBER, COUNT, MAYBE)
DISAGREES = _list({"type": "null"}, {"const": 0}, MAYBE, TEXT)
POINT = _object(
    **dict.fromkeys(("B", "H", "T"), COUNT), ours=_list(NUMBER, COUNT), percent=NUMBER, busy=MAYBE
) | {"additionalProperties": {"oneOf": [AGREES, DISAGREES]}}
GROUP = _object(
    cell=TEXT,
    kernels={"type": "string", "pattern": "^[0-9a-f]{8}$"},
    task={"enum": list(TASKS)},
    threads=COUNT,
    geometric_means={"type": "object", "additionalProperties": NUMBER},
    points={"type": "array", "items": POINT, "minItems": 1},
)
SCHEMA = _object(
    schema_version={"const": 2},
    machine={"type": "object", "required": ["cpu", "cores", "date", "versions"]},
    protocol={"type": "object", "required": ["peers", "dtype", "seconds_per_candidate"]},
    notes={"type": "array", "items": TEXT},
    peaks={"type": "array", "items": _object(threads=COUNT, gflops=NUMBER, source=TEXT)},
    groups={"type": "array", "items": GROUP},
)
