"""Determine the time zone of a version 1 source, which sends TIMESTAMP values in its database session's time zone.

This package's server announces the zone. For an existing server, it is the option ``time_zone``. Without that, the zone is
inferred from rows that the target already has, or, if there are none, the target database's zone is assumed, as the existing
client does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.databases.version1_hash import zoned_places
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.time_zones import UTC, TimeZone, time_zone_named

EQUAL_HASHES = "in which the target has the source's hash"


@dataclass(frozen=True, slots=True)
class SourceZone:
    """The assumed time zone of the source's database.

    :ivar zone: the zone in which TIMESTAMP texts are read
    :ivar other: another possible zone, to be decided by the target's rows; ``None`` if the zone is known
    :ivar doubt: for the report, why the zone may be wrong; ``None`` if the zone is known
    """

    zone: TimeZone
    other: TimeZone | None = None
    doubt: str | None = None

    def decided(self, zone: TimeZone, reason: str) -> SourceZone:
        """Return a decision for ``zone``, which the server does not announce.

        :param reason: the evidence for it
        """
        return replace(self, zone=zone, other=None, doubt=reason)

    def warnings(self, table: Table) -> tuple[str, ...]:
        """Return warnings about an uncertain time zone."""
        if self.doubt is None:
            return ()
        names = ", ".join(column.name for column in table.columns if column.kind is Kind.TIMESTAMP)
        return (
            f"Column {names} of {str(table)!r} is TIMESTAMP, and version 1 does not tell the source's time zone: {self.zone.name}"
            f" was taken, {self.doubt}. Set time_zone to that of the source's database.",
        )


def find_zone(client: SyncClient, database: Database, connection: Connection, table: Table) -> SourceZone:
    """Return what is known about the source's time zone before rows are requested.

    :param table: the target
    """
    if not zoned_places(database, table.columns):
        return SourceZone(UTC)
    if client.source_time_zone is not None:
        return announced_zone(client)
    if client.time_zone is not None:
        return SourceZone(client.time_zone)
    own = _default_zone(database, connection)
    if own is None:
        return SourceZone(UTC, doubt="since the one that sessions of the target's database have by default is not known")
    doubt = "the one that sessions of the target's database have by default"
    return SourceZone(own, other=None if own.is_utc else UTC, doubt=doubt)


def announced_zone(client: SyncClient) -> SourceZone:
    """Return the time zone that the server named in its last response."""
    zone = client.source_time_zone or UTC
    if client.time_zone in (None, zone):
        return SourceZone(zone)
    raise ConfigurationError(
        f"time_zone is {client.time_zone.name!r}, and the server answers in {zone.name}. Leave time_zone out for this server, or"
        " set time_zone in the server's own configuration."
    )


def rows_in_common(
    database: Database, connection: Connection, target: Table, staged: Table, key: Sequence[Column], columns: Sequence[Column]
) -> int:
    """Count the non-NULL values of ``columns`` that are equal in staged rows and in target rows with the same key."""
    same = database.statements.same
    equal = " + ".join(
        f"SUM(CASE WHEN s.{database.quote(column.name)} IS NOT NULL AND {same(column, 't', 's')} THEN 1 ELSE 0 END)"
        for column in columns
    )
    found = " AND ".join(filter(None, [database.statements.match(key, "t", "s"), database.current(target, "t")]))
    joined = f"{database.qualified(staged)} s JOIN {database.qualified(target)} t ON {found}"
    statement = f"SELECT {equal} FROM {joined}"
    return int(connection.exec_driver_sql(statement).scalar() or 0)


def _default_zone(database: Database, connection: Connection) -> TimeZone | None:
    name = database.version1.default_time_zone(connection)
    try:
        return None if name is None else time_zone_named(name)
    except ConfigurationError:  # a name that is known only to the database
        return None
