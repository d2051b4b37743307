"""Handle target keys that the database considers equal to staged keys with a different spelling, such as ``ab`` and ``AB``.

A mirror lists every key that the source lacks, so it knows whether the source still has such a key. Modes that keep rows list no
keys, so they ask the source about these keys only. If the source lacks such a key, the target's row is the staged row with its
former spelling. If the source still has the key, it is a different row, which the target cannot hold beside the staged one; then
the merge ends with an error about a duplicate key.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.row_lookups import digests_by_key
from airflow_provider_sync.sync.tables.version2.segment_digests import SegmentDigests, digest_by_segment
from airflow_provider_sync.sync.tables.version2.staging_slice import StagingSlice


class EqualKeys:
    """The equal keys of one staging table.

    :param staged: the rows to write
    :param removed: an empty table for keys that the source lacks
    """

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        connection: Connection,
        compared: ComparedSegments,
        staged: StagingSlice,
        removed: StagingSlice,
    ) -> None:
        self._client = client
        self._database = database
        self._connection = connection
        self._compared = compared
        self._key = compared.table_slice.key_columns
        self._key_names = compared.table_slice.key_names
        self._staged = staged
        self._removed = removed

    def settle(self) -> Sequence[Key]:
        """Find the target rows whose keys the source now spells differently.

        With ``upsert`` their former keys are listed, so that the merge renames the rows. With ``append`` the rows stay as they
        are, and the staged rows are dropped.

        :return: the former keys
        """
        texts = self._texts()
        if not (self._compared.mode.keeps_rows and texts):
            return ()
        self._list(texts)
        found = list(self._removed.digests())
        still_there = digests_by_key(self._client, self._compared, self._compared.without_window, found)
        self._removed.delete(list(still_there))
        former = [key for key in found if key not in still_there]
        if former and self._compared.mode.name == "append":
            self._drop_staged()
            self._removed.delete(former)
        return former

    def digests(self, former: Sequence[Key]) -> SegmentDigests:
        """Digest, by segment, the target rows that the merge will rename."""
        table_slice = self._compared.table_slice.unwindowed
        batches = self._database.digests.digest_keys(self._connection, table_slice, former) if former else ()
        return digest_by_segment(self._compared.partitioning, (row for batch in batches for row in batch))

    def _texts(self) -> list[Column]:
        """Return the key columns in which different texts may be equal; not decimals, which the source compares alike."""
        if not self._compared.target.table.has_unique(self._key_names):
            return []
        loosely = self._database.statements.loosely_compared(self._key)
        return [column for column in loosely if column.kind is not Kind.DECIMAL]

    def _list(self, texts: Sequence[Column]) -> None:
        database, statements, names = self._database, self._database.statements, self._key_names
        same = statements.all_same(texts, "t", "s")
        self._connection.exec_driver_sql(
            f"INSERT INTO {database.qualified(self._removed.table_slice.table)} ({database.columns(names)})"
            f" SELECT {database.columns(names, 't')} FROM {database.qualified(self._staged.table_slice.table)} AS s"
            f" JOIN {statements.by_index(self._compared.target.table, 't', names)} ON {statements.equal(self._key, 's', 't')}"
            f" WHERE NOT ({same})"
        )

    def _drop_staged(self) -> None:
        database = self._database
        staging = database.qualified(self._staged.table_slice.table)
        equal = " AND ".join(f"r.{name} = {staging}.{name}" for name in map(database.quote, self._key_names))
        removed = database.qualified(self._removed.table_slice.table)
        self._connection.exec_driver_sql(f"DELETE FROM {staging} WHERE EXISTS (SELECT 1 FROM {removed} AS r WHERE {equal})")
