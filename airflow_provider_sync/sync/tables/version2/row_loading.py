"""Request rows from the source, and load them into a staging table as they arrive, in bounded memory and within limits."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.received_rows import receiving
from airflow_provider_sync.databases.table_slice import Key, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ProtocolError, SourceChangedError
from airflow_provider_sync.merge.staging import Staging
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import GetRows, KeyRange, RequestedSlice
from airflow_provider_sync.sync.progress import RowProgress
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from airflow_provider_sync.sync.tables.version2.row_lookups import in_chunks


class RowLoader:
    """Loads rows of one slice into a staging table.

    :param table_slice: the columns to load, in the order of the source's description
    :param requested_slice: the slice to request from the source
    :param on_rows: called when rows arrive
    :ivar received: number of rows received over the wire so far
    """

    def __init__(
        self,
        client: SyncClient,
        connection: Connection,
        target: Target,
        staging: Staging,
        table_slice: TableSlice,
        requested_slice: RequestedSlice,
        on_rows: RowProgress,
    ) -> None:
        self.received = 0
        self._received_bytes = 0
        self._client = client
        self._connection = connection
        self._target = target
        self._staging = staging
        self._columns = table_slice.columns
        self._requested_slice = requested_slice
        self._on_rows = on_rows
        self._expected = 0

    def expect(self, rows: int) -> None:
        """Report how many rows will be requested to the progress; more may follow."""
        self._expected += rows

    def load_all(self) -> None:
        """Load all rows of the slice."""
        self._load(GetRows(table_slice=self._requested_slice))

    def load_range(self, key_range: KeyRange) -> None:
        """Load the rows of a key range."""
        self._load(GetRows(table_slice=msgspec.structs.replace(self._requested_slice, key_range=key_range)))

    def load_keys(self, keys: Sequence[Key]) -> None:
        """Load the rows with these keys, inside or outside the window.

        :raises ProtocolError: if more rows arrive
        """
        requested_slice = msgspec.structs.replace(self._requested_slice, window=None)
        for chunk in in_chunks(keys):
            loaded = self._load(GetRows(table_slice=requested_slice, keys=tsv.encode_keys(chunk).decode()))
            if loaded > len(chunk):
                raise ProtocolError(f"Table {self._target.name!r}: {loaded} rows came, and {len(chunk)} were asked for.")

    def _load(self, request: GetRows) -> int:
        """Load the response to a request, some megabytes at a time; return the number of its rows."""
        before, loaded = self.received, 0
        with receiving(self._blocks(request)) as answer:
            for blocks in _batches(answer):
                loaded += self._staging.load_text(self._connection, self._target.table, self._columns, blocks)
        received = self.received - before
        if loaded != received:
            raise SourceChangedError(f"Table {self._target.name!r}: {loaded} rows came of {received}.", NOTHING_CHANGED)
        return loaded

    def _blocks(self, request: GetRows) -> Generator[bytes]:
        """Request rows, and yield their lines as they arrive."""
        with self._client.get_rows(request, columns=len(self._columns)) as answer:
            for rows in answer:
                self.received += rows.count
                self._received_bytes += len(rows.data)
                self._check_limits()
                self._on_rows(rows.count, self._expected or None)
                yield rows.data

    def _check_limits(self) -> None:
        """Refuse more rows or bytes, in all responses together, than the limits allow.

        :raises GuardError: naming the limit
        """
        table, limits = f"Table {self._target.name!r}", self._client.limits
        if self.received > limits.max_rows:
            raise too_large(limits.max_rows, "limits.max_rows", what=table, unit="rows")
        if self._received_bytes > limits.max_table_bytes:
            raise too_large(limits.max_table_bytes, "limits.max_table_bytes", what=table)


def _batches(blocks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Group blocks into batches of about :data:`.batch_sizes.LOAD_BYTES`; read each to its end before the next."""
    coming = iter(blocks)
    for first in coming:
        yield _batch(first, coming)


def _batch(first: bytes, coming: Iterator[bytes]) -> Iterator[bytes]:
    size = len(first)
    yield first
    while size < batch_sizes.LOAD_BYTES and (block := next(coming, None)) is not None:
        size += len(block)
        yield block
