"""Find the default time zone of MySQL and MariaDB sessions, and set another one inside a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.time_zones import time_zone_named

OFFSETS = frozenset(
    f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" for minutes in range(-779, 781)
)
"""Offsets that every server accepts as a session's time zone; MariaDB and older MySQL accept -12:59 to +13:00."""

_PROBES = ("1990-01-15", "1990-07-15", "2010-01-15", "2010-07-15", "2024-01-15", "2024-04-05", "2024-07-15", "2024-10-20")
"""Days whose offsets distinguish the daylight saving rules that share an abbreviation."""


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
    """Return the time zone of sessions that set none.

    The server reports the machine's zone only by an abbreviation, such as ``CET``: return that name if the server converts by
    the rules of the zone of that name, or an offset if it uses the same one all year.
    """
    zone, abbreviation = connection.exec_driver_sql("SELECT @@GLOBAL.time_zone, @@system_time_zone").one()
    if zone != "SYSTEM":
        return str(zone)
    converted = ", ".join(f"CAST(CONVERT_TZ('{day} 12:00:00', '+00:00', 'SYSTEM') AS CHAR)" for day in _PROBES)
    clocks = [str(clock)[:19] for clock in connection.exec_driver_sql(f"SELECT {converted}").one()]
    noons = [f"{day} 12:00:00" for day in _PROBES]
    seconds = {
        (datetime.fromisoformat(clock) - datetime.fromisoformat(noon)).total_seconds()
        for clock, noon in zip(clocks, noons, strict=True)
    }
    if len(seconds) == 1:
        minutes = int(seconds.pop()) // 60
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    try:
        same = time_zone_named(str(abbreviation)).from_utc(noons) == clocks
    except ConfigurationError:
        return None
    return str(abbreviation) if same else None
