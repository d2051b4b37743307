"""The version 1 table endpoints: the hash of a table, and its rows from one snapshot."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from starlette.responses import JSONResponse, Response

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases.schema import Column, Row, Table
from airflow_provider_sync.databases.version1_hash import hash_table, hash_with, in_zone
from airflow_provider_sync.protocol.v1 import TIME_ZONE_HEADER
from airflow_provider_sync.protocol.v1.compression import compress
from airflow_provider_sync.protocol.v1.requests import InvalidRequest, table_hash_request, table_request
from airflow_provider_sync.protocol.v1.rows import RowEncoder
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.observability.rate_limited_log import RateLimitedLog
from airflow_provider_sync.server.observability.request_account import RequestAccount
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.streaming import StreamResponse, attachment
from airflow_provider_sync.server.tables.offered_tables import OfferedTables
from airflow_provider_sync.server.tables.open_table import OpenTable, open_table
from airflow_provider_sync.time_zones import UTC, TimeZone, time_zone_named

log = logging.getLogger(__name__)


class Version1TableAnswers:
    """Answers ``/getTableHash`` and ``/getTable``.

    :param stream_headers: headers of every streamed response
    """

    def __init__(
        self, config: ServerConfig, sources: Sources, tables: OfferedTables, *, stream_headers: Mapping[str, str]
    ) -> None:
        self._sources = sources
        self._tables = tables
        self._stream_headers = stream_headers
        self._notices = RateLimitedLog(log)
        self._zone = time_zone_named(str(config.time_zone)) if config.time_zone else UTC

    def _warn_of_invisible(self, name: str, table: Table, sent: Sequence[Column]) -> None:
        """Warn in the log that version 1 sends no invisible columns, although its hash covers them."""
        missing = ", ".join(column.name for column in table.columns if column.invisible and column not in sent)
        if missing:
            self._notices.warn(
                name,
                "Table %r is sent by version 1 without its invisible columns (%s). Name them in `columns`, or use version 2.",
                name,
                missing,
            )

    def hash(self, fields: Mapping[str, Any], grant: Grant, active: ActiveRequest) -> Response:
        """Send the hash of a table."""
        visible = self._tables.visible_to(grant)
        source = visible[table_hash_request(fields, visible)]
        active.account.about_table(source.name)
        with open_table(self._sources, source, active) as opened:
            if not source.hasher and _needs_key_check(opened):
                opened.check_key([opened.table.column(column) for column in opened.key(opened.table.columns)])
            return JSONResponse({"hash": _hash(opened, self._zone)}, headers={TIME_ZONE_HEADER: self._zone.name})

    def rows(self, fields: Mapping[str, Any], grant: Grant, active: ActiveRequest) -> Response:
        """Send the rows of a table, or 304 if the client's hash equals the table's.

        Since the hash costs a scan, it is computed, and sent as ``ETag``, only if the client sends its own hash.
        """
        visible = self._tables.visible_to(grant)
        name, known = table_request(fields, visible)
        active.account.about_table(name)
        with ExitStack() as stack:
            opened = stack.enter_context(open_table(self._sources, visible[name], active))
            columns = opened.star_columns()
            self._warn_of_invisible(name, opened.table, columns)
            key = opened.key(columns)
            if _needs_key_check(opened):
                opened.check_key([opened.table.column(name) for name in key])
            # Existing clients ignore this header. To this package's client it also says that the rows are from one snapshot.
            zone = {TIME_ZONE_HEADER: self._zone.name}
            headers = {**self._stream_headers, **zone, "Content-Disposition": attachment(f"{name}.txt")}
            if known is not None:
                current = _hash(opened, self._zone)
                if known == current:
                    return Response(status_code=304, headers={**zone, "ETag": f'"{current}"'})
                headers["ETag"] = f'"{current}"'
            _refuse_unsendable(opened, columns)
            read = opened.masking_errors(opened.database.reader.read(opened.connection, opened.table, columns, order_by=key))
            batches = in_zone(opened.database, columns, read, self._zone)
            return StreamResponse(
                compress(_lines(columns, batches, active.account)),
                what=f"Table {name!r}",
                active=active,
                ahead=opened.database.reader.blocks_writers(opened.connection),
                close=stack.pop_all().close,
                headers=headers,
            )


def _lines(columns: Sequence[Column], batches: Iterable[Sequence[Row]], account: RequestAccount) -> Iterator[bytes]:
    encoder = RowEncoder([column.name for column in columns])
    for batch in batches:
        account.count(rows=len(batch))
        yield encoder.encode(batch)


def _needs_key_check(opened: OpenTable) -> bool:
    """Tell whether the key must be checked, since no index ensures that it identifies rows, as a client may assume."""
    return opened.table.is_view or opened.source.query is not None or bool(opened.source.mask)


def _hash_order(opened: OpenTable) -> Sequence[str] | None:
    """Return the configured key, by which the rows are ordered for the hash; ``None`` for a table with a primary key."""
    return None if opened.table.primary_key else opened.key(opened.table.columns)


def _hash(opened: OpenTable, zone: TimeZone) -> str:
    source = opened.source
    if source.hasher:
        return hash_with(source.hasher, opened.database.engine, source)
    if not source.columns:
        opened.star_columns()  # raises if some columns are hidden from this user
    columns = opened.named_columns() if source.columns else None
    return hash_table(opened.database, opened.connection, opened.table, columns, zone, order=_hash_order(opened))


def _refuse_unsendable(opened: OpenTable, columns: Sequence[Column]) -> None:
    column = opened.database.version1.find_unsendable(opened.connection, opened.table, columns)
    if column is not None:
        message = (
            f"Table {opened.source.name!r} has values in column {column.name!r} that version 1 of the protocol cannot carry."
            f" Sync it with version 2, or leave the column out with `columns` in the server's configuration."
        )
        raise InvalidRequest({"config_name": [message]})
