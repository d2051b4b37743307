"""The bars of the charts."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_sync.history import Origin, Record, SyncKey
from airflow_provider_sync.plugin.charts import Bar, byte_bars, change_bars
from airflow_provider_sync.report import Report, TableReport

KEY = SyncKey("orders", "table", "job")
WHEN = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)
HEIGHT = 50.0


def bars(*reports: Report) -> list[Bar]:
    """Draw what changed, the newest report first, in ten places of ten units."""
    return change_bars([record(report) for report in reports], width=100, height=HEIGHT, places=10)


def record(report: Report) -> Record:
    """Return a record of a report."""
    return Record(id=1, key=KEY, finished=WHEN, origin=Origin(source="command"), report=report)


def changed(inserted: int, updated: int = 0, deleted: int = 0) -> TableReport:
    """Return a report of a table with so many changes."""
    return TableReport(
        name="orders",
        status="changed",
        rows_inserted=inserted,
        rows_updated=updated,
        rows_deleted=deleted,
        bytes_received=inserted,
    )


def test_nothing_to_draw() -> None:
    """Without runs, there is no bar; unchanged runs are a line at the bottom."""
    assert bars() == []
    (bar,) = bars(TableReport(name="orders", status="unchanged"))
    assert (bar.kind, bar.x, bar.y + bar.height) == ("unchanged", 90, HEIGHT)


def test_bars_stand_on_each_other() -> None:
    """Inserts, updates and deletes of a run are one stacked bar; the largest is as high as the chart."""
    pile = bars(changed(10, 20, 30), changed(1))[:3]
    assert [bar.kind for bar in pile] == ["inserted", "updated", "deleted"]
    assert abs(sum(bar.height for bar in pile) - HEIGHT) < 0.1
    assert [bar.y for bar in pile] == sorted((bar.y for bar in pile), reverse=True)
    assert {bar.title for bar in pile} == {"2026-11-23 20:15 UTC: 10 inserted, 20 updated, 30 deleted"}


def test_a_first_sync_leaves_the_others_visible() -> None:
    """Ten rows are visible beside a million."""
    small, large = bars(changed(10), changed(1_000_000))
    assert large.height == HEIGHT
    assert small.height >= 1.5
    assert large.x < small.x


def test_a_failure_is_as_high_as_the_chart() -> None:
    """The bar of a failed run is as high as the chart."""
    (bar,) = bars(TableReport(name="orders", status="failed", error="e"))
    assert (bar.kind, bar.y, bar.height, bar.title) == ("failed", 0, HEIGHT, "2026-11-23 20:15 UTC: failed")


def test_bytes() -> None:
    """Bytes have their own chart, with units."""
    (bar,) = byte_bars([record(changed(4096))], width=100, height=HEIGHT, places=10)
    assert (bar.kind, bar.height, bar.title) == ("bytes", HEIGHT, "2026-11-23 20:15 UTC: 4.0 KiB")
