"""The endpoint ``/describeTables``: describe many tables in one response, and digest the small ones.

Each table is described as by ``/describeTable``; a table that cannot be described gets a failure message. Tables of one database
are read in one snapshot, one after the other, since opening a snapshot takes longer than digesting a small table.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Connection
from starlette.responses import Response

from airflow_provider_sync.config import SourceTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import SyncError, TransportError
from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol.v1.requests import InvalidRequest
from airflow_provider_sync.protocol.v2.keep_alives import NO_SEGMENTS
from airflow_provider_sync.protocol.v2.message_sets import TableMessage
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DescribeTables, RequestedSlice, TableDone, TableFailed
from airflow_provider_sync.protocol.v2.stream import write_message_groups
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.error_answers import log_cause, logged_text, status_and_message
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.streaming import stream_messages, work_ahead
from airflow_provider_sync.server.tables.offered_tables import OfferedTables
from airflow_provider_sync.server.tables.open_table import OpenTable, find_table, open_table
from airflow_provider_sync.server.tables.snapshot_leases import SnapshotLeases
from airflow_provider_sync.server.tables.table_answers import describe_opened
from airflow_provider_sync.server.tables.table_requests import decode_many_tables_request, with_offered_name

log = logging.getLogger(__name__)


class ManyTablesAnswers:
    """Answers ``/describeTables``."""

    def __init__(self, sources: Sources, tables: OfferedTables, leases: SnapshotLeases) -> None:
        self._sources = sources
        self._tables = tables
        self._leases = leases

    def describe(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send the descriptions of tables, each with its segment digests if the table is small."""
        request = decode_many_tables_request(body)
        made = active.account.counting_tables(self._groups(request, grant, active))
        groups = work_ahead(made, idle=(NO_SEGMENTS,))
        what = f"{len(request.table_slices)} tables"
        # Which databases are read is not known yet, and one of them may let nobody write meanwhile.
        return stream_messages(write_message_groups, groups, accept, active, what=what, ahead=True)

    def _groups(
        self, request: DescribeTables, grant: Grant, active: ActiveRequest
    ) -> Generator[Sequence[TableMessage], None, None]:
        """Yield the messages of one table after the other."""
        visible = self._tables.visible_to(grant)
        asked = [visible[slice_.name] for slice_ in request.table_slices if slice_.name in visible]
        with _Snapshots(self._sources, self._leases, grant, active, asked) as snapshots:
            for number, requested_slice in enumerate(request.table_slices):
                active.check()
                try:
                    named = with_offered_name(requested_slice, visible)
                    active.account.about_table(named.name)
                    found = self._describe(request, named, visible[named.name], snapshots)
                except TransportError:
                    raise  # the other tables of this database would fail alike
                except (SyncError, InvalidRequest) as error:
                    active.check()
                    found = [_failed(number, requested_slice.name, error)]
                else:
                    found.append(TableDone(number=number, digested=len(found) > 1))
                yield found

    def _describe(
        self, request: DescribeTables, requested_slice: RequestedSlice, source: SourceTable, snapshots: _Snapshots
    ) -> list[TableMessage]:
        alone = DescribeTable(table_slice=requested_slice, schemes=request.schemes, probes=request.probes)
        with snapshots.table(source, requested_slice) as opened:
            return list(describe_opened(opened, alone, max_rows=request.max_rows))


class _Snapshots:
    """The open snapshots of one request, one for each database, whose tables are described together.

    :param active: the request; if it is ended early, the running statement is cancelled
    :param asked: all requested tables
    """

    def __init__(
        self, sources: Sources, leases: SnapshotLeases, grant: Grant, active: ActiveRequest, asked: Sequence[SourceTable]
    ) -> None:
        self._sources = sources
        self._leases = leases
        self._grant = grant
        self._active = active
        self._asked = asked
        self._described: dict[Database, Mapping[str, Table]] = {}
        self._open: dict[Database, tuple[Connection, ExitStack]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ExitStack() as closing:
            for _, stack in self._open.values():
                closing.callback(stack.close)

    @contextmanager
    def table(self, source: SourceTable, requested_slice: RequestedSlice) -> Iterator[OpenTable]:
        """Open a table in the request's held snapshot, or in this object's snapshot of its database, which an error closes.

        After an error, PostgreSQL refuses every further statement of the transaction, so the next table needs a new snapshot.
        """
        held = self._leases.find(requested_slice, source, self._grant)
        if held is not None:
            with open_table(self._sources, source, self._active, held, self._described_as) as opened:
                yield opened
            return
        database = self._sources.database(source)
        try:
            with self._active.lock_waits.waiting(database) as waiting:
                connection = self._connection(database, waiting, self._sources.url(source))
                described = self._described_as(source, connection)
                with find_table(waiting, source, connection, self._sources.mask_key, described) as opened:
                    yield opened
        except BaseException:
            with self._open.pop(database, (None, ExitStack()))[1]:
                raise

    def _connection(self, database: Database, waiting: Database, url: str) -> Connection:
        """Return the open connection to a database, or open one.

        :param waiting: the database with sessions that wait as long for locks as this request still may
        """
        if database not in self._open:
            with ExitStack() as stack:
                stack.enter_context(self._active.reads(url))
                connection = stack.enter_context(waiting.watched_by(self._active).snapshot())
                self._open[database] = connection, stack.pop_all()
        return self._open[database][0]

    def _described_as(self, source: SourceTable, connection: Connection) -> Table | None:
        """Return the table's description, after describing all requested tables of its database once; ``None`` if missing."""
        database, url = self._sources.database(source), self._sources.url(source)
        if database not in self._described:
            names = {other.table_name for other in self._asked if not other.query and self._sources.url(other) == url}
            with database.translate_errors():
                described = database.catalog.describe_many(connection, sorted(names), views=True) if len(names) > 1 else {}
            self._described[database] = described
        return self._described[database].get(source.table_name)


def _failed(number: int, name: str, error: Exception) -> TableFailed:
    status, message = status_and_message(error)
    what = f"Table {printable(name)!r}"
    text = logged_text(error)
    log.warning("%s", text if str(error).startswith(what) else f"{what}: {text}")
    log_cause(what, error)
    return TableFailed(number=number, status=status, message=message)
