"""The time that a merge writes is later than what is there, whatever the clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.moments import moment_after, now

NOON = datetime(2026, 11, 29, 12, 0, 0, 123_456)


def column(scale: int | None) -> Column:
    """Return a column that keeps so many digits of a second."""
    return Column(name="valid_from", kind=Kind.DATETIME, sql_type="DATETIME", scale=scale)


def test_now_is_utc() -> None:
    """The time of a merge is in UTC, without a time zone."""
    assert now().tzinfo is None
    assert abs(now() - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("earlier", "scale", "expected"),
    [
        ([], 6, NOON),
        ([None, None], None, NOON),
        ([NOON - timedelta(seconds=1)], 6, NOON),
        ([NOON], 6, NOON + timedelta(microseconds=1)),
        ([NOON, NOON + timedelta(hours=1)], 6, NOON + timedelta(hours=1, microseconds=1)),
        ([], 0, datetime(2026, 11, 29, 12)),
        ([datetime(2026, 11, 29, 12)], 0, datetime(2026, 11, 29, 12, 0, 1)),
        ([datetime(2026, 11, 29, 12, 0, 0, 123_000)], 3, datetime(2026, 11, 29, 12, 0, 0, 124_000)),
        (["2026-11-29 13:00:00"], None, datetime(2026, 11, 29, 13, 0, 0, 1)),
        ([datetime(2026, 11, 29, 14, tzinfo=timezone(timedelta(hours=1)))], 6, datetime(2026, 11, 29, 13, 0, 0, 1)),
        (["no time", b"nor this"], 6, NOON),
    ],
)
def test_a_version_begins_after_the_one_before(earlier: list[object], scale: int | None, expected: datetime) -> None:
    """A time that is not later than the others becomes the next one, with the column's digits of a second."""
    assert moment_after(NOON, earlier, [column(scale), column(6)]) == expected


def test_no_time_is_later() -> None:
    """The last possible time, which some tables use for rows without an end, is an error that says what to use instead."""
    with pytest.raises(TableError, match=r"none is later.*has NULL in the column for its end"):
        moment_after(NOON, [NOON, datetime.max], [column(6)])
