"""Report <-> text of a result file: JSON with one point per line, to be committed and compared.

Points stand in groups by cell, task and number of threads, each with its geometric means. A point
holds B, H and T; in `ours` the median in microseconds per step and the number of runs; `percent` of
the peak; what other processes used meanwhile (`busy`, percent); and for each peer

    [median in microseconds per step, runs, error]       if it agrees
    [null, 0, error or null, "the array that differs"]   if it does not

Why ratios are not in it: they follow from the times, and a fact stated twice can disagree.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from gatewright.studies.report import Comparison, Group, Peak, Report, Row, rounded

SCHEMA_VERSION = 2
TASKS = ("inference", "training")
# What a point says of itself; all else in it are peers.
OWN = ("B", "H", "T", "ours", "percent", "busy")


def as_dict(report: Report) -> dict[str, Any]:
    """Return the report as JSON's types."""
    means: dict[Group, dict[str, float]] = {}
    for mean in report.means():
        means.setdefault((mean.cell, mean.task, mean.threads), {})[mean.peer] = mean.ratio
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": dict(report.machine),
        "protocol": dict(report.protocol),
        "notes": list(report.notes),
        "peaks": [asdict(each) for each in report.peaks],
        "groups": [
            {
                "cell": group[0],
                "kernels": rows[0].kernels,
                "task": group[1],
                "threads": group[2],
                "geometric_means": means.get(group, {}),
                "points": [_point(row) for row in rows],
            }
            for group, rows in report.groups().items()
        ],
    }


def file_text(report: Report) -> str:
    """Return the text of a result file."""
    content = as_dict(report)
    groups = content.pop("groups")
    parts = [f"{json.dumps(key)}: {_spread(value)}" for key, value in content.items()]
    parts.append('"groups": [\n' + ",\n".join(_group_text(each) for each in groups) + "\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read_report(text: str) -> Report:
    """Return the report of a result file. Raises ValueError, one sentence, if it is none."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"this is no JSON: {error}") from None
    try:
        version = content["schema_version"]
        if version != SCHEMA_VERSION:
            raise ValueError(f"its schema_version is {version}, not {SCHEMA_VERSION}")
        machine, protocol = content["machine"], content["protocol"]
        if not isinstance(machine["versions"], dict) or not isinstance(protocol, dict):
            raise TypeError("no versions")
        peaks = tuple(
            Peak(_count(each["threads"]), _positive(each["gflops"]), str(each["source"]))
            for each in content["peaks"]
        )
        rows = tuple(row for group in content["groups"] for row in _rows(group))
        notes = tuple(map(str, content["notes"]))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not a result of the benchmark: {error}") from None
    if len({row.key for row in rows}) < len(rows):
        raise ValueError("this is not a result of the benchmark: a point is in it twice")
    return Report(machine, protocol, notes, peaks, tuple(sorted(rows, key=lambda row: row.key)))


def _point(row: Row) -> dict[str, Any]:
    return {
        "B": row.B,
        "H": row.H,
        "T": row.T,
        "ours": [_short(row.us_per_step), row.repetitions],
        "percent": _short(row.percent_of_peak),
        "busy": _short(row.others_percent),
        **{
            each.peer: [_short(each.us_per_step), each.repetitions, each.error]
            + ([] if each.agrees else [each.where])
            for each in row.peers
        },
    }


def _short(value: float | None) -> float | int | None:
    """Return a number that is whole as one, which JSON writes shorter."""
    return int(value) if value is not None and value.is_integer() else value


def _spread(value: Any) -> str:
    """Return JSON with the entries of a list or a dict on lines of their own."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n]"
    if isinstance(value, dict) and value:
        entries = (f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items())
        return "{\n" + ",\n".join(entries) + "\n}"
    return json.dumps(value)


def _group_text(group: dict[str, Any]) -> str:
    heading = json.dumps({key: value for key, value in group.items() if key != "points"})
    points = ",\n".join(
        f"  {json.dumps(point, separators=(',', ':'))}" for point in group["points"]
    )
    return f'{heading[:-1]}, "points": [\n{points}\n]}}'


def _rows(group: dict[str, Any]) -> Iterator[Row]:
    if group["task"] not in TASKS:
        raise TypeError(f"`{group['task']}` is no task")
    for point in group["points"]:
        mine, runs = _positive(point["ours"][0]), point["ours"][1]
        busy = point["busy"]
        yield Row(
            cell=_text(group["cell"]),
            kernels=_text(group["kernels"]),
            task=group["task"],
            threads=_count(group["threads"]),
            B=_count(point["B"]),
            H=_count(point["H"]),
            T=_count(point["T"]),
            us_per_step=mine,
            percent_of_peak=_positive(point["percent"]),
            repetitions=_count(runs),
            others_percent=None if busy is None else _number(busy),
            peers=tuple(
                _comparison(name, each, mine) for name, each in point.items() if name not in OWN
            ),
        )


def _comparison(name: str, found: list[Any], mine: float) -> Comparison:
    error = None if found[2] is None else _number(found[2])
    if found[0] is None:
        return Comparison(name, False, error, _text(found[3]), None, None, 0)
    theirs = _positive(found[0])
    return Comparison(name, True, error, "", theirs, rounded(theirs / mine), _count(found[1]))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no name")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _positive(value: Any) -> float:
    if _number(value) <= 0:
        raise TypeError(f"{value!r} is not positive")
    return _number(value)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError(f"{value!r} is no number of things")
    return value
