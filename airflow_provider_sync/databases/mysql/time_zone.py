"""Find the default time zone of MySQL and MariaDB sessions, and set another one inside a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from zoneinfo import available_timezones

from sqlalchemy import Connection

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.time_zones import time_zone_named

OFFSETS = frozenset(
    f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" for minutes in range(-779, 781)
)
"""Offsets that every server accepts as a session's time zone; MariaDB and older MySQL accept -12:59 to +13:00."""

_NOONS = tuple(f"{year}-{month:02}-{day:02} 12:00:00" for year in range(1971, 2037) for month in range(1, 13) for day in (1, 15))
"""Times in UTC whose local times distinguish time zones: no two of different rules agree on all of them for long."""

_PROBES = slice(24 * 53, 24 * 54)
"""The noons of 2024, which exclude most zones quickly."""

_USUAL = ("Europe/", "America/", "Asia/", "Australia/")
"""Regions whose names are preferred to others of the same rules, such as ``Arctic/Longyearbyen``."""


@contextmanager
def session_in(connection: Connection, offset: str) -> Iterator[None]:
    """Make the session render timestamptz values in a time zone inside the block, and in UTC again afterwards.

    :param offset: one of :data:`OFFSETS`
    """
    connection.exec_driver_sql(f"SET SESSION time_zone = '{offset}'")
    try:
        yield
    finally:
        connection.exec_driver_sql("SET SESSION time_zone = '+00:00'")


def default_time_zone(connection: Connection) -> str | None:
    """Return the time zone of sessions that set none; ``None`` if no zone that is known here has its rules.

    The server reports the machine's zone only by an abbreviation, such as ``CET`` or ``EST``, which depends on the season and
    rarely names the zone. So it is found by the local times that the server converts to.
    """
    zone, abbreviation = map(str, connection.exec_driver_sql("SELECT @@GLOBAL.time_zone, @@system_time_zone").one())
    if zone != "SYSTEM" and _is_known(zone):
        return zone
    converted = ", ".join(f"CONVERT_TZ('{noon}', '+00:00', @@GLOBAL.time_zone)" for noon in _NOONS)
    clocks = str(connection.exec_driver_sql(f"SELECT CAST(CONCAT_WS(',', {converted}) AS CHAR)").scalar_one())
    return _zone_with(tuple(clock[:19] for clock in clocks.split(",")), abbreviation)


@lru_cache
def _zone_with(clocks: tuple[str, ...], abbreviation: str) -> str | None:
    """Return the name, or the offset, of a zone that has these local times at :data:`_NOONS`.

    :param abbreviation: preferred if it is such a name
    """
    offsets = (f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" for minutes in range(-840, 841, 15))
    usual = sorted(available_timezones(), key=lambda name: (not name.startswith(_USUAL), name))
    return next((name for name in (*offsets, abbreviation, *usual) if _has_clocks(name, clocks)), None)


def _has_clocks(name: str, clocks: tuple[str, ...]) -> bool:
    if not _is_known(name):
        return False
    zone = time_zone_named(name)
    return all(tuple(zone.from_utc(_NOONS[part])) == clocks[part] for part in (_PROBES, slice(None)))


def _is_known(name: str) -> bool:
    try:
        time_zone_named(name)
    except ConfigurationError:
        return False
    return True
