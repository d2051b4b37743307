"""Choose the time that a merge writes: in UTC, and later than every time in existing versions of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError


def now() -> datetime:
    """Return the current time in UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def moment_after(moment: datetime, earlier: Iterable[object], columns: Iterable[Column]) -> datetime:
    """Return ``moment``, or if it is not later than all ``earlier`` times, the next time that is.

    The clock may have been set back, and two syncs within one second write the same value to a column of whole seconds; each
    version must still begin after the previous one.

    :param moment: in UTC, without a time zone
    :param earlier: times as drivers give them: ``datetime``, text, or ``None``
    :param columns: columns that get the time; it is cut to the fewest digits of a second that any of them stores
    :raises TableError: if one of ``earlier`` is the latest possible time
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
    """Parse a time; return ``None`` for anything else, such as a date that only one database can store."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
