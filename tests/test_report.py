"""Reports: the fields that were promised, as JSON has them."""

from __future__ import annotations

import json

import msgspec
import pytest

from airflow_provider_sync.report import DirectoryReport, Report, TableReport

TABLE = (
    "name kind status protocol rows_total rows_inserted rows_updated rows_deleted rows_received bytes_received bytes_sent"
    " requests verified schema_changes orphans warnings error seconds"
)
DIRECTORY = (
    "name kind status protocol files_total files_added files_updated files_deleted files_touched files_moved"
    " files_read bytes_received bytes_sent bytes_written"
    " requests verified warnings error seconds"
)


@pytest.mark.parametrize(("kind", "fields"), [(TableReport, TABLE), (DirectoryReport, DIRECTORY)])
def test_the_promised_fields(kind: type[Report], fields: str) -> None:
    """A report has exactly the promised fields as JSON values, and can be read back."""
    report = kind(name="ü", status="changed", warnings=("one", "two"))
    plain = report.to_dict()
    assert sorted(plain) == sorted(fields.split())
    assert plain["warnings"] == ["one", "two"]
    assert json.loads(json.dumps(plain)) == plain
    assert msgspec.convert(plain, kind) == report


@pytest.mark.parametrize(("status", "changed"), [("unchanged", False), ("changed", True), ("planned", True), ("failed", False)])
def test_what_counts_as_changed(status: str, changed: bool) -> None:
    """A report counts as changed if a sync changed something, or would change it."""
    assert msgspec.convert({"name": "t", "kind": "table", "status": status}, TableReport).changed is changed


def test_kinds() -> None:
    """A report says whether it is of a table or of a directory."""
    assert TableReport(name="t", status="changed").kind == "table"
    assert DirectoryReport(name="d", status="changed").kind == "directory"
