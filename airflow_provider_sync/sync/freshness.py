"""Decide whether a copy equals its source and was synced recently, from plain values and without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from airflow_provider_sync.exceptions import StaleCopyError
from airflow_provider_sync.report import DirectoryReport, Report, TableReport


class CopyState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the copy of one table or directory.

    :ivar name: the name under which the server offers it
    :ivar kind: ``table`` or ``directory``
    :ivar differences: number of rows or files in which source and target differ; ``None`` if they were not compared
    :ivar last_success: time of the last successful sync, as ISO 8601; ``None`` if none is recorded, or the age is not checked
    :ivar age: seconds since then
    :ivar problems: one sentence for each problem; empty if the copy is fine
    """

    name: str
    kind: str
    differences: int | None = None
    last_success: str | None = None
    age: float | None = None
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the state as a mapping of JSON values."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


class SyncTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The age of a copy, and its maximum age.

    :ivar last_success: time of the last successful sync; ``None`` if none is recorded
    """

    last_success: datetime | None
    max_age: timedelta
    now: datetime


def judge_copy(name: str, kind: str, *, report: Report | None = None, times: SyncTimes | None = None) -> CopyState:
    """Return the state of a copy, with its problems.

    :param report: report of a successful comparison; ``None`` if source and target were not compared
    :param times: ``None`` if the age is not checked
    """
    differences = None if report is None else _differences(report)
    last_success = None if times is None else times.last_success
    age = None if times is None or last_success is None else max((times.now - last_success).total_seconds(), 0.0)
    problems = [*_compared(report), *_aged(times, age)]
    return CopyState(
        name=name,
        kind=kind,
        differences=differences,
        last_success=None if last_success is None else last_success.isoformat(),
        age=age,
        problems=tuple(problems),
    )


def check_copies(states: Sequence[CopyState]) -> None:
    """Raise an error if any copy has a problem.

    :raises StaleCopyError: with one line for each problem
    """
    lines = [f"{state.kind.capitalize()} {state.name!r} {problem}" for state in states for problem in state.problems]
    if lines:
        raise StaleCopyError("\n".join(lines), tuple(state.name for state in states if state.problems))


def duration_text(seconds: float) -> str:
    """Write a duration for people, with its two largest units: ``45 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    for size, unit, smaller, smaller_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min")):
        if seconds >= size:
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{int(seconds // 60)} min" if seconds >= 60 else f"{int(seconds)} s"


def _compared(report: Report | None) -> list[str]:
    if report is None or report.status == "unchanged":
        return []
    parts = [f"{amount:,} to {verb}" for verb, amount in _amounts(report).items() if amount]
    parts += report.schema_changes if isinstance(report, TableReport) else ()
    unit = "rows" if report.kind == "table" else "files"
    return [f"differs from the source ({unit}: {', '.join(parts) or 'only times or permissions'})."]


def _aged(times: SyncTimes | None, age: float | None) -> list[str]:
    if times is None:
        return []
    limit = duration_text(times.max_age.total_seconds())
    if age is None:
        return [f"has no recorded sync that succeeded, and may be {limit} old."]
    if age > times.max_age.total_seconds():
        return [f"was synced {duration_text(age)} ago, and may be {limit} old."]
    return []


def _differences(report: Report) -> int:
    touched = report.files_touched if isinstance(report, DirectoryReport) else 0
    return sum(_amounts(report).values()) + touched


def _amounts(report: Report) -> dict[str, int]:
    match report:
        case TableReport():
            return {"insert": report.rows_inserted, "update": report.rows_updated, "delete": report.rows_deleted}
        case DirectoryReport():
            return {"add": report.files_added, "update": report.files_updated, "delete": report.files_deleted}
    return {}
