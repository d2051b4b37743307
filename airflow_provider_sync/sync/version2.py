"""Compare and download one table by version 2 of the protocol: only the rows that differ move.

::

    describe ─┬─ source digests its segments ─┐
              └─ target digests its own ──────┴─ compare ── rows of the segments that differ ── fetch ── staging

Both databases work at the same time: what the target has to compute runs in a second thread, over a snapshot of its own.
Where rows differ is found in :mod:`.differences`; here it is decided what to fetch, and what is proven about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.exceptions import MissingTableError, SourceChangedError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import DescribeTable, GetRows, Grid
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.differences import (
    MOST_SCANS,
    Comparison,
    Differences,
    compare_few_rows,
    compare_finer,
    compare_rows,
    compare_scattered,
    compare_segments,
    confine_to_window,
    in_chunks,
    sample_changes,
    scans_of,
    to_wire,
)
from airflow_provider_sync.sync.direct import load_directly
from airflow_provider_sync.sync.download import Download, Unchanged
from airflow_provider_sync.sync.landing import create_statement, selection_of
from airflow_provider_sync.sync.target import Target
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.engines.canonical import Part, SegmentDigest
from airflow_provider_sync.tables.merge import StagedTable
from airflow_provider_sync.tables.reconcile import Key, runs_of
from airflow_provider_sync.tables.schema import Table
from airflow_provider_sync.tables.staging import Staging, TemporaryStaging

WHOLE_ABOVE = 0.5
"""Share of the source's rows above which the whole table is sent, rather than those rows by their keys."""

MOST_LISTED = 250_000
"""Rows above which the whole table is sent, too, so that no more keys than these are held in memory."""

ALL_ROWS = Grid(scheme="bucket", parts=1)


def differs(client: SyncClient, database: Database, target: Target) -> bool:
    """Whether source and target differ, by the digests of their segments; no row is asked for."""
    return bool(compare_segments(client, database, target).differing)


def missing(client: SyncClient, database: Database, options: TargetTable) -> MissingTableError:
    """Return the error for a missing target, with the CREATE TABLE that the source's description makes."""
    request = DescribeTable(selection=selection_of(options), digests=False)
    with client.describe_table(request) as answer:
        statement = create_statement(database, options, answer.described)
    return MissingTableError(
        f"There is no table {options.table_name!r} in the target database. Set create_table to have it made, or run:\n{statement}"
    )


def create(client: SyncClient, database: Database, options: TargetTable) -> Table:
    """Make a missing target from the source's description, and return it."""
    request = DescribeTable(selection=selection_of(options), digests=False)
    with client.describe_table(request) as answer, database.connect() as connection:
        connection.exec_driver_sql(create_statement(database, options, answer.described))
        return database.describe(connection, options.table_name)


def count_rows(client: SyncClient, options: TargetTable) -> int:
    """Count the rows of the source."""
    with client.describe_table(DescribeTable(selection=selection_of(options))) as answer:
        return sum(sum(segments.counts) for segments in answer)


def download(
    client: SyncClient,
    database: Database,
    connection: Connection,
    target: Target,
    staging: Staging,
    *,
    on_rows: Callable[[int], None],
) -> Download | Unchanged:
    """Find the rows that differ, and stage those that the source has.

    :param connection: over which the staging tables are made and filled
    :param on_rows: called with the number of rows that arrived
    :raises SourceChangedError: when the source changed between two answers
    """
    if first := load_directly(client, database, connection, target, on_rows):
        return first
    compared = compare_segments(client, database, target)
    if not compared.differing:
        return Unchanged(protocol=2, rows=compared.source_rows, verified="digest")
    fetch = _Fetch(client, database, connection, compared, staging, on_rows)
    if target.options.window is not None:
        # Rows outside the window stay, so that what goes must be known by its key.
        fetch.compared = compare_finer(client, database, compared)
        return fetch.rows(compare_rows(client, database, fetch.compared))
    if not compared.target_rows:
        return fetch.everything()
    compared = fetch.compared = compare_finer(client, database, compared)
    if scans_of(compared) > MOST_SCANS:
        return fetch.everything()
    if sample := sample_changes(client, database, compared):
        if sample.wanted > WHOLE_ABOVE:
            return fetch.everything()
        compared = fetch.compared = compare_scattered(client, database, compared, sample)
    differences = compare_few_rows(client, database, compared, min(MOST_LISTED, WHOLE_ABOVE * compared.source_rows))
    return fetch.everything() if differences is None else fetch.rows(differences)


class _Fetch:
    """Rows on their way into staging."""

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        connection: Connection,
        compared: Comparison,
        staging: Staging,
        on_rows: Callable[[int], None],
    ) -> None:
        self.client = client
        self.database = database
        self.connection = connection
        self.compared = compared
        self.target = compared.target
        self.staging = staging
        self.on_rows = on_rows
        self.selection = compared.selection
        self.received = 0

    def everything(self) -> Download:
        """Stage all rows of the part."""
        part = self._stage(None)
        staged = self.database.digest_segments(self.connection, part, self.compared.grid)
        if dict(staged) != dict(self.compared.source):
            raise SourceChangedError(f"Table {self.target.name!r}: the source changed while it was sent. Nothing was changed.")
        return FetchedRows(self.database, self.compared, self._staged(None), received=self.received)

    def rows(self, differences: Differences) -> Download:
        """Stage the rows that the source has and the target lacks or has otherwise, and list those that go."""
        differences = confine_to_window(self.client, self.database, self.compared, differences)
        announced, deleted = differences.announced, differences.changes.deleted
        part = self._stage(list(announced))
        if _digests_of(self.database, self.connection, part) != announced:
            raise SourceChangedError(f"Table {self.target.name!r}: the source changed while rows were sent. Nothing was changed.")
        staged = self._staged(self._list_removed(deleted))
        return FetchedRows(self.database, self.compared, staged, received=self.received, announced=announced, deleted=deleted)

    def _stage(self, keys: Sequence[Key] | None) -> Part:
        """Fetch rows into the staging table, and return it as a part of its own."""
        part, target = self.compared.part, self.target
        self.staging.create(
            self.connection,
            target.table,
            [column.column for column in part.columns],
            primary_key=[column.column.name for column in part.key],
            indexes=target.options.import_indexes,
        )
        loaded = self.staging.load_text(self.connection, target.table, part.columns, self._blocks(keys))
        if loaded != self.received or (keys is not None and loaded != len(keys)):
            expected = self.received if keys is None else len(keys)
            raise SourceChangedError(f"Table {target.name!r}: {loaded} rows came of {expected}. Nothing was changed.")
        return msgspec.structs.replace(part, table=self.staging.table, window=None)

    def _blocks(self, keys: Sequence[Key] | None) -> Iterator[bytes]:
        """Ask for rows, and pass their lines on as they come."""
        # A row that left the window is asked for by its key, too.
        selection = self.selection if keys is None else msgspec.structs.replace(self.selection, window=None)
        width = len(self.compared.part.columns)
        requests = [None] if keys is None else [tsv.encode_keys(chunk).decode() for chunk in in_chunks(keys)]
        for wanted in requests:
            with self.client.get_rows(GetRows(selection=selection, keys=wanted), columns=width) as answer:
                for rows in answer:
                    self.received += rows.count
                    self.on_rows(rows.count)
                    yield rows.data

    def _list_removed(self, keys: Sequence[Key]) -> Table:
        """Write the keys of the rows that go into a table of their own, which ends with the connection."""
        part = self.compared.part
        names = [column.column.name for column in part.key]
        removed = TemporaryStaging(self.database, purpose="removed")
        table = removed.create(self.connection, self.target.table, [column.column for column in part.key], primary_key=names)
        if keys:
            self.database.load_text(self.connection, table, part.key, [tsv.encode_keys(keys)])
        return table

    def _staged(self, removed: Table | None) -> StagedTable:
        part, options = self.compared.part, self.target.options
        return StagedTable(
            target=self.target.table,
            staging=self.staging.table,
            key=tuple(column.column.name for column in part.key),
            columns=tuple(column.column.name for column in part.columns),
            rows=self.received,
            verify=options.verify,
            removed=removed,
            # Inside a window the guards look at the window.
            target_rows=self.compared.target_rows,
        )


class FetchedRows(Download):
    """Rows of the source, all of them or those that differ.

    :param announced: the source's digests of the fetched rows, by key; ``None`` when all rows were fetched
    :param deleted: keys that go
    """

    protocol = 2

    def __init__(
        self,
        database: Database,
        compared: Comparison,
        staged: StagedTable,
        *,
        received: int = 0,
        announced: Mapping[Key, int] | None = None,
        deleted: Sequence[Key] = (),
    ) -> None:
        super().__init__(compared.target, staged, rows_total=compared.source_rows, rows_received=received)
        self.database = database
        self.compared = compared
        self.announced = announced
        self.deleted = deleted

    def verify(self, connection: Connection) -> Verified | None:
        """Digest what was touched, and compare it with what the source announced.

        Segments of keys are digested as such. Other segments would need a scan of the whole table; there the touched
        keys are looked at, one by one.

        :raises SourceChangedError: when they differ
        """
        by_key = self.announced is not None and self.compared.grid.scheme != "range"
        if not (self._keys_hold(connection) if by_key else self._segments_hold(connection)):
            raise SourceChangedError(
                f"Table {self.target.name!r}: after the merge the target is not what the source announced; one of them"
                " changed meanwhile. Nothing was changed."
            )
        return "digest"

    def doubt(self) -> str | None:
        """Digests leave none."""
        return None

    def _keys_hold(self, connection: Connection) -> bool:
        announced = dict(self.announced or {})
        part = msgspec.structs.replace(self.compared.part, window=None)
        found = self.database.digest_keys(connection, part, [*announced, *self.deleted])
        return {key: to_wire(digest) for batch in found for key, digest in batch} == announced

    def _segments_hold(self, connection: Connection) -> bool:
        compared = self.compared
        touched = compared.differing
        if 2 * sum(compared.source[number].rows for number in touched if number in compared.source) > compared.source_rows:
            found = self.database.digest_segments(connection, compared.part, compared.grid)
        else:
            found = _segments_of_rows(self.database, connection, compared)
        return all(found.get(number) == compared.source.get(number) for number in touched)


def _segments_of_rows(database: Database, connection: Connection, compared: Comparison) -> dict[int, SegmentDigest]:
    """Digest only the touched segments, row by row: they are few."""
    grid = compared.grid
    found: dict[int, SegmentDigest] = {}
    for batch in database.digest_rows(connection, compared.part, grid, runs_of(compared.differing)):
        for key, digest in batch:
            number = _segment_of(int(key[0]), grid)
            held = found.get(number, SegmentDigest(0, 0))
            found[number] = SegmentDigest(held.rows + 1, (held.sum + digest) % 2**64)
    return found


def _segment_of(key: int, grid: Grid) -> int:
    if key < grid.low:
        return -1
    return grid.parts if key > grid.high else (key - grid.low) // grid.width


def _digests_of(database: Database, connection: Connection, part: Part) -> dict[Key, int]:
    """Return the digest of every row, as it would go over the wire."""
    batches = database.digest_rows(connection, part, ALL_ROWS, ((0, 0),))
    return {key: to_wire(digest) for batch in batches for key, digest in batch}
