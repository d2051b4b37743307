"""Answers of version 2: streams of messages, each checked before it is handed on."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.message_stream import MessageStream, unexpected
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import ProtocolError, TableError
from airflow_provider_sync.printable import quoted
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v2.checks import check_described, check_row_digests, check_rows, check_segments
from airflow_provider_sync.protocol.v2.keep_alives import NO_ROWS, NO_SEGMENTS
from airflow_provider_sync.protocol.v2.message_sets import TableMessage
from airflow_provider_sync.protocol.v2.messages import (
    SHA256,
    Described,
    DescribeTable,
    DigestRows,
    GetRows,
    RowDigests,
    Rows,
    Segments,
    SnapshotHeld,
)
from airflow_provider_sync.protocol.v2.stream import read_messages

_MAX_SNAPSHOT_BYTES = 16 * 1024


class TableStream(MessageStream):
    """The open answer to a request about a table.

    :param table: its name, for messages
    :param limits: how much the server may send of a table
    :param tables: number of tables in the request
    """

    def __init__(self, body: Body, table: str, *, limits: SizeLimits, tables: int = 1) -> None:
        super().__init__(body, f"Table {table!r}")
        self._max_rows = limits.max_rows
        limit, option = limits.max_table_bytes * tables, "limits.max_table_bytes"
        self._messages = read_messages(body.chunks(limit=limit, option=option), self.compression, limit=limit, option=option)

    def _read_description(self, request: DescribeTable, *, keep_alive: TableMessage) -> Described:
        """Read the description at the beginning of an answer."""
        # While a slow database looks up its lowest and highest key, the server sends keep-alives first.
        message = next((message for message in self._messages if message != keep_alive), None)
        if not isinstance(message, Described):
            raise unexpected(message, "a description")
        check_answers(message, request)
        return message

    def _check_limit(self, rows: int) -> None:
        if rows > self._max_rows:
            raise too_large(self._max_rows, "limits.max_rows", what="The table", unit="rows")


class DescribedAnswer(TableStream):
    """The answer to ``describeTable``: the description of a table, then the digests of its segments, to be read once.

    :ivar described: the description, checked
    """

    def __init__(self, body: Body, request: DescribeTable, *, limits: SizeLimits) -> None:
        super().__init__(body, request.table_slice.name, limits=limits)
        with self._with_subject():
            message = self._read_description(request, keep_alive=NO_SEGMENTS)
            if request.partitioning not in (None, message.partitioning):
                raise ProtocolError(
                    "The server partitioned the table in another way than requested. Does it run the same version?"
                )
            if message.sample not in (0, request.sample):
                raise ProtocolError(
                    f"The server sends a sample of {message.sample} segments, and {request.sample} were asked for."
                )
        self.described = message

    def __iter__(self) -> Iterator[Segments]:
        """Yield digests, in ascending order of the segments. They are complete only if the iteration ends without an error.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for impossible digests
        :raises GuardError: for more rows than the limits allow
        """
        with self._with_subject():
            last, rows = -1, 0
            for message in self._messages:
                if not isinstance(message, Segments):
                    raise unexpected(message, "digests of segments")
                last = check_segments(message, self.described.partitioning, after=last)
                rows += sum(message.counts)
                self._check_limit(rows)
                if message.numbers:
                    self._body.progress()
                yield message


class RowDigestsAnswer(TableStream):
    """The answer to ``digestRows``: keys and digests of rows, to be read once."""

    def __init__(self, body: Body, request: DigestRows, *, limits: SizeLimits) -> None:
        super().__init__(body, request.table_slice.name, limits=limits)
        self._requested_rows = _count_keys(request.keys)

    def __iter__(self) -> Iterator[RowDigests]:
        """Yield keys and digests. They are complete only if the iteration ends without an error.

        Each message has as many keys as digests. The keys are not checked before they are decoded.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for other messages, and for more rows than were asked for
        """
        with self._with_subject():
            received = 0
            for message in self._messages:
                if not isinstance(message, RowDigests):
                    raise unexpected(message, "digests of rows")
                check_row_digests(message)
                received += message.count
                _check_count(received, self._requested_rows)
                self._check_limit(received)
                if message.count:
                    self._body.progress()
                yield message


class RowsAnswer(TableStream):
    """The answer to ``getRows``: rows, to be read once.

    :ivar described: the description, checked, if it was asked for
    :ivar rows_received: rows read so far
    """

    _doubtful = (ProtocolError, TableError)  # a value that the target refuses

    def __init__(self, body: Body, request: GetRows, *, columns: int | None, limits: SizeLimits) -> None:
        super().__init__(body, request.table_slice.name, limits=limits)
        self.described: Described | None = None
        if request.describe:
            with self._with_subject():
                self.described = self._read_description(DescribeTable(table_slice=request.table_slice), keep_alive=NO_ROWS)
        self._columns = columns
        self._requested_rows = _count_keys(request.keys)
        self.rows_received = 0

    def __iter__(self) -> Iterator[Rows]:
        """Yield rows, many at once. They are complete only if the iteration ends without an error.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for other messages, and for more rows than were asked for
        """
        with self._with_subject():
            for message in self._messages:
                if not isinstance(message, Rows):
                    raise unexpected(message, "rows")
                check_rows(message, self._columns)
                self.rows_received += message.count
                _check_count(self.rows_received, self._requested_rows)
                self._check_limit(self.rows_received)
                if message.count:
                    self._body.progress()
                yield message


class SnapshotAnswer(MessageStream):
    """The answer to ``holdSnapshot``. While it is open, the server holds the snapshot; nothing more is read of it.

    :ivar snapshot: the name of the snapshot
    """

    def __init__(self, body: Body) -> None:
        super().__init__(body, "The snapshot of all tables")
        # Kept, because a reader that is collected closes the connection, and so the server would end the snapshot.
        self._held = read_messages(body.chunks(limit=_MAX_SNAPSHOT_BYTES), self.compression, limit=_MAX_SNAPSHOT_BYTES)
        with self._with_subject():
            message = next(self._held, None)
            if not isinstance(message, SnapshotHeld):
                raise unexpected(message, "the name of a snapshot")
        self.snapshot = message.snapshot


def check_answers(described: Described, request: DescribeTable) -> None:
    """Check a description, and that it answers a request: by a scheme and a digest that the client knows.

    :raises ProtocolError: when it does not
    """
    check_described(described, request.table_slice)
    if described.partitioning.scheme not in request.schemes:
        raise ProtocolError("The server partitioned the table in another way than requested. Does it run the same version?")
    if described.digest not in (SHA256, *request.probes):
        raise ProtocolError(f"The server uses the digest {quoted(described.digest, 100)!r}, which the client did not offer.")


def _count_keys(keys: str | None) -> int | None:
    return None if keys is None else keys.count("\n")


def _check_count(received: int, requested: int | None) -> None:
    if requested is not None and received > requested:
        raise ProtocolError(f"The server sent {received} rows where {requested} were asked for.")
