"""What a target holds, and the judgement after a fault: old or new, never anything between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_sync.report import DirectoryReport, Report, TableReport

Rows = list[tuple[object, ...]]
Files = dict[str, bytes]


@dataclass(frozen=True)
class State:
    """All rows and files of one side, and what is there beside them.

    :ivar tables: sorted rows by name of the table
    :ivar files: content by path
    :ivar leftovers: staging tables, temporary files: whatever a sync should have removed
    """

    tables: Mapping[str, Rows]
    files: Files
    leftovers: Sequence[str] = field(default=(), compare=False)


class Violation(AssertionError):
    """A promise that did not hold."""


def check_whole(found: State, old: State, new: State) -> str:
    """Check that the tables are in one state together, and each file in one of its own.

    :return: ``old``, ``new``, or ``between`` where some files have arrived
    :raises Violation: when rows or files are lost, half merged, or invented
    """
    if found.tables == old.tables:
        tables = "old"
    elif found.tables == new.tables:
        tables = "new"
    else:
        raise Violation(f"the tables are neither old nor new: {_difference(found, old, new)}")
    for path in found.files.keys() | old.files.keys() | new.files.keys():
        content = found.files.get(path)
        if content not in (old.files.get(path), new.files.get(path)):
            raise Violation(f"file {path!r} is neither old nor new: {content!r:.80}")
    if found.files == new.files:
        files = "new"
    elif found.files == old.files:
        files = "old"
    else:
        files = "between"
    return tables if not old.files and not new.files else files if not old.tables else f"{tables}, {files}"


def check_reports(reports: Sequence[Report], found: State, old: State, new: State) -> None:
    """Check that every report is true.

    :raises Violation: when a report says that something arrived which did not, or that nothing changed where something did
    """
    for report in reports:
        if isinstance(report, TableReport):
            same = report.name in found.tables and found.tables[report.name] == new.tables[report.name]
            untouched = found.tables.get(report.name) == old.tables.get(report.name)
        elif isinstance(report, DirectoryReport):
            same, untouched = found.files == new.files, found.files == old.files
        else:
            raise Violation(f"{report.kind} is not a kind of report")
        if report.status != "failed" and not same:
            raise Violation(f"{report.name!r} is reported {report.status}, but is not as the source is")
        if report.status == "failed" and not untouched and "Nothing was changed" in (report.error or ""):
            raise Violation(f"{report.name!r} says that nothing was changed, but something was: {report.error}")
        if report.status == "failed" and not (report.error or "").strip():
            raise Violation(f"{report.name!r} failed without a reason")


def _difference(found: State, old: State, new: State) -> str:
    told = []
    for name in new.tables:
        rows, before, after = (set(state.tables.get(name, ())) for state in (found, old, new))
        if rows not in (before, after):
            told.append(f"{name}: {len(rows)} rows, {len(rows - after)} of them not the source's, {len(after - rows)} missing")
        else:
            told.append(f"{name}: {'old' if rows == before else 'new'}")
    return "; ".join(told)
