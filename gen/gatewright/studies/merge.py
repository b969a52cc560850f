"""Reports -> Report: runs of one machine made into one, or a sentence that says why they are not.

Runs belong together if they were made on the same machine, with the same versions of everything
that was measured, in the same way, and if the machine was equally fast: the peaks may differ by a
tenth. Percentages are then of the higher peak. Of a point that was measured twice, the time with
less going on beside it is kept.

Why the quieter and not the faster one: to choose by the figure itself would be to choose a figure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gatewright.studies.report import Key, Peak, Report, Row, rounded

# What of a machine's description may differ between two runs on it.
PASSING = ("date", "load_average_before")
PEAK_TOLERANCE = 0.1


class MergeError(ValueError):
    """Reports that do not belong together; the message is one sentence."""


def merge(reports: Sequence[Report]) -> Report:
    """Return one report with the points of all, in order. Raises MergeError if they differ."""
    merged, *rest = reports
    for report in rest:
        merged = _both(merged, report)
    return merged


def require_same_kernels(report: Report, cell: str, digest: str) -> None:
    """Raise MergeError if a report holds times of a cell whose generated file was another one."""
    if any(row.cell == cell and row.kernels != digest for row in report.rows):
        raise MergeError(f"the equations or the generated file of {cell} differ")


def _both(one: Report, other: Report) -> Report:
    _require_same("machines", _lasting(one.machine), _lasting(other.machine))
    _require_same("protocols", one.protocol, other.protocol)
    for cell, digest in {row.cell: row.kernels for row in other.rows}.items():
        require_same_kernels(one, cell, digest)
    peaks = {each.threads: each for each in one.peaks}
    for peak in other.peaks:
        known = peaks.setdefault(peak.threads, peak)
        low, high = sorted((known.gflops, peak.gflops))
        if high > low * (1.0 + PEAK_TOLERANCE):
            raise MergeError(
                f"the machine was not equally fast: its peak on {peak.threads} "
                f"thread{'' if peak.threads == 1 else 's'} was {known.gflops:g} and "
                f"{peak.gflops:g} GFLOP/s"
            )
        if peak.gflops > known.gflops:
            peaks[peak.threads] = peak
    rows: dict[Key, Row] = {}
    for report in (one, other):
        for row in _rescaled(report, peaks):
            if row.key not in rows or _busy(row) < _busy(rows[row.key]):
                rows[row.key] = row
    return Report(
        {**one.machine, **_dates(one, other)},
        one.protocol,
        tuple(dict.fromkeys((*one.notes, *other.notes))),
        tuple(peaks[threads] for threads in sorted(peaks)),
        tuple(rows[key] for key in sorted(rows)),
    )


def _busy(row: Row) -> float:
    return row.others_percent or 0.0


def _rescaled(report: Report, peaks: Mapping[int, Peak]) -> Sequence[Row]:
    """Return a report's rows with percentages of the given peaks."""
    factors = {each.threads: each.gflops / peaks[each.threads].gflops for each in report.peaks}
    if all(factor == 1.0 for factor in factors.values()):
        return report.rows
    return [
        dataclasses.replace(
            row,
            percent_of_peak=rounded(row.percent_of_peak * factors.get(row.threads, 1.0), 3),
        )
        for row in report.rows
    ]


def _lasting(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return a machine's description flat, without what changes from day to day."""
    found = {key: value for key, value in machine.items() if key not in (*PASSING, "versions")}
    return found | {f"version of {name}": text for name, text in machine["versions"].items()}


def _require_same(what: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    for key in sorted({*one, *other}):
        first, second = one.get(key, "none"), other.get(key, "none")
        if first != second:
            raise MergeError(f"the {what} differ: {key} is {first} in one and {second} in another")


def _dates(one: Report, other: Report) -> dict[str, str]:
    days = [
        day
        for report in (one, other)
        for day in str(report.machine.get("date", "")).split(" to ")
        if day
    ]
    if not days:
        return {}
    first, last = min(days), max(days)
    return {"date": first if first == last else f"{first} to {last}"}
