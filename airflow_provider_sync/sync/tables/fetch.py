"""Fetch rows of the source by version 2 of the protocol, into a staging table: all of them, or those that differ.

The staging table is its own journal: what a failed try left there is digested, what still is as the source announces it stays,
and only the rest is fetched. For that, rows are committed a few ten megabytes at a time.

Which rows differ is found in :mod:`.differences`; what is proven about them after the merge is in :mod:`.fetched_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.slices import absent_segment_ranges, keys_of
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ProtocolError, SourceChangedError
from airflow_provider_sync.merge.staging import Staging, TemporaryStaging
from airflow_provider_sync.merge.stale_rows import delete_rows
from airflow_provider_sync.merge.transaction import StagedTable
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT, GetRows
from airflow_provider_sync.sync.tables.differences import (
    Comparison,
    Differences,
    added,
    ask_segments_again,
    in_chunks,
    to_wire,
    without,
)
from airflow_provider_sync.sync.tables.fetched_rows import FetchedRows
from airflow_provider_sync.sync.tables.reclassify import announced_again, confirmed, confirmed_slices, settled, without_rows
from airflow_provider_sync.sync.tables.reconcile import Key, differing_segments
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.unkept_values import ROUNDS, refuse_unkept_values

COMMIT_BYTES = 32 * 1024 * 1024
"""How much of the rows' text is loaded in one go: what a cut costs."""

MOST_RANGES = 64
"""Stretches of keys that are fetched as such where a staging table lacks them; beyond, its rows are compared."""


class Fetch:
    """Rows on their way into staging.

    :param staging: where they land
    :param removed: where the keys of the rows that go are listed; by default in a table that ends with the connection
    :param on_rows: called with the number of rows that arrived
    :ivar restless: keys of rows that were other ones each time that they were asked for
    """

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        connection: Connection,
        compared: Comparison,
        staging: Staging,
        *,
        removed: Staging | None = None,
        on_rows: Callable[[int], None],
    ) -> None:
        self.client = client
        self.database = database
        self.connection = connection
        self.compared = compared
        self.target = compared.target
        self.staging = staging
        self.removed = removed or TemporaryStaging(database, purpose="removed")
        self.on_rows = on_rows
        self.requested_slice = compared.requested_slice
        self.received = 0
        self.received_bytes = 0
        self.restless: list[Key] = []

    def everything(self) -> FetchedRows:
        """Stage all rows of the part.

        Segments that are not what the source announced are asked for again, and of them only the rows that differ. What is
        staged then stands for what the source announced: segment by segment, or row by row where it moved.

        :raises TableError: when the target cannot keep a value as it is
        """
        table_slice, resumed = self._open()
        held = self.database.digests.digest_segments(self.connection, table_slice, self.compared.partitioning) if resumed else {}
        if held:
            self._complete(table_slice, held, stretches=True)
        else:
            self._load(table_slice, GetRows(table_slice=self.requested_slice))
        held = self.database.digests.digest_segments(self.connection, table_slice, self.compared.partitioning)
        if dict(held) != dict(self.compared.source):
            source = ask_segments_again(self.client, self.database, self.compared)
            self.compared = msgspec.structs.replace(self.compared, source=source)
            self._complete(table_slice, held, stretches=False)
            staged = dict(self.database.digests.digest_segments(self.connection, table_slice, self.compared.partitioning))
            differing = tuple(differing_segments(staged, self.compared.own))
            self.compared = msgspec.structs.replace(self.compared, source=staged, differing=differing)
        return self._fetched(self._staged(self.compared.source_rows, None))

    def rows(self, differences: Differences) -> FetchedRows:
        """Stage the rows that the source has and the target lacks or has otherwise, and list those that go.

        :raises TableError: when the target cannot keep a value as it is
        """
        differences = settled(self.client, self.database, self.compared, differences)
        table_slice, resumed = self._open()
        held = _digests_of(self.database, self.connection, table_slice) if resumed else {}
        delete_rows(self.database, self.connection, table_slice, [key for key in held if key not in differences.announced])
        held = {key: digest for key, digest in held.items() if key in differences.announced}
        staged = self._stage(table_slice, differences, held, alone=True)
        deleted = differences.changes.deleted
        if deleted and self.compared.partitioning.scheme != "row_hash" and self._source_moved(table_slice, staged.replaced):
            # Two answers do not fit together, of which one may lack rows.
            now = confirmed(self.client, self.compared, staged, deleted)
            staged = self._stage(table_slice, now, staged.announced, alone=True)
        announced, deleted = staged.announced, staged.changes.deleted
        removed = self._open_removed()
        self._list_removed(removed, deleted)
        return self._fetched(
            self._staged(len(announced), removed), announced=announced, deleted=deleted, replaced=staged.replaced
        )

    def slices(self) -> FetchedRows:
        """Stage as :meth:`rows` does, a bounded number of rows at a time, however many differ.

        What a failed try left is not gone on with.

        :raises TableError: when the target cannot keep a value as it is
        """
        table_slice, resumed = self._open()
        if resumed:
            self._empty(table_slice)
        removed = self._open_removed()
        rows = deleted = 0
        replaced: dict[int, SegmentDigest] = {}
        for found in confirmed_slices(self.client, self.database, self.compared):
            held: dict[Key, int] = {}
            if self.compared.partitioning.scheme == "row_hash" and (rows or deleted):
                # A row that changed was in an earlier slice, too.
                keys = [*found.announced, *found.changes.deleted]
                held = self._digests_by_key(table_slice, keys)
                delete_rows(self.database, self.connection, table_slice, [key for key in held if key not in found.announced])
                deleted -= self._unlist_removed(keys)
            staged = self._stage(table_slice, found, held, alone=False)
            self._list_removed(removed, staged.changes.deleted)
            rows += len(staged.announced) - len(held)
            deleted += len(staged.changes.deleted)
            replaced = added(replaced, staged.replaced)
        return self._fetched(self._staged(rows, removed), deleted_rows=deleted, replaced=replaced)

    def _fetched(
        self,
        staged: StagedTable,
        *,
        announced: Mapping[Key, int] | None = None,
        deleted: Sequence[Key] = (),
        deleted_rows: int = 0,
        replaced: Mapping[int, SegmentDigest] | None = None,
    ) -> FetchedRows:
        return FetchedRows(
            self.client,
            self.database,
            self.compared,
            staged,
            received=self.received,
            announced=announced,
            deleted=deleted,
            deleted_rows=deleted_rows,
            replaced=replaced,
            restless=self.restless,
        )

    def _stage(self, table_slice: TableSlice, wanted: Differences, held: Mapping[Key, int], *, alone: bool) -> Differences:
        """Stage rows until they are as the source announces them; those that moved meanwhile are asked for again, and only those.

        Rows that are other ones each time stay as they came last.

        :param held: digests of those of these rows that are staged already
        :param alone: whether no other rows are staged
        :return: what the source announced in the end, or sent of rows that never stand still
        :raises TableError: for rows that stand still, and are staged otherwise
        """
        held = dict(held)
        steady: set[Key] | None = None
        for again in reversed(range(ROUNDS)):
            other = [key for key, digest in wanted.announced.items() if held.get(key) != digest]
            delete_rows(self.database, self.connection, table_slice, [key for key in other if key in held])
            self._load_keys(table_slice, other)
            for key in other:
                held.pop(key, None)
            held |= (
                _digests_of(self.database, self.connection, table_slice) if alone else self._digests_by_key(table_slice, other)
            )
            moved = [key for key in other if held.get(key) != wanted.announced[key]]
            if not moved:
                return wanted
            if again:
                before = wanted.announced
                wanted = announced_again(self.client, self.compared, wanted, moved)
                delete_rows(self.database, self.connection, table_slice, [key for key in moved if key not in wanted.announced])
                same = {key for key in moved if wanted.announced.get(key) == before[key]}
                steady = same if steady is None else steady & same
        refuse_unkept_values(
            self.client, self.database, self.connection, self.compared, table_slice, (steady or set()) & set(moved)
        )
        self.restless += moved
        gone = {key for key in moved if key not in held}
        came = {key: held[key] for key in moved if key in held}
        return without_rows(msgspec.structs.replace(wanted, announced={**wanted.announced, **came}), gone)

    def _digests_by_key(self, table_slice: TableSlice, keys: Sequence[Key]) -> dict[Key, int]:
        """Return the digests of staged rows, as they would go over the wire."""
        if not keys:
            return {}
        batches = self.database.digests.digest_keys(self.connection, table_slice, keys)
        return {key: to_wire(digest) for batch in batches for key, digest in batch}

    def _open(self) -> tuple[TableSlice, bool]:
        """Open the staging table; return it as a part, and whether there may be rows of a failed try."""
        table_slice, target = self.compared.table_slice, self.target
        resumed = self.staging.resume(
            self.connection,
            target.table,
            [column.column for column in table_slice.columns],
            primary_key=[column.column.name for column in table_slice.key],
            indexes=target.options.import_indexes,
        )
        # A row that leaves the window is staged, too.
        return msgspec.structs.replace(table_slice, table=self.staging.table, window=None), resumed

    def _complete(self, table_slice: TableSlice, held: Mapping[int, SegmentDigest], *, stretches: bool) -> None:
        """Make a staging table that has some of the rows have all of them.

        :param stretches: fetch ranges of keys of which it has none as such, without looking at single rows. In all other
            segments that differ, rows are compared.
        """
        partitioning, differing = self.compared.partitioning, differing_segments(self.compared.source, held)
        segment_ranges = absent_segment_ranges(differing, held) if stretches and partitioning.scheme == "key_range" else []
        if len(segment_ranges) > MOST_RANGES:
            segment_ranges = []
        for segment_range in segment_ranges:
            self._load(
                table_slice,
                GetRows(
                    table_slice=msgspec.structs.replace(self.requested_slice, key_range=keys_of(partitioning, segment_range))
                ),
            )
        others = tuple(number for number in differing if number in held or not segment_ranges)
        partly = msgspec.structs.replace(self.compared, table_slice=table_slice, own=held, differing=others)
        connection = None if self.staging.seen_by_others else self.connection
        for found in confirmed_slices(self.client, self.database, partly, connection):
            # A row that changed meanwhile may be in another slice with what it was.
            delete_rows(self.database, self.connection, table_slice, [*found.changes.deleted, *found.announced])
            self._stage(table_slice, found, {}, alone=False)

    def _load_keys(self, table_slice: TableSlice, keys: Sequence[Key]) -> None:
        # A row that left the window is asked for by its key, too.
        requested_slice = msgspec.structs.replace(self.requested_slice, window=None)
        for chunk in in_chunks(keys):
            loaded = self._load(table_slice, GetRows(table_slice=requested_slice, keys=tsv.encode_keys(chunk).decode()))
            if loaded > len(chunk):
                raise ProtocolError(f"Table {self.target.name!r}: {loaded} rows came, and {len(chunk)} were asked for.")

    def _load(self, table_slice: TableSlice, request: GetRows) -> int:
        """Stage the answer to a request, a bounded amount at a time; return its rows."""
        before, loaded = self.received, 0
        with closing(self._blocks(request)) as answer:
            for blocks in _bounded(answer):
                loaded += self.staging.load_text(self.connection, self.target.table, table_slice.columns, blocks)
        received = self.received - before
        if loaded != received:
            raise SourceChangedError(f"Table {self.target.name!r}: {loaded} rows came of {received}.", NOTHING_CHANGED)
        return loaded

    def _blocks(self, request: GetRows) -> Generator[bytes]:
        """Ask for rows, and pass their lines on as they come."""
        with self.client.get_rows(request, columns=len(self.compared.table_slice.columns)) as answer:
            for rows in answer:
                self.received += rows.count
                self.received_bytes += len(rows.data)
                check_received(self.client, self.target, rows=self.received, size=self.received_bytes)
                self.on_rows(rows.count)
                yield rows.data

    def _source_moved(self, staging: TableSlice, replaced: Mapping[int, SegmentDigest]) -> bool:
        """Whether the rows that were compared are not those of the segments that the source announced."""
        compared = self.compared
        new = self.database.digests.digest_segments(self.connection, staging, compared.partitioning)
        expected = added(without(compared.own, replaced), new)
        return any(expected.get(number) != compared.source.get(number) for number in compared.differing)

    def _open_removed(self) -> Table:
        """Open the table for the keys of the rows that go, with none in it."""
        table_slice = self.compared.table_slice
        names = [column.column.name for column in table_slice.key]
        resumed = self.removed.resume(
            self.connection, self.target.table, [column.column for column in table_slice.key], primary_key=names
        )
        if resumed:
            self._empty(self._removed_slice())
        return self.removed.table

    def _removed_slice(self) -> TableSlice:
        table_slice = self.compared.table_slice
        return msgspec.structs.replace(table_slice, table=self.removed.table, columns=table_slice.key, window=None)

    def _unlist_removed(self, keys: Sequence[Key]) -> int:
        """Take rows from the list of those that go, and return how many were in it."""
        table_slice = self._removed_slice()
        listed = list(self._digests_by_key(table_slice, keys))
        delete_rows(self.database, self.connection, table_slice, listed)
        return len(listed)

    def _empty(self, table_slice: TableSlice) -> None:
        """Delete what a failed try left in a staging table that other parts may share."""
        delete_rows(self.database, self.connection, table_slice, list(_digests_of(self.database, self.connection, table_slice)))

    def _list_removed(self, table: Table, keys: Sequence[Key]) -> None:
        if keys:
            self.database.loader.load_text(self.connection, table, self.compared.table_slice.key, [tsv.encode_keys(keys)])

    def _staged(self, rows: int, removed: Table | None) -> StagedTable:
        """Describe what is staged.

        :raises ProtocolError: when there are other rows than those that were asked for
        """
        table_slice, options = self.compared.table_slice, self.target.options
        if table_slice.key_range is None:
            there = self.database.reader.count(self.connection, self.staging.table)
        else:
            staged = msgspec.structs.replace(table_slice, table=self.staging.table, window=None)
            there = self.database.digests.digest_segments(self.connection, staged, ONE_SEGMENT).get(0, SegmentDigest(0, 0)).rows
        if there != rows:
            raise ProtocolError(f"Table {self.target.name!r}: {there} rows are staged, and {rows} were announced.")
        for table in filter(None, (self.staging.table, removed)):
            self.database.loader.adopt_keys(self.connection, self.target.table, table, table_slice.key)
        return StagedTable(
            target=self.target.table,
            staging=self.staging.table,
            key=tuple(column.column.name for column in table_slice.key),
            columns=tuple(column.column.name for column in table_slice.columns),
            rows=rows,
            verify=options.verify,
            removed=removed,
            # Inside a window the guards look at the window.
            target_rows=self.compared.target_rows,
        )


def check_received(client: SyncClient, target: Target, *, rows: int, size: int) -> None:
    """Refuse what is more than the limits allow, in however many answers it came.

    :param size: bytes of the rows' text
    :raises GuardError: naming the limit
    """
    table, limits = f"Table {target.name!r}", client.limits
    if rows > limits.max_rows:
        raise too_large(limits.max_rows, "limits.max_rows", what=table, unit="rows")
    if size > limits.max_table_bytes:
        raise too_large(limits.max_table_bytes, "limits.max_table_bytes", what=table)


def _bounded(blocks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Cut blocks into stretches of about :data:`COMMIT_BYTES`, each to be read to its end before the next."""
    coming = iter(blocks)
    for first in coming:
        yield _stretch(first, coming)


def _stretch(first: bytes, coming: Iterator[bytes]) -> Iterator[bytes]:
    size = len(first)
    yield first
    while size < COMMIT_BYTES and (block := next(coming, None)) is not None:
        size += len(block)
        yield block


def _digests_of(database: Database, connection: Connection, table_slice: TableSlice) -> dict[Key, int]:
    """Return the digest of every row, as it would go over the wire."""
    batches = database.digests.digest_rows(connection, table_slice, ONE_SEGMENT, ((0, 0),))
    return {key: to_wire(digest) for batch in batches for key, digest in batch}
