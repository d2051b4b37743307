"""Digest and delete the rows of one slice of a staging table, which other tasks may share for their slices."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import ListedRows
from airflow_provider_sync.databases.schema import STAGING_PREFIX
from airflow_provider_sync.databases.table_slice import CanonicalColumn, Key, TableSlice
from airflow_provider_sync.merge.staging import naming_temporary_tables
from airflow_provider_sync.merge.staging_names import staging_digest
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT, Partitioning
from airflow_provider_sync.protocol.v2.tsv import encode_keys
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync.tables.version2.segment_digests import NO_ROWS, SegmentDigests, wire_digest

_TEXT = LogicalType(kind=LogicalKind.TEXT)


class StagingSlice:
    """One slice of a staging table.

    :ivar table_slice: the staging table, with the columns and the key range of the slice, but without its window, since a row
        that leaves the window is staged, too
    """

    def __init__(self, database: Database, connection: Connection, table_slice: TableSlice) -> None:
        self.table_slice = table_slice
        self._database = database
        self._connection = connection

    def segments(self, partitioning: Partitioning) -> SegmentDigests:
        """Return the digests of the slice's segments."""
        return self._database.digests.digest_segments(self._connection, self.table_slice, partitioning)

    def digests(self) -> dict[Key, int]:
        """Return the digest of every row by key, as on the wire."""
        batches = self._database.digests.digest_rows(self._connection, self.table_slice, ONE_SEGMENT, ((0, 0),))
        return {key: wire_digest(digest) for batch in batches for key, digest in batch}

    def digests_by_key(self, keys: Sequence[Key]) -> dict[Key, int]:
        """Return the digests, as on the wire, of the rows with these keys, without keys that are not staged."""
        if not keys:
            return {}
        batches = self._database.digests.digest_keys(self._connection, self.table_slice, keys)
        return {key: wire_digest(digest) for batch in batches for key, digest in batch}

    def count(self) -> int:
        """Count the rows."""
        if self.table_slice.key_range is None:
            return self._database.reader.count(self._connection, self.table_slice.table)
        return self.segments(ONE_SEGMENT).get(0, NO_ROWS).rows

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete the rows with these keys, compared by bytes; keys without a row are ignored."""
        if not keys:
            return
        database, connection, table = self._database, self._connection, self.table_slice.table
        name = f"{STAGING_PREFIX}{staging_digest(table)}_stale"
        with naming_temporary_tables(database, table):
            work = database.ddl.create_work_table(connection, table, self.table_slice.key_names, name=name)
        listed = [CanonicalColumn(column=work.columns[0], type=_TEXT), *self.table_slice.key]
        database.loader.load_text(connection, work, listed, [encode_keys([("D", *key) for key in keys])])
        rows = ListedRows(target=table, work=work, key=self.table_slice.key_columns)
        with database.translate_errors():
            connection.exec_driver_sql(database.statements.delete_listed(rows))
        database.ddl.drop(connection, work)

    def empty(self) -> None:
        """Delete all rows of this slice, but none of other slices."""
        self.delete(list(self.digests()))
