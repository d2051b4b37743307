"""The answer of version 2 about many tables: the description of each, and segment digests of the small ones."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.message_stream import unexpected
from airflow_provider_sync.client.table_streams import TableStream, check_answers
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import ProtocolError, SyncError
from airflow_provider_sync.protocol.v2.checks import check_segments
from airflow_provider_sync.protocol.v2.keep_alives import NO_SEGMENTS
from airflow_provider_sync.protocol.v2.messages import (
    Described,
    DescribeTable,
    DescribeTables,
    Segments,
    TableDone,
    TableFailed,
)

_BUSY = 503
"""Status of a table that cannot be read now, which is locked or takes too long."""


class AnsweredTable(msgspec.Struct, frozen=True, kw_only=True):
    """The source's answer about one of the tables.

    :ivar number: of the table in the request, from 0
    :ivar described: its description; ``None`` if the source cannot describe or digest it
    :ivar segments: the digests of its segments; ``None`` if there are none, or if the table exceeds the requested size
    """

    number: int
    described: Described | None = None
    segments: tuple[Segments, ...] | None = None


class ManyTablesAnswer(TableStream):
    """The answer to ``describeTables``, to be read once."""

    def __init__(self, body: Body, request: DescribeTables, *, limits: SizeLimits) -> None:
        count = len(request.table_slices)
        super().__init__(body, request.table_slices[0].name, limits=limits, tables=count)
        self._request = request

    def __iter__(self) -> Iterator[AnsweredTable]:
        """Yield the tables in the order of the request. They are all there only if the iteration ends without an error.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for impossible descriptions or digests, and for other tables than were asked for
        :raises GuardError: for more rows than the limits allow
        """
        name: str | None = None
        try:
            with self._with_subject():
                for number, table_slice in enumerate(self._request.table_slices):
                    name = table_slice.name
                    yield self._table(number)
                name = None
                if (message := next(self._messages, None)) is not None:
                    raise unexpected(message, f"the end, after {len(self._request.table_slices)} tables")
        except SyncError as error:
            error.table = error.table or name
            raise

    def _table(self, number: int) -> AnsweredTable:
        """Read the messages about one table, up to its last."""
        # Errors name the table.
        self._subject = f"Table {self._request.table_slices[number].name!r}"
        described: Described | None = None
        segments: list[Segments] = []
        last, rows = -1, 0
        for message in self._messages:
            if isinstance(message, TableDone | TableFailed):
                if message.number != number:
                    raise ProtocolError(f"The server answered for table {message.number} where {number} was next.")
                self._body.progress()
                if isinstance(message, TableFailed):
                    if message.status == _BUSY:
                        self._body.met_lock()
                    return AnsweredTable(number=number)
                if described is not None:
                    return AnsweredTable(
                        number=number, described=described, segments=tuple(segments) if message.digested else None
                    )
            elif message == NO_SEGMENTS:
                continue
            elif isinstance(message, Described) and described is None:
                check_answers(message, self._alone(number))
                described = message
                continue
            elif isinstance(message, Segments) and described is not None:
                last = check_segments(message, described.partitioning, after=last)
                rows += sum(message.counts)
                self._check_limit(rows)
                segments.append(message)
                continue
            raise unexpected(message, "a description, digests of segments, or their end")
        raise unexpected(None, f"table {number}")

    def _alone(self, number: int) -> DescribeTable:
        """Return the request for one of the tables alone."""
        request = self._request
        return DescribeTable(table_slice=request.table_slices[number], schemes=request.schemes, probes=request.probes)
