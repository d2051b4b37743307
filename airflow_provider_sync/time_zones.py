"""Time zones by offset or IANA name, and the conversion of timestamps, as text, from one zone to another.

Version 1 of the protocol sends a TIMESTAMP as text in the time zone of the server's database session. MySQL knows
IANA names only if its administrator has loaded them, and does not say which clock times happen twice or never. So texts are
converted here, value by value, by the rules of :mod:`zoneinfo`: the result is the same on every database, and ambiguous times are
counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC as DATETIME_UTC
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airflow_provider_sync.exceptions import ConfigurationError, TableError

_OFFSET = re.compile(r"([+-])([0-9]{1,2}):([0-9]{2})")
_TEXT = re.compile(r"([0-9]{4,6})-([0-9]{2})-([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?(\.[0-9]*)?)?")
_MINUTE = slice(0, 16)  # of ``2024-07-01 12:00:00.5``
_UTC_NAMES = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Etc/Zulu", "Universal", "Etc/Universal", "GMT", "Etc/GMT"})
_MAX_MINUTES = 14 * 60
_REMEMBERED = 100_000
"""Number of minutes whose conversion is cached: rows are usually close together in time."""


class NoSuchTimeError(TableError):
    """A clock time that a time zone skips, as in the night in which summer time begins."""


class TimeZone:
    """A time zone.

    :ivar name: an offset such as ``+01:00``, or an IANA name
    :ivar offset: the offset if it never changes, as ``+01:00``; ``None`` if it does
    """

    def __init__(self, name: str, zone: tzinfo, offset: str | None) -> None:
        self.name = name
        self.offset = offset
        self._zone = zone
        self._from_utc: dict[str, str | None] = {}
        self._to_utc: dict[str, tuple[str | None, bool]] = {}

    def __repr__(self) -> str:
        return f"TimeZone({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimeZone) and (self.offset or self.name) == (other.offset or other.name)

    def __hash__(self) -> int:
        return hash(self.offset or self.name)

    @property
    def is_utc(self) -> bool:
        """Whether texts are the same as in UTC."""
        return self.offset == "+00:00"

    def from_utc(self, values: Sequence[Any]) -> list[Any]:
        """Convert texts in UTC to this zone; values that are not timestamps stay as they are (NULL, zero dates, infinity)."""
        return [self._one_from_utc(value) if type(value) is str else value for value in values]

    def to_utc(self, values: Sequence[Any]) -> tuple[list[Any], int]:
        """Convert texts in this zone to UTC; values that are not timestamps stay as they are.

        :return: the texts, and how many of them are ambiguous because this zone has them twice, as in the night in which summer
            time ends; they are converted as the earlier of the two
        :raises NoSuchTimeError: for a text that this zone skips
        """
        repeated = 0
        converted = []
        for value in values:
            if type(value) is str:
                text, twice = self._one_to_utc(value)
                repeated += twice
                converted.append(text)
            else:
                converted.append(value)
        return converted, repeated

    def _one_from_utc(self, text: str) -> str:
        minute, rest = text[_MINUTE], text[16:]
        known = self._from_utc.get(minute, "")
        if known == "":
            if len(self._from_utc) >= _REMEMBERED:
                self._from_utc.clear()
            moved = _moved(minute, self._shift_from_utc)
            # Offsets with seconds (before 1972) shift the seconds of the text as well.
            known = self._from_utc[minute] = moved if moved is not None and moved.endswith(":00") else None
        if known is not None and rest[:1] == ":":
            return known[:-3] + rest
        return _moved(text, self._shift_from_utc) or text

    def _one_to_utc(self, text: str) -> tuple[str, bool]:
        minute, rest = text[_MINUTE], text[16:]
        found = self._to_utc.get(minute)
        if found is None:
            if len(self._to_utc) >= _REMEMBERED:
                self._to_utc.clear()
            moved = _moved(minute, self._shift_to_utc)
            found = moved if moved is not None and moved.endswith(":00") else None, self._is_repeated(minute)
            self._to_utc[minute] = found
        known, repeated = found
        if known is not None and rest[:1] == ":":
            return known[:-3] + rest, repeated
        return _moved(text, self._shift_to_utc) or text, repeated

    def _shift_from_utc(self, moment: datetime) -> timedelta:
        return moment.replace(tzinfo=DATETIME_UTC).astimezone(self._zone).utcoffset() or timedelta()

    def _shift_to_utc(self, moment: datetime) -> timedelta:
        local = moment.replace(tzinfo=self._zone)
        offset = local.utcoffset() or timedelta()
        if (local.astimezone(DATETIME_UTC).astimezone(self._zone)).replace(tzinfo=None) != moment:
            raise NoSuchTimeError(
                f"{moment:%Y-%m-%d %H:%M} is skipped by the clocks of {self.name}, so the source has another time zone."
                " Set time_zone to that of the source's database."
            )
        return -offset

    def _is_repeated(self, minute: str) -> bool:
        match = _TEXT.fullmatch(minute)
        moment = _moment(match) if match else None
        if moment is None:
            return False
        local = moment[0].replace(tzinfo=self._zone)
        return local.utcoffset() != local.replace(fold=1).utcoffset()


UTC = TimeZone("UTC", DATETIME_UTC, "+00:00")


def time_zone_named(name: str) -> TimeZone:
    """Return the time zone of an offset such as ``+01:00``, or of an IANA name.

    :raises ConfigurationError: if there is none of that name
    """
    text = str(name).strip()
    match = _OFFSET.fullmatch(text)
    if match:
        minutes = int(match[2]) * 60 + int(match[3])
        if minutes <= _MAX_MINUTES and int(match[3]) < 60:
            signed = minutes if match[1] == "+" else -minutes
            plain = f"{match[1] if minutes else '+'}{minutes // 60:02}:{minutes % 60:02}"
            return TimeZone(plain, timezone(timedelta(minutes=signed)), plain)
    elif text in _UTC_NAMES:
        return UTC
    else:
        try:
            return TimeZone(text, ZoneInfo(text), None)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ConfigurationError(
        f"time_zone is {name!r}. Give an offset such as '+01:00', or an IANA name such as 'Europe/Berlin'"
        " (if this machine has no time zones, pip install tzdata)."
    )


def checked_time_zone(value: str | int | None) -> str | None:
    """Return the option ``time_zone`` of a configuration as text.

    :param value: text, or minutes, which YAML makes of ``+10:00`` without quotes
    :raises ConfigurationError: if it is not a time zone
    """
    if value is None:
        return None
    if isinstance(value, int):
        value = f"{'-' if value < 0 else '+'}{abs(value) // 60:02}:{abs(value) % 60:02}"
    return time_zone_named(value).name


def _moved(text: str, shift: Any) -> str | None:
    """Return a text with seconds, shifted by the result of ``shift``; ``None`` if the text is not a timestamp."""
    match = _TEXT.fullmatch(text)
    moment = _moment(match) if match else None
    if match is None or moment is None:
        return None
    plain, years = moment
    moved = plain + shift(plain)
    return f"{moved.year + years:04}-{moved:%m-%d %H:%M:%S}{match[7] or ''}"


def _moment(match: re.Match[str]) -> tuple[datetime, int] | None:
    """Return a ``datetime`` in Python's range, and by how many years it is off; ``None`` for impossible dates."""
    year = int(match[1])
    # The calendar repeats after 400 years; years that a conversion might move beyond Python's range are replaced by near ones.
    near = year if 1 < year < 9999 else 2000 + year % 400
    if year == 0:
        return None
    try:
        parts = (int(part or 0) for part in match.group(2, 3, 4, 5, 6))
        return datetime(near, *parts), year - near  # type: ignore[arg-type]  # five integers
    except ValueError:
        return None
