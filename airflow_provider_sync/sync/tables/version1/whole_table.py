"""The rows of a source of version 1 as they wait for their merge, and the hashes of both sides."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.merge.transaction import StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.download import Download
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version1.hashes import hash_rows
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
