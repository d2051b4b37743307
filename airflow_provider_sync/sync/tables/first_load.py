"""A first sync by version 2: all rows go straight into an empty target, while the source digests them.

::

    source   rows    ────────────────▶ target, in the final transaction ── digests of the target ─┐
             digests ── beside them, from a snapshot of the same moment ──────────────────────────┴─ equal: commit

Nothing is compared before, as there is nothing to compare. Where the source changes between the two answers, the sync begins anew
and stages the rows, since only then those that moved can be asked for again. What a target must be like for this is in
:mod:`airflow_provider_sync.merge.direct_load`; every other sync is in :mod:`.compare` and :mod:`.stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Event

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError
from airflow_provider_sync.merge.direct_load import DirectRows
from airflow_provider_sync.protocol.v2.messages import Described, DescribeTable, GetRows, Partitioning, RequestedSlice
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.progress import RowProgress
from airflow_provider_sync.sync.tables.both_sides import probes_of
from airflow_provider_sync.sync.tables.column_mapping import map_columns, requested_slice_for
from airflow_provider_sync.sync.tables.schema_changes import schema_warnings
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.target import Target


class SourceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What the source says of its table, and how the target's columns take it.

    :ivar table_slice: the target's columns that take part, rendered by the source's types
    """

    described: Described
    table_slice: TableSlice


def describe_source(client: SyncClient, database: Database, target: Target) -> SourceDescription:
    """Ask the source for its columns and number of rows, without digests.

    :raises TableError: when the target cannot hold what the source has
    """
    with client.describe_table(DescribeTable(table_slice=requested_slice_for(target), digests=False)) as answer:
        return SourceDescription(described=answer.described, table_slice=map_columns(database, target, answer.described))


class _Announced(msgspec.Struct, frozen=True):
    """What the source says that it has."""

    partitioning: Partitioning
    segments: Mapping[int, SegmentDigest]
    digest: str

    @property
    def rows(self) -> int:
        return sum(segment.rows for segment in self.segments.values())


class FirstRows(StagedRows):
    """All rows of the source, which come only when the merge asks for them.

    :param asking: opens the block within which the rows are asked for, during the merge
    """

    protocol = 2

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        target: Target,
        source: SourceDescription,
        on_rows: RowProgress,
        asking: Callable[[], AbstractContextManager[None]],
    ) -> None:
        table_slice = source.table_slice
        staged = DirectRows(target=target.table, columns=table_slice.columns, rows=self._count, blocks=self._blocks)
        super().__init__(target, staged, rows_total=0, rows_received=0, warnings=schema_warnings(target, table_slice))
        self.client = client
        self.database = database
        self.described = source.described
        self.table_slice = table_slice
        self.on_rows = on_rows
        self.asking = asking
        self._announced: _Announced | None = None

    def verify(self, connection: Connection) -> Verified | None:
        """Digest the target, and compare it with what the source announced.

        :raises SourceChangedError: when they differ
        """
        announced = self._known()
        table_slice = msgspec.structs.replace(self.table_slice, digest=announced.digest)
        if dict(self.database.digests.digest_written(connection, table_slice, announced.partitioning)) != announced.segments:
            raise SourceChangedError(
                f"Table {self.target.name!r}: the target is not what the source announced, which changed between its"
                " digests and its rows.",
                NOTHING_CHANGED,
            )
        return "digest"

    def _requested_slice(self) -> RequestedSlice:
        """Name the described columns, so that one that goes meanwhile is missed."""
        columns = tuple(column.name for column in self.described.columns)
        return msgspec.structs.replace(requested_slice_for(self.target), columns=columns)

    def _known(self) -> _Announced:
        if self._announced is None:
            self._announced = self._ask(Event())
        return self._announced

    def _count(self) -> int:
        """Return how many rows the source has, by its digests."""
        self.rows_total = self._known().rows
        return self.rows_total

    def _blocks(self) -> Generator[bytes]:
        """Ask for rows and, in another thread, for their digests; pass the rows' lines on as they come."""
        self._announced, self.rows_received = None, 0
        abandoned = Event()
        with self.asking(), ThreadPoolExecutor(1, thread_name_prefix="source-digests") as pool:
            # A snapshot that is held may be one connection, which both would have to wait for.
            asked = None if self.client.snapshot else pool.submit(self._ask, abandoned)
            try:
                request = GetRows(table_slice=self._requested_slice())
                with self.client.get_rows(request, columns=len(self.table_slice.columns)) as answer:
                    for rows in answer:
                        self.rows_received += rows.count
                        # The digests bring the exact number, at some time.
                        exact = asked.result().rows if asked and asked.done() and not asked.exception() else None
                        self.on_rows(rows.count, self.described.rows if exact is None else exact)
                        yield rows.data
                self._announced = self._ask(abandoned) if asked is None else asked.result()
            finally:
                abandoned.set()

    def _ask(self, abandoned: Event) -> _Announced:
        """Ask for the digests of all segments.

        :param abandoned: tells that nobody waits for them any more
        """
        request = DescribeTable(
            table_slice=self._requested_slice(),
            schemes=self.database.digests.schemes,
            probes=probes_of(self.client, self.database),
        )
        segments: dict[int, SegmentDigest] = {}
        with self.client.describe_table(request) as answer:
            described = answer.described
            if (described.columns, described.key) != (self.described.columns, self.described.key):
                raise SourceChangedError(f"Table {self.target.name!r}: the source's columns changed.", NOTHING_CHANGED)
            # While the source is at work its signs of life come by, so that this ends soon.
            for message in answer:
                if abandoned.is_set():
                    break
                segments.update(zip(message.numbers, map(SegmentDigest, message.counts, message.sums), strict=True))
        return _Announced(described.partitioning, segments, described.digest)
