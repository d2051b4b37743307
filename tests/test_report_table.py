"""Reports as a table of text."""

from __future__ import annotations

import pytest

from airflow_provider_sync.report import DirectoryReport, TableReport
from airflow_provider_sync.report_table import format_bytes, format_reports


def test_table_of_reports() -> None:
    """Tables and directories are in one table, with warnings and errors below it."""
    reports = [
        TableReport(
            name="orders",
            status="changed",
            rows_total=28_000,
            rows_inserted=1_200,
            rows_deleted=3,
            bytes_received=4_096,
            requests=2,
            verified="hash",
            schema_changes=("add column 'note' TEXT",),
            seconds=1.25,
        ),
        DirectoryReport(name="images", status="unchanged", files_total=7, requests=1, warnings=("No digests.",)),
        TableReport(name="items", status="failed", error="No such table."),
    ]
    assert format_reports(reports).splitlines() == [
        "name    status           total  inserted  updated  deleted  received  requests  verified  seconds",
        "------  ---------  -----------  --------  -------  -------  --------  --------  --------  -------",
        "orders  changed    28,000 rows     1,200        0        3   4.0 KiB         2  hash          1.2",
        "images  unchanged      7 files         0        0        0       0 B         1  -             0.0",
        "items   failed               -         -        -        -       0 B         0  -             0.0",
        "orders: schema: add column 'note' TEXT",
        "images: warning: No digests.",
        "items: failed: No such table.",
    ]


def test_what_has_no_column() -> None:
    """Moved and touched files are shown below the table, done or planned."""
    done = DirectoryReport(name="images", status="changed", files_total=7, files_moved=1, files_touched=1_200)
    planned = DirectoryReport(name="letters", status="planned", files_total=7, files_touched=2)
    assert format_reports([done, planned]).splitlines()[4:] == [
        "images: made from content that the target has: 1 file",
        "images: only their times or permissions differ: 1,200 files",
        "letters: only their times or permissions differ: 2 files",
    ]


def test_one_is_one() -> None:
    """The singular is used for one row or one file."""
    reports = [TableReport(name="t", status="changed", rows_total=1), DirectoryReport(name="d", status="changed", files_total=1)]
    lines = format_reports(reports).splitlines()[2:]
    assert [line.split()[2:4] for line in lines] == [["1", "row"], ["1", "file"]]


def test_no_reports() -> None:
    """Without reports, the table has no lines."""
    assert len(format_reports([]).splitlines()) == 2


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1.0 KiB"),
        (1_048_570, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3 * 1024**5, "3072.0 TiB"),
    ],
)
def test_bytes_for_people(amount: int, text: str) -> None:
    """Bytes have the unit that keeps them short."""
    assert format_bytes(amount) == text
