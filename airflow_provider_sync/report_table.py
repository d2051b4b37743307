"""Reports as one table of plain text, for the log of a task and for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_sync.printable import printable
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.text_table import TextTable

_HEADINGS = ("name", "status", "total", "inserted", "updated", "deleted", "received", "requests", "verified", "seconds")
_TEXT = {"name", "status", "verified"}
_KIB = 1024


def format_reports(reports: Sequence[Report]) -> str:
    """Format reports as a table, one line each, followed by details without a column, warnings and errors.

    The total has its unit: rows of tables, files of directories. No line ends in spaces, and the last line has no line break.
    """
    notes = (note for report in reports for note in (*notes_of(report), *_failure_of(report)))
    return "\n".join([*table_of(reports).plain(), *notes])


def table_of(reports: Sequence[Report]) -> TextTable:
    """Return the table of reports, one row each."""
    rows = [_cells(report) for report in reports]
    return TextTable(_HEADINGS, rows, frozenset(_HEADINGS) - _TEXT, ruled=True, dispensable=("requests", "verified", "received"))


def notes_of(report: Report) -> list[str]:
    """Return the details of a report that have no column, and its warnings, one line each."""
    name = printable(report.name)  # may come from a server
    notes = [f"{name}: {sentence}" for sentence in details_of(report)]
    return notes + [f"{name}: warning: {warning}" for warning in report.warnings]


def _failure_of(report: Report) -> list[str]:
    return [f"{printable(report.name)}: failed: {report.error}"] if report.error else []


def format_bytes(amount: int) -> str:
    """Write a number of bytes for people: ``812 B``, ``4.0 KiB``, ``1.5 GiB``."""
    if amount < _KIB:
        return f"{amount} B"
    size = float(amount)
    for unit in ("KiB", "MiB", "GiB"):
        size /= _KIB
        if round(size, 1) < _KIB:
            return f"{size:.1f} {unit}"
    return f"{size / _KIB:.1f} TiB"


def details_of(report: Report) -> list[str]:
    """Say what happened to a table besides its rows, and to files besides being added, updated or deleted."""
    if isinstance(report, TableReport):
        return [f"schema: {change}" for change in report.schema_changes]
    if not isinstance(report, DirectoryReport):
        return []
    amounts = {
        "made from content that the target has": report.files_moved,
        "only their times or permissions differ": report.files_touched,
    }
    return [f"{what}: {_counted(amount, 'file')}" for what, amount in amounts.items() if amount]


def _cells(report: Report) -> tuple[str, ...]:
    return (
        report.name,
        report.status,
        *_counts(report),
        format_bytes(report.bytes_received),
        f"{report.requests:,}",
        report.verified or "-",
        f"{report.seconds:.1f}",
    )


def _counts(report: Report) -> tuple[str, str, str, str]:
    if report.status == "failed":
        # Nothing was counted; zeros would look like an empty source.
        return ("-", "-", "-", "-")
    match report:
        case TableReport():
            total, changes = _counted(report.rows_total, "row"), (report.rows_inserted, report.rows_updated, report.rows_deleted)
        case DirectoryReport():
            total, changes = (
                _counted(report.files_total, "file"),
                (report.files_added, report.files_updated, report.files_deleted),
            )
        case _:
            return ("-", "-", "-", "-")
    inserted, updated, deleted = (f"{change:,}" for change in changes)
    return (total, inserted, updated, deleted)


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit if number == 1 else f'{unit}s'}"
