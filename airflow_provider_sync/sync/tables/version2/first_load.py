"""Load all rows directly into an empty target by version 2, and verify them before the commit.

::

    source ── description, rows ──▶ digest of their lines ──▶ target, in the final transaction ── its digest ── equal: commit

The description and the rows come from one snapshot in one response, and the stream's digest shows that the received rows are
those sent, so one request is enough: see :class:`DigestedLines`. If both sides support a faster digest than SHA-256, or the
server is older, the source announces its digests in a parallel request instead: see :class:`AnnouncedRows`.

If the verification fails, the sync starts again and stages the rows, since only staged rows that changed can be requested again.
The requirements for a target are in :mod:`airflow_provider_sync.merge.direct_load`; every other sync is in :mod:`.follow_plan`
and :mod:`.stage`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Event

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.line_digest import LineDigest
from airflow_provider_sync.databases.received_rows import receiving
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError
from airflow_provider_sync.merge.direct_load import DirectRows
from airflow_provider_sync.protocol.v2.messages import (
    ONE_SEGMENT,
    SHA256,
    Described,
    DescribeTable,
    GetRows,
    Partitioning,
    RequestedSlice,
)
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.progress import RowProgress
from airflow_provider_sync.sync.tables.schema_changes import schema_warnings
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version2.column_mapping import configured_slice, map_columns, requested_slice_for
from airflow_provider_sync.sync.tables.version2.source_digests import probes_of


class SourceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The source's description of its table, and the mapping to the target's columns.

    :ivar table_slice: the target's columns to sync, rendered by the source's types
    """

    described: Described
    table_slice: TableSlice


def describe_source(
    client: SyncClient, database: Database, target: Target, *, probes: Mapping[str, str] | None = None
) -> SourceDescription:
    """Request the source's columns and number of rows, without digests.

    :param probes: probes of the digests that the target's database computes, if the source should choose one
    :raises TableError: if the target cannot hold the source's columns
    """
    request = DescribeTable(table_slice=requested_slice_for(target), digests=False, probes=dict(probes or {}))
    with client.describe_table(request) as answer:
        return SourceDescription(described=answer.described, table_slice=map_columns(database, target, answer.described))


def describe_first(client: SyncClient, database: Database, target: Target, described: Described | None) -> SourceDescription:
    """Describe the source of an empty target, with the digest that both sides compute fastest.

    :param described: the source's description of the slice that the options select, if known
    """
    if described is not None and requested_slice_for(target) == configured_slice(target.options):
        return SourceDescription(described=described, table_slice=map_columns(database, target, described))
    return describe_source(client, database, target, probes=probes_of(client, database))


def first_rows(
    client: SyncClient,
    database: Database,
    target: Target,
    source: SourceDescription,
    on_rows: RowProgress,
    asking: Callable[[], AbstractContextManager[None]],
) -> FirstRows:
    """Return the rows of a first load, with the cheapest available verification; see :class:`FirstRows`."""
    offered = client.capabilities()
    is_described = offered is not None and offered.described_rows and source.described.digest == SHA256
    return (DigestedLines if is_described else AnnouncedRows)(client, database, target, source, on_rows, asking)


class _Announced(msgspec.Struct, frozen=True):
    """The digests that the source announced."""

    partitioning: Partitioning
    segments: Mapping[int, SegmentDigest]
    digest: str

    @property
    def rows(self) -> int:
        return sum(segment.rows for segment in self.segments.values())


class FirstRows(StagedRows):
    """All rows of the source, which are requested only when the merge reads them.

    :param asking: opens the block in which the merge requests the rows
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
        staged = DirectRows(
            target=target.table,
            columns=table_slice.columns,
            rows=self._count,
            blocks=self._blocks,
            is_new=target.is_new,
            is_digested=target.options.verify,
        )
        super().__init__(target, staged, rows_total=0, rows_received=0, warnings=schema_warnings(target, table_slice))
        self.client = client
        self.database = database
        self.described = source.described
        self.table_slice = table_slice
        self.on_rows = on_rows
        self.asking = asking
        self._announced: _Announced | None = None

    def verify(self, connection: Connection) -> Verified | None:
        """Compare the target's digest with that of the received rows.

        :raises SourceChangedError: if they differ
        """
        if not self._is_loaded(connection):
            raise SourceChangedError(
                f"Table {self.target.name!r}: the target does not hold what came from the source. Either the source changed"
                " meanwhile, or the target changes what is written to it.",
                NOTHING_CHANGED,
            )
        return "digest"

    @abstractmethod
    def _is_loaded(self, connection: Connection) -> bool:
        """Tell whether the target has the digests of the source's rows."""

    @abstractmethod
    def _blocks(self) -> Generator[bytes]:
        """Request rows, and yield their lines as they arrive."""

    def _requested_slice(self) -> RequestedSlice:
        """Return the slice with the described columns named, so that a column dropped in the meantime is an error."""
        columns = tuple(column.name for column in self.described.columns)
        return msgspec.structs.replace(requested_slice_for(self.target), columns=columns)

    def _count(self) -> int:
        """Return the number of rows of the source; if nothing was loaded, from its digests."""
        self.rows_total = self._known().rows
        return self.rows_total

    def _known(self) -> _Announced:
        if self._announced is None:
            self._announced = self._ask(Event())
        return self._announced

    def _check_described(self, described: Described) -> None:
        """Compare a later description with the first.

        :raises SourceChangedError: if columns or key changed
        """
        if (described.columns, described.key) != (self.described.columns, self.described.key):
            raise SourceChangedError(f"Table {self.target.name!r}: the source's columns changed.", NOTHING_CHANGED)

    def _ask(self, abandoned: Event) -> _Announced:
        """Request the digests of all segments: of a single one, unless the target's scan can be split by segments.

        :param abandoned: set when the caller no longer waits for the digests
        """
        request = DescribeTable(
            table_slice=self._requested_slice(),
            # Without groups, a scan takes a third less of the database's time.
            partitioning=None if self.described.digest == SHA256 else ONE_SEGMENT,
            schemes=self.database.digests.schemes,
            probes=probes_of(self.client, self.database),
        )
        segments: dict[int, SegmentDigest] = {}
        with self.client.describe_table(request) as answer:
            described = answer.described
            self._check_described(described)
            # The source sends keep-alive messages while it works, so that this loop soon notices an abandoned request.
            for message in answer:
                if abandoned.is_set():
                    break
                segments.update(zip(message.numbers, map(SegmentDigest, message.counts, message.sums), strict=True))
        return _Announced(described.partitioning, segments, described.digest)


class DigestedLines(FirstRows):
    """Rows whose lines are digested while they are loaded into the target.

    ::

        source ── rows, SHA-256 of all of them ──▶ lines as they were sent ── digest ──┐
                                                        └─▶ target ── digest ──────────┴─ equal

    The server sends the rows and its description from one snapshot, so nothing can change in between.
    """

    _lines: LineDigest | None = None
    _partitioning: Partitioning

    def _is_loaded(self, connection: Connection) -> bool:
        if self._lines is None:
            return False
        return self.database.digests.digest_loaded(connection, self.table_slice, self._partitioning) == self._lines.found

    def _count(self) -> int:
        if self._lines is None:
            return super()._count()
        self.rows_total = self.rows_received
        return self.rows_total

    def _blocks(self) -> Generator[bytes]:
        self.rows_received = 0
        self._lines = self.database.digests.line_digest(self.table_slice)
        with receiving(self._received()) as blocks:
            yield from self._lines.passing(blocks)

    def _received(self) -> Generator[bytes]:
        request = GetRows(table_slice=self._requested_slice(), describe=True)
        with self.asking(), self.client.get_rows(request, columns=len(self.table_slice.columns)) as answer:
            described = answer.described or self.described
            self._check_described(described)
            self._partitioning = described.partitioning
            for rows in answer:
                self.rows_received += rows.count
                self.on_rows(rows.count, max(described.rows, self.rows_received))
                yield rows.data


class AnnouncedRows(FirstRows):
    """Rows whose digests the source announces, from a snapshot of the same moment.

    ::

        source   rows    ────────────────▶ target, in the final transaction ── digests of the target ─┐
                 digests ── beside them ───────────────────────────────────────────────────────────┴─ equal
    """

    def _is_loaded(self, connection: Connection) -> bool:
        announced = self._known()
        table_slice = msgspec.structs.replace(self.table_slice, digest=announced.digest)
        return dict(self.database.digests.digest_written(connection, table_slice, announced.partitioning)) == announced.segments

    def _blocks(self) -> Generator[bytes]:
        """Request rows and, in another thread, their digests; yield the rows' lines as they arrive."""
        self._announced, self.rows_received = None, 0
        abandoned = Event()
        with self.asking(), ThreadPoolExecutor(1, thread_name_prefix="source-digests") as pool:
            # A snapshot that is held may be one connection, which both would have to wait for.
            asked = None if self.client.snapshot else pool.submit(self._ask, abandoned)
            try:
                request = GetRows(table_slice=msgspec.structs.replace(self._requested_slice(), key=self.described.key_columns))
                with self.client.get_rows(request, columns=len(self.table_slice.columns)) as answer:
                    for rows in answer:
                        self.rows_received += rows.count
                        # Once the digests have arrived, the exact number is known.
                        exact = asked.result().rows if asked and asked.done() and not asked.exception() else None
                        self.on_rows(rows.count, self.described.rows if exact is None else exact)
                        yield rows.data
                self._announced = self._ask(abandoned) if asked is None else asked.result()
            finally:
                abandoned.set()
