"""Fetch rows of the source by version 2 of the protocol, into a staging table: all of them, or those that differ.

The staging table is its own journal: what a failed try left there is digested, what still is as the source announces it stays,
and only the rest is fetched. For that, rows are committed a few ten megabytes at a time.

Which rows differ is found in :mod:`.differences`; what is proven about them after the merge is in :mod:`.fetched_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import SourceChangedError
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import GetRows, Grid
from airflow_provider_sync.sync.differences import (
    Comparison,
    Differences,
    compare_slices,
    confine_to_window,
    in_chunks,
    to_wire,
)
from airflow_provider_sync.sync.fetched_rows import FetchedRows
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.engines.canonical import Part, SegmentDigest
from airflow_provider_sync.tables.key_ranges import absent_runs, keys_of
from airflow_provider_sync.tables.merge import StagedTable
from airflow_provider_sync.tables.reconcile import Key, differing_segments
from airflow_provider_sync.tables.schema import Table
from airflow_provider_sync.tables.staging import Staging, TemporaryStaging
from airflow_provider_sync.tables.stale_rows import delete_rows

ALL_ROWS = Grid(scheme="bucket", parts=1)

COMMIT_BYTES = 32 * 1024 * 1024
"""How much of the rows' text is loaded in one go: what a cut costs."""

MOST_RANGES = 64
"""Stretches of keys that are fetched as such where a staging table lacks them; beyond, its rows are compared."""


class Fetch:
    """Rows on their way into staging.

    :param staging: where they land
    :param removed: where the keys of the rows that go are listed; by default in a table that ends with the connection
    :param on_rows: called with the number of rows that arrived
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
        self.selection = compared.selection
        self.received = 0

    def everything(self) -> FetchedRows:
        """Stage all rows of the part.

        :raises SourceChangedError: when what is staged in the end is not what the source announced
        """
        part, resumed = self._open()
        held = self.database.digest_segments(self.connection, part, self.compared.grid) if resumed else {}
        if held:
            self._complete(part, held)
        else:
            self._load(part, GetRows(selection=self.selection))
        staged = self.database.digest_segments(self.connection, part, self.compared.grid)
        if dict(staged) != dict(self.compared.source):
            raise SourceChangedError(f"Table {self.target.name!r}: the source changed while it was sent. Nothing was changed.")
        return FetchedRows(self.database, self.compared, self._staged(self.compared.source_rows, None), received=self.received)

    def rows(self, differences: Differences) -> FetchedRows:
        """Stage the rows that the source has and the target lacks or has otherwise, and list those that go.

        :raises SourceChangedError: when what is staged in the end is not what the source announced
        """
        differences = confine_to_window(self.client, self.database, self.compared, differences)
        announced, deleted = differences.announced, differences.changes.deleted
        part, resumed = self._open()
        held = _digests_of(self.database, self.connection, part) if resumed else {}
        delete_rows(self.database, self.connection, part, [key for key in held if held[key] != announced.get(key)])
        self._load_keys(part, [key for key in announced if held.get(key) != announced[key]])
        if _digests_of(self.database, self.connection, part) != announced:
            raise SourceChangedError(f"Table {self.target.name!r}: the source changed while rows were sent. Nothing was changed.")
        staged = self._staged(len(announced), self._list_removed(deleted))
        return FetchedRows(self.database, self.compared, staged, received=self.received, announced=announced, deleted=deleted)

    def _open(self) -> tuple[Part, bool]:
        """Open the staging table; return it as a part, and whether there may be rows of a failed try."""
        part, target = self.compared.part, self.target
        resumed = self.staging.resume(
            self.connection,
            target.table,
            [column.column for column in part.columns],
            primary_key=[column.column.name for column in part.key],
            indexes=target.options.import_indexes,
        )
        # A row that leaves the window is staged, too.
        return msgspec.structs.replace(part, table=self.staging.table, window=None), resumed

    def _complete(self, part: Part, held: Mapping[int, SegmentDigest]) -> None:
        """Make a staging table that has some of the rows have all of them.

        Ranges of keys of which it has none are fetched as such. In all other segments that differ, rows are compared.
        """
        grid, differing = self.compared.grid, differing_segments(self.compared.source, held)
        runs = absent_runs(differing, held) if grid.scheme == "range" else []
        if len(runs) > MOST_RANGES:
            runs = []
        for run in runs:
            self._load(part, GetRows(selection=msgspec.structs.replace(self.selection, between=keys_of(grid, run))))
        others = tuple(number for number in differing if number in held or not runs)
        partly = msgspec.structs.replace(self.compared, part=part, own=held, differing=others)
        for found in compare_slices(self.client, self.database, partly):
            wanted = found.changes.wanted
            # A row that changed meanwhile may be in another slice with what it was.
            delete_rows(self.database, self.connection, part, [*found.changes.deleted, *wanted])
            self._load_keys(part, wanted)

    def _load_keys(self, part: Part, keys: Sequence[Key]) -> None:
        # A row that left the window is asked for by its key, too.
        selection = msgspec.structs.replace(self.selection, window=None)
        for chunk in in_chunks(keys):
            self._load(part, GetRows(selection=selection, keys=tsv.encode_keys(chunk).decode()), len(chunk))

    def _load(self, part: Part, request: GetRows, expected: int | None = None) -> None:
        """Stage the answer to a request, a bounded amount at a time."""
        before, loaded = self.received, 0
        for blocks in _bounded(self._blocks(request)):
            loaded += self.staging.load_text(self.connection, self.target.table, part.columns, blocks)
        received = self.received - before
        if loaded != received or expected not in (None, loaded):
            raise SourceChangedError(
                f"Table {self.target.name!r}: {loaded} rows came of {received if expected is None else expected}."
                " Nothing was changed."
            )

    def _blocks(self, request: GetRows) -> Iterator[bytes]:
        """Ask for rows, and pass their lines on as they come."""
        with self.client.get_rows(request, columns=len(self.compared.part.columns)) as answer:
            for rows in answer:
                self.received += rows.count
                self.on_rows(rows.count)
                yield rows.data

    def _list_removed(self, keys: Sequence[Key]) -> Table:
        """Write the keys of the rows that go into a table of their own."""
        part = self.compared.part
        names = [column.column.name for column in part.key]
        resumed = self.removed.resume(
            self.connection, self.target.table, [column.column for column in part.key], primary_key=names
        )
        table = self.removed.table
        if resumed:
            listed = msgspec.structs.replace(part, table=table, columns=part.key, window=None)
            delete_rows(self.database, self.connection, listed, list(_digests_of(self.database, self.connection, listed)))
        if keys:
            self.database.load_text(self.connection, table, part.key, [tsv.encode_keys(keys)])
        return table

    def _staged(self, rows: int, removed: Table | None) -> StagedTable:
        part, options = self.compared.part, self.target.options
        return StagedTable(
            target=self.target.table,
            staging=self.staging.table,
            key=tuple(column.column.name for column in part.key),
            columns=tuple(column.column.name for column in part.columns),
            rows=rows,
            verify=options.verify,
            removed=removed,
            # Inside a window the guards look at the window.
            target_rows=self.compared.target_rows,
        )


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


def _digests_of(database: Database, connection: Connection, part: Part) -> dict[Key, int]:
    """Return the digest of every row, as it would go over the wire."""
    batches = database.digest_rows(connection, part, ALL_ROWS, ((0, 0),))
    return {key: to_wire(digest) for batch in batches for key, digest in batch}
