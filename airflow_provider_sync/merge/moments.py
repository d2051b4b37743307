"""The time that a merge writes: in UTC, and later than whatever the versions of its rows have already."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError


def now() -> datetime:
    """Return the time in UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def moment_after(moment: datetime, earlier: Iterable[object], columns: Iterable[Column]) -> datetime:
    """Return a time, or the next one that is later than some others.

    A clock may have been set back, and a column that keeps whole seconds has one value for two syncs within a second; a version
    must still begin after the one before.

    :param moment: in UTC, without a time zone
    :param earlier: times as drivers give them: ``datetime``, text, or ``None``
    :param columns: where the time is written; it gets no more digits of a second than each of them keeps
    :raises TableError: if no time is later than one of the others
    """
    digits = min((6 if column.scale is None else column.scale for column in columns), default=6)
    unit = 10 ** (6 - digits)
    latest = max(filter(None, map(_read, earlier)), default=None)
    if latest is not None and latest >= _cut(moment, unit):
        try:
            moment = latest + timedelta(microseconds=unit)
        except OverflowError as error:
            raise TableError(
                f"a version has the time {latest}, and none is later. A version that did not end has NULL in the column for its"
                " end, not a time that never comes: correct it.",
                NOTHING_CHANGED,
            ) from error
    return _cut(moment, unit)


def _cut(moment: datetime, unit: int) -> datetime:
    return moment.replace(microsecond=moment.microsecond // unit * unit)


def _read(value: object) -> datetime | None:
    """Read a time; what is none, such as a date that only one database has, does not count."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
