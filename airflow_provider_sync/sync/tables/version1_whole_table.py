"""The rows of a source of version 1 as they wait for their merge, and the hashes of both sides."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.table_hash import hash_table, load_hasher
from airflow_provider_sync.exceptions import ServerError, TableError
from airflow_provider_sync.merge.transaction import StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.download import Download
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.time_zones import UTC, TimeZone


class WholeTable(Download):
    """All rows of the source.

    :param hashed: the columns that the source hashes as far as its rows show, in its order; ``None`` when a subset was taken
    :param source_hash: the source's hash, where it was told
    :param zone: the time zone in which the source hashes instants
    :param received: rows that came, those of answers that were not used among them
    """

    protocol = 1

    def __init__(
        self,
        database: Database,
        target: Target,
        staged: StagedTable,
        *,
        hashed: Sequence[Column] | None,
        source_hash: str | None,
        warnings: tuple[str, ...],
        zone: TimeZone = UTC,
        received: int | None = None,
    ) -> None:
        received = staged.rows if received is None else received
        super().__init__(target, staged, rows_total=staged.rows, rows_received=received, warnings=warnings)
        self.zone = zone
        self.listed = staged.removed
        self.target_rows = staged.target_rows
        self.database = database
        self.hashed = hashed
        self.source_hash = source_hash
        self.equal = False

    def verify(self, connection: Connection) -> Verified | None:
        """Hash the target as the source hashes its own.

        Different hashes prove nothing: other databases, types or columns hash otherwise though the rows are equal.
        """
        if self.hashed is None or self.source_hash is None or self.target.options.hasher:
            return None
        self.equal = hash_rows(self.database, connection, self.target, self.hashed, self.zone) == self.source_hash
        return "hash" if self.equal else None

    def doubt(self) -> str | None:
        """Say why there is no equal hash."""
        if self.equal or not self.staged.rows:
            return None
        if self.listed is not None:
            return None  # why not all that is missing was deleted has been said
        if self.hashed is None:
            return "Verified by rows only: the hash of the source covers columns that are not synchronised."
        if self.source_hash is None:
            return "Verified by rows only: the source cannot hash this table."
        return (
            "Verified by rows only: the hashes of source and target differ although the rows are equal, as with other types,"
            " column order or databases on both sides. Each sync will send the whole table."
        )


def hash_target(database: Database, target: Target, zone: TimeZone = UTC, columns: Sequence[Column] | None = None) -> str | None:
    """Hash the target as version 1 does, in one snapshot; ``None`` when it cannot be hashed for want of a primary key."""
    if target.options.hasher:
        return load_hasher(target.options.hasher).hash(database.engine, target.options)
    with database.snapshot() as connection:
        return hash_rows(database, connection, target, target.hashed_columns() if columns is None else columns, zone)


def hash_rows(
    database: Database, connection: Connection, target: Target, columns: Sequence[Column], zone: TimeZone
) -> str | None:
    """Hash rows of the target over an open connection; ``None`` when they have no order."""
    try:
        database.hash_order(target.table)
    except TableError:
        return None
    return hash_table(database, connection, target.table, columns, zone)


def ask_hash(client: SyncClient, target: Target) -> str | None:
    """Ask for the source's hash; ``None`` where the source cannot hash the table."""
    try:
        return client.get_table_hash(target.name)
    except ServerError:
        return None


def hashed_in_order(target: Target, source_columns: Sequence[str]) -> tuple[Column, ...] | None:
    """Put the target's columns in the order in which the source hashes its own; ``None`` when only some are synchronised."""
    if target.options.columns:
        return None
    columns = tuple(target.table.column(target.options.renames.get(name, name)) for name in source_columns)
    # The source's invisible columns do not come with its rows, and are in its hash.
    return target.hashed_columns() if columns == target.table.visible else columns
