"""Rows that version 2 fetched, and what the source announced of them, held against the target before the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.merge.transaction import StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.computed_columns import refuse_other_values
from airflow_provider_sync.sync.tables.differences import Comparison, added, ask_segments_again, segment_of, to_wire, without
from airflow_provider_sync.sync.tables.reconcile import Key, segment_ranges_of
from airflow_provider_sync.sync.tables.staged_rows import StagedRows, not_as_staged

MAX_NAMED = 5
"""Most keys that a warning names."""


class FetchedRows(StagedRows):
    """Rows of the source, all of them or those that differ.

    :param announced: the source's digests of the fetched rows, by key; ``None`` when all rows were fetched, or too many to hold
    :param deleted: keys that go, if ``announced`` is told
    :param deleted_rows: how many rows go, otherwise
    :param replaced: by segment, what the target held of rows that are updated or deleted; ``None`` when all rows were fetched
    :param restless: keys of rows that were other ones each time that they were asked for
    :ivar proven: whether each staged row is what the source announced of it
    :ivar listed: table of the keys of rows that go; ``None`` where every row goes that is not staged
    :ivar rows_staged: rows in the staging table, those that a failed try left among them
    """

    protocol = 2

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        compared: Comparison,
        staged: StagedTable,
        *,
        received: int = 0,
        announced: Mapping[Key, int] | None = None,
        deleted: Sequence[Key] = (),
        deleted_rows: int = 0,
        replaced: Mapping[int, SegmentDigest] | None = None,
        restless: Sequence[Key] = (),
    ) -> None:
        super().__init__(
            compared.target,
            staged,
            rows_total=compared.source_rows,
            rows_received=received,
            warnings=(_never_stood_still(sorted(set(restless)), compared.table_slice),) if restless else (),
        )
        self.listed = staged.removed
        self.staging = staged.staging
        self.replaced = replaced
        self.proven = not restless
        self.rows_staged = staged.rows
        self.client = client
        self.database = database
        self.compared = compared
        self.announced = announced
        self.deleted = deleted
        self.deleted_rows = len(deleted) or deleted_rows

    @property
    def whole(self) -> bool:
        """Whether all rows of the part were fetched, so that any other goes."""
        return self.listed is None

    def verify(self, connection: Connection) -> Verified | None:
        """Digest what was touched, and compare it with what the source announced.

        Segments of keys are digested as such. Other segments would need a scan of the whole table; there the touched
        keys are looked at, one by one.

        :return: ``None`` where rows never stood still, so that nothing was announced that they could be compared with
        :raises TargetChangedError: when they differ
        :raises TableError: when they differ because the target computes a column otherwise
        """
        by_key = self.announced is not None and self.compared.partitioning.scheme != "key_range"
        if not (self._keys_hold(connection) if by_key else self._segments_hold(connection)):
            refuse_other_values(self.database, connection, self.compared.table_slice, self.staging, name=self.target.name)
            raise not_as_staged(self.target.name)
        return "digest" if self.proven else None

    def rest_holds(self, connection: Connection) -> bool:
        """Digest the whole target: it is what the source announced, or what it was, with the rows that differed replaced."""
        compared, window = self.compared, self.compared.table_slice.window
        if self.replaced is None or (window is not None and self._lacks(window.column)):
            return True
        found = dict(self.database.digests.digest_written(connection, compared.table_slice, compared.partitioning))
        return found in (dict(compared.source), dict(self._merged(connection, self.replaced)))

    def source_moved(self) -> bool:
        """Have the source digest its segments once more."""
        return dict(ask_segments_again(self.client, self.database, self.compared)) != dict(self.compared.source)

    def _keys_hold(self, connection: Connection) -> bool:
        announced = dict(self.announced or {})
        table_slice = msgspec.structs.replace(self.compared.table_slice, window=None)
        found = self.database.digests.digest_keys(connection, table_slice, [*announced, *self.deleted])
        return {key: to_wire(digest) for batch in found for key, digest in batch} == announced

    def _segments_hold(self, connection: Connection) -> bool:
        compared = self.compared
        touched = compared.differing
        rows = sum(compared.source[number].rows for number in touched if number in compared.source)
        if compared.partitioning.scheme != "key_range" or 2 * rows > compared.source_rows:
            found = self.database.digests.digest_written(connection, compared.table_slice, compared.partitioning)
        else:
            found = _segments_of_rows(self.database, connection, compared)
        moved = [number for number in touched if found.get(number) != compared.source.get(number)]
        if not moved:
            return True
        expected = self.expected(connection)
        if expected is not None:
            return all(found.get(number) == expected.get(number) for number in moved)
        # It has to do that the merge has compared the staged rows, which are what the source announced.
        refuse_other_values(self.database, connection, compared.table_slice, self.staging, name=self.target.name)
        return True

    def expected(self, connection: Connection) -> Mapping[int, SegmentDigest] | None:
        """Return what the segments of the target hold after the merge if nobody else writes to it.

        That is what the source announced of them; or, where it changed between the digests of its segments and those of its
        rows, what the target held when its rows were compared, with those of them replaced that differed.

        :return: ``None`` where that cannot be told: where rows that change go into other segments, and where the window's column
            is not staged
        """
        compared, window = self.compared, self.compared.table_slice.window
        if self.replaced is None:
            return compared.source
        if compared.partitioning.scheme == "row_hash" or (window is not None and self._lacks(window.column)):
            return None
        return self._merged(connection, self.replaced)

    def _merged(self, connection: Connection, replaced: Mapping[int, SegmentDigest]) -> Mapping[int, SegmentDigest]:
        staged = msgspec.structs.replace(self.compared.table_slice, table=self.staging)
        new = self.database.digests.digest_segments(connection, staged, self.compared.partitioning)
        return added(without(self.compared.own, replaced), new)

    def _lacks(self, name: str) -> bool:
        return name not in (column.column.name for column in self.compared.table_slice.columns)


def _segments_of_rows(database: Database, connection: Connection, compared: Comparison) -> dict[int, SegmentDigest]:
    """Digest only the touched segments, row by row: they are few."""
    partitioning = compared.partitioning
    found: dict[int, SegmentDigest] = {}
    for batch in database.digests.digest_rows(
        connection, compared.table_slice, partitioning, segment_ranges_of(compared.differing)
    ):
        for key, digest in batch:
            number = segment_of(key[0], partitioning)
            held = found.get(number, SegmentDigest(0, 0))
            found[number] = SegmentDigest(held.rows + 1, (held.sum + digest) % 2**64)
    return found


def _never_stood_still(keys: Sequence[Key], table_slice: TableSlice) -> str:
    names = ", ".join(column.column.name for column in table_slice.key)
    some = "; ".join(", ".join(key)[:50] for key in keys[:MAX_NAMED]) + ("; …" if len(keys) > MAX_NAMED else "")
    rows = "1 row" if len(keys) == 1 else f"{len(keys)} rows"
    return (
        f"{rows} changed at the source each time that the sync asked for them ({names}: {some}). The target has what came last;"
        " the next run brings what is newer."
    )
