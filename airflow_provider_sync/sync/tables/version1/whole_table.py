"""The staged rows of a version 1 source, and their verification by hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.protocol.v1.table_hash import AnswerHash
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version1.hashes import hash_rows
from airflow_provider_sync.time_zones import UTC, TimeZone, time_zone_named


class WholeTable(StagedRows):
    """All rows of the source, or none if the target equals it.

    :param staged: the staged rows; ``None`` if the target equals the source
    :param rows: number of rows of the source
    :param received: number of rows received, including those of responses that were not used
    :param hashed: the columns that the source hashes, in its order, as inferred from its rows; ``None`` if only some are synced
    :param source_hash: the source's hash; ``None`` if it sent none
    :param zone: the time zone in which the source hashes TIMESTAMP
    :param unproven: the hash of the rows as they came, if nothing proves that they are from one moment; ``""`` if the target also
        keeps rows that the source may lack
    """

    protocol = 1

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        target: Target,
        staged: StagedTable | None,
        *,
        rows: int,
        received: int = 0,
        hashed: Sequence[Column] | None = None,
        source_hash: str | None = None,
        zone: TimeZone = UTC,
        unproven: str | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(target, staged, rows_total=rows, rows_received=received, warnings=warnings)
        self.verified = "hash" if staged is None else None
        self.client = client
        self.database = database
        self.removed = None if staged is None else staged.removed
        self.target_rows = 0 if staged is None else staged.target_rows
        self.hashed = hashed
        self.source_hash = source_hash
        self.zone = zone
        self.unproven = unproven

    @classmethod
    def of_slice(
        cls, client: SyncClient, database: Database, target: Target, staged: StagedTable, table_slice: StagedSlice
    ) -> Self:
        """Return the rows that another task has staged.

        :param table_slice: the result of that task
        """
        return cls(
            client,
            database,
            target,
            staged,
            rows=staged.rows,
            received=table_slice.received,
            hashed=None if table_slice.hashed is None else [target.table.column(name) for name in table_slice.hashed],
            source_hash=table_slice.source_hash,
            zone=time_zone_named(table_slice.time_zone),
            unproven=table_slice.unproven,
            warnings=table_slice.warnings,
        )

    def as_slice(self, connection: Connection, run_id: str) -> StagedSlice:
        """Return the description of the staged rows for the task that merges them.

        :param run_id: the name from which the names of the staging tables are derived
        """
        return StagedSlice(
            table=self.target.name,
            run_id=run_id,
            protocol=1,
            source_rows=self.rows_total,
            target_rows=self.target_rows,
            whole=not self.is_equal and self.removed is None,
            staged=0 if self.is_equal else self.rows_total,
            removed=0 if self.removed is None else self.database.reader.count(connection, self.removed),
            received=self.rows_received,
            rows=self.rows_total,
            source_hash=self.source_hash,
            hashed=None if self.hashed is None else tuple(column.name for column in self.hashed),
            time_zone=self.zone.name,
            unproven=self.unproven,
            warnings=self.warnings,
        )

    def source_changed(self) -> bool:
        """Tell whether the staged rows may be from several moments.

        Existing servers read page by page, so a value that moved from one row to another may come with both. Unless the rows
        were proven to be from one moment, they are requested again: if others come, the source changed.
        """
        if not self.unproven:
            return self.unproven is not None
        again = AnswerHash()
        answer = self.client.get_table(self.target.name)
        if answer is not None:
            with answer:
                for rows in answer:
                    again.update(rows)
        return again.hexdigest() != self.unproven

    def verify(self, connection: Connection) -> Verified | None:
        """Hash the target as the source hashes its table.

        Different hashes prove nothing: with different databases, types or columns, equal rows have different hashes.
        """
        if self.hashed is None or self.source_hash is None or self.target.options.hasher:
            return None
        found = hash_rows(self.database, connection, self.target, self.hashed, self.zone)
        return "hash" if found == self.source_hash else None

    def carries(self, column: Column) -> bool:
        """Tell whether version 1 carries a column's values exactly.

        It does not for FLOAT (six digits), a computed DOUBLE (databases round differently), and a decimal without a scale (its
        number of digits at the source is unknown).
        """
        return column.kind not in (Kind.FLOAT, Kind.DOUBLE) and (column.kind is not Kind.DECIMAL or column.scale is not None)

    def doubt(self, verified: Verified | None, *, changed: bool) -> str | None:
        """Return the reason why the hashes are not equal."""
        if verified or not self.rows_total:
            return None
        if self.removed is not None:
            # A warning says why some missing rows were not deleted.
            return None if self.source_hash else self._maybe_invisible("The source may have").strip() or None
        hasher = self.target.options.hasher
        if hasher and changed:
            return None  # a class of the user's opens its own connection, and sees no row before the commit
        if self.hashed is None and not hasher:
            return "Verified by rows only: the hash of the source covers columns that are not synced."
        if self.source_hash is None and not (hasher and self.hashed is None):  # which is then not asked for
            return f"Verified by rows only: the source cannot hash this table.{self._maybe_invisible('The source may have')}"
        if self.target.mode.keeps_rows:
            return (
                "Verified by rows only: the target keeps rows, or values, that the source does not have, so that the hashes of"
                " the two differ. Version 1 knows no other comparison: each sync sends the whole table."
            )
        if hasher:
            return (
                f"Verified by rows only: the hash by {hasher!r} differs from the source's although the rows are equal. Each sync"
                " will send the whole table, until both sides use the same hasher, over the same columns."
            )
        invisible = self._maybe_invisible("Or the source has")
        causes, often = "as with other types, column order or databases on both sides", "Each sync will send the whole table"
        if self.unproven is not None:
            causes = f"since the source changed while they were sent, or {causes}"
            often = "In the latter case, each sync will send the whole table"
        return (
            f"Verified by rows only: the hashes of source and target differ although the rows are equal, {causes}.{invisible}"
            f" {often}."
        )

    def _maybe_invisible(self, beginning: str) -> str:
        """Return a sentence about columns that were not sent, which may be INVISIBLE at the source, or no text."""
        hashed = {column.name for column in self.hashed or ()}
        unsent = [column.name for column in self.target.table.visible if column.name not in hashed]
        if not unsent or self.target.options.gone_columns != "keep":
            return ""
        sent = "hashed and not sent" if self.source_hash else "not sent"
        return (
            f" {beginning} {', '.join(unsent)}, too, but INVISIBLE: such columns are {sent}, and their values in the target"
            " stay as they are; sync the table by version 2."
        )
