"""Columns and axes of the charts."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from airflow_provider_sync.plugin.axes import chart_of_bytes, chart_of_changes
from airflow_provider_sync.report import TableReport
from tests.plugin.test_charts import HEIGHT, changed, record

SIZE = {"width": 400.0, "height": HEIGHT, "places": 10}


def test_values() -> None:
    """The axis begins at 0, and has as many round numbers as there is room for, up to the highest value."""
    chart = chart_of_changes([record(changed(10)), record(changed(1_000_000))], **SIZE)  # type: ignore[arg-type]
    assert chart.values[-1] == (HEIGHT, "0")
    assert all(upper.at + 18 <= lower.at for upper, lower in zip(chart.values, chart.values[1:], strict=False))
    labels = [int(tick.text.replace(",", "")) for tick in chart.values]
    assert labels == sorted(labels, reverse=True)
    assert labels[0] <= 1_000_000
    assert len(labels) > 1


def test_bytes_have_units() -> None:
    """Bytes are labelled with units."""
    chart = chart_of_bytes([record(changed(4096))], **SIZE)  # type: ignore[arg-type]
    assert [tick.text for tick in chart.values if "KiB" in tick.text] != []


def test_columns() -> None:
    """Each run is one column with its numbers, the newest at the right; columns are labelled with their time if there is room."""
    runs = [
        msgspec.structs.replace(
            record(changed(number, 1)), id=number, finished=record(changed(1)).finished - timedelta(hours=number)
        )
        for number in range(1, 9)
    ]
    chart = chart_of_changes(runs, **SIZE)  # type: ignore[arg-type]
    assert [column.record for column in chart.columns] == list(range(1, 9))
    assert chart.columns[0].x > chart.columns[1].x
    assert chart.columns[0].title.endswith("1 inserted, 1 updated, 0 deleted")
    assert [tick.text for tick in chart.times] == ["Nov 23, 13:15", "Nov 23, 16:15", "Nov 23, 19:15"]


def test_nothing_to_draw() -> None:
    """Axes are drawn even without runs, or with only failed or unchanged runs."""
    for runs in ([], [record(TableReport(name="orders", status="failed", error="e"))], [record(changed(0))]):
        assert chart_of_changes(runs, **SIZE).values == ((HEIGHT, "0"),)  # type: ignore[arg-type]
