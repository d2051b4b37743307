"""The requests of version 2 about tables: one method for each endpoint."""

from __future__ import annotations

from functools import partial

import msgspec

from airflow_provider_sync.client.endpoint_calls import EndpointCalls
from airflow_provider_sync.client.many_tables_stream import ManyTablesAnswer
from airflow_provider_sync.client.refusals import Subject
from airflow_provider_sync.client.table_streams import DescribedAnswer, RowDigestsAnswer, RowsAnswer
from airflow_provider_sync.client.transport import message_call
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DescribeTables, DigestRows, GetRows, RequestedSlice


class TableRequests(EndpointCalls):
    """The part of a client that asks for tables by version 2.

    :ivar snapshot: name of the snapshot that tables are read from; ``None`` outside of :meth:`.SyncClient.holding_snapshot`
    :ivar names_keys: whether the server is known to understand :attr:`.RequestedSlice.key`
    """

    snapshot: str | None
    names_keys: bool

    def describe_table(self, request: DescribeTable) -> DescribedAnswer:
        """Ask for the description of a table, and the digests of its segments (version 2).

        Once the description has arrived, the request is not repeated.

        :return: the description at once, and the digests to be read within a ``with`` block
        :raises ServerError: for a table, column or window that the server does not offer
        """
        request = msgspec.structs.replace(request, table_slice=self._asked(request.table_slice))
        read = partial(DescribedAnswer, request=request, limits=self.limits)
        return self._transport.send(message_call("/describeTable", request), read, subject=self._table(request.table_slice.name))

    def describe_tables(self, request: DescribeTables) -> ManyTablesAnswer:
        """Ask for the descriptions of tables, with the digests of the small ones (version 2, if :attr:`.tables_per_request`).

        Once the answer has begun, the request is not repeated.

        :return: to be read within a ``with`` block
        :raises ServerError: when the server refuses all of them, or fails
        """
        request = msgspec.structs.replace(request, table_slices=tuple(map(self._asked, request.table_slices)))
        subject = Subject(f"{len(request.table_slices)} tables")
        read = partial(ManyTablesAnswer, request=request, limits=self.limits)
        return self._transport.send(message_call("/describeTables", request), read, subject=subject)

    def digest_rows(self, request: DigestRows) -> RowDigestsAnswer:
        """Ask for the keys and digests of rows (version 2).

        :return: to be read within a ``with`` block
        :raises ServerError: for what the server does not offer
        """
        request = msgspec.structs.replace(request, table_slice=self._asked(request.table_slice))
        read = partial(RowDigestsAnswer, request=request, limits=self.limits)
        return self._transport.send(message_call("/digestRows", request), read, subject=self._table(request.table_slice.name))

    def get_rows(self, request: GetRows, *, columns: int | None = None) -> RowsAnswer:
        """Ask for rows (version 2).

        :param columns: number of columns that each row must have; ``None`` if it is unknown
        :return: to be read within a ``with`` block
        :raises ServerError: for what the server does not offer
        """
        request = msgspec.structs.replace(request, table_slice=self._asked(request.table_slice))
        read = partial(RowsAnswer, request=request, columns=columns, limits=self.limits)
        return self._transport.send(message_call("/getRows", request), read, subject=self._table(request.table_slice.name))

    def _asked(self, requested_slice: RequestedSlice) -> RequestedSlice:
        key = requested_slice.key if self.names_keys else ()
        return msgspec.structs.replace(requested_slice, key=key, snapshot=self.snapshot)
